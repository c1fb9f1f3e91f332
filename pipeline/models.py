"""Models in and out: loading with every known trap checked, fresh heads, saving with a card.

Weights are safetensors, code is transformers' own: a pickle is refused and remote code is never run.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from huggingface_hub import constants, get_session, try_to_load_from_cache
from safetensors import SafetensorError
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AlbertForPreTraining,
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    ErnieForPreTraining,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from pipeline.draws import bits
from pipeline.objectives.objective import head_modules
from pipeline.run.errors import InputError
from pipeline.run.progress import say
from pipeline.tokens import check_tokenizer
from pipeline.training.unpadding import first_position


def load_tokenizer(place: str | Path, max_length: int = 0) -> PreTrainedTokenizerBase:
    """A tokenizer from a folder or hub name; with `max_length`, after checking that its model takes so many ids."""
    tokenizer = _from(place, lambda: AutoTokenizer.from_pretrained(str(place), trust_remote_code=False))
    for fact in ("is_local", "local_files_only"):  # of this call; saved, it would make equal tokenizers differ
        tokenizer.init_kwargs.pop(fact, None)
    if tokenizer.pad_token is None and tokenizer.eos_token is not None:  # a decoder's; padding is never looked at
        tokenizer.pad_token = tokenizer.eos_token
    if max_length:
        _check_length(place, max_length, tokenizer.model_max_length)
    return tokenizer


def _check_length(place: str | Path, max_length: int, tokenizer_takes: int) -> None:
    positions = positions_of(load_config(place))
    longest = min(tokenizer_takes, positions) if positions else tokenizer_takes
    if max_length > longest:
        raise InputError(f"max_length = {max_length}, but the model in {place} takes at most {longest} ids: lower it")


def positions_of(config: PretrainedConfig) -> int:
    """How many ids of a sequence a model has positions for: RoBERTa keeps some for its padding; 0: without a limit."""
    takes = getattr(config, "max_position_embeddings", 0)
    if takes <= 0:
        return 0
    with torch.device("meta"):
        return takes - first_position(AutoModel.from_config(config))


def load_config(place: str | Path) -> PretrainedConfig:
    """What kind of model a folder or hub name holds, and of what size."""
    return _from(place, lambda: AutoConfig.from_pretrained(str(place), trust_remote_code=False))


def load_masked_lm(place: str | Path) -> PreTrainedModel:
    """A masked language model from a folder or hub name; says so loudly when its head is not in the file."""
    if type(config := load_config(place)) not in MODEL_FOR_MASKED_LM_MAPPING:
        kind = config.model_type
        way_out = "set objective = plm" if kind == "xlnet" else "of a decoder set objective = clm"
        raise InputError(
            f"{place} is of the kind {kind}, which has no head for masked words: {way_out} in [base] and [dapt], and "
            "choose a scorer that asks no masked language model"
        )
    model, info = load_as(AutoModelForMaskedLM, place, output_loading_info=True)
    inside = {f"{name}." for name, module in model.named_children() if module is model.base_model}
    _say_lost(place, sorted(key for key in info["missing_keys"] if not key.startswith(tuple(inside))))
    check_tokenizer(load_tokenizer(place), model.get_input_embeddings().num_embeddings, str(place))
    return model


def load_causal_lm(place: str | Path) -> PreTrainedModel:
    """A decoder with its head from a folder or hub name, which knows what it is padded with."""
    config = load_config(place)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or type(config) in MODEL_FOR_MASKED_LM_MAPPING:
        raise InputError(
            f"{place} is of the kind {config.model_type}, no decoder: set objective = mlm, or clm-mlm for an encoder "
            "that reads from left to right for a while"
        )
    tokenizer, model = load_tokenizer(place), load_as(AutoModelForCausalLM, place)
    check_tokenizer(tokenizer, model.get_input_embeddings().num_embeddings, str(place), masks=False)
    if model.config.pad_token_id is None:  # a classifier looks for the last token that is none
        model.config.pad_token_id = tokenizer.pad_token_id
    return model


def _say_lost(place: str | Path, lost: list[str]) -> None:
    """A loud line about weights of a head for masked words that are not in the file."""
    if lost:
        say(
            f"! {place} has no head for masked language modelling ({len(lost)} weights missing, {lost[0]} first): "
            "a random one is used; train longer, or choose a base that was saved with its head"
        )


ORDER_MODELS = {"albert": AlbertForPreTraining, "bert": BertForPreTraining, "ernie": ErnieForPreTraining}
"""Kinds of model that have a head for the order of two segments, beside the one for masked words."""

ORDER_HEADS = "cls.seq_relationship", "sop_classifier"
"""What that head is called in them."""


def load_order_model(place: str | Path, seed: int) -> PreTrainedModel:
    """A model with heads for masked words and for the order of segments; pooler and that head fresh where missing."""
    kind = load_config(place).model_type
    if kind not in ORDER_MODELS:
        raise InputError(
            f"the order of segments is learned by models of the kinds {', '.join(ORDER_MODELS)}, and {place} is of "
            f"the kind {kind}: set objective = mlm, or choose another base"
        )
    model, info = load_as(ORDER_MODELS[kind], place, output_loading_info=True)
    inside = f"{model.base_model_prefix}."
    lost = sorted(key for key in info["missing_keys"] if not key.startswith(inside))
    _say_lost(place, [key for key in lost if not key.startswith(ORDER_HEADS)])
    for number, name in enumerate((f"{inside}pooler", *ORDER_HEADS)):
        if any(key.startswith(name) for key in info["missing_keys"]):
            reinitialise(model.get_submodule(name), model.config, int(bits(seed, number)) >> 1)
    check_tokenizer(load_tokenizer(place), model.get_input_embeddings().num_embeddings, str(place))
    return model


def load_classifier(place: str | Path, labels: list[str], seed: int) -> PreTrainedModel:
    """A sequence classifier on the encoder of a checkpoint; head and pooler fresh, the same for every checkpoint.

    Pretraining with masked language modelling alone saves no pooler: without this, the arm that was not adapted would
    be the only one to keep a trained pooler.
    """
    model = load_as(AutoModelForSequenceClassification, place, **_labels(labels))
    fresh = [
        *head_modules(model),
        *(m for n, m in model.base_model.named_children() if n == "pooler" and m is not None),
    ]
    for number, module in enumerate(fresh):
        reinitialise(module, model.config, int(bits(seed, number)) >> 1)
    return model


def load_token_classifier(place: str | Path, labels: list[str], seed: int) -> PreTrainedModel:
    """A token classifier on the encoder of a checkpoint, with a fresh head."""
    model = load_as(AutoModelForTokenClassification, place, **_labels(labels))
    for number, module in enumerate(head_modules(model)):
        reinitialise(module, model.config, int(bits(seed, number)) >> 1)
    return model


def load_encoder(place: str | Path) -> PreTrainedModel:
    """The encoder of a checkpoint alone, without its pooler."""
    encoder = load_as(AutoModel, place)
    if hasattr(encoder, "pooler"):
        encoder.pooler = None
    return encoder


def load_trained(kind: type, place: Path) -> PreTrainedModel:
    """A finished model of ours, ready to predict."""
    return load_as(kind, place).eval()


@dataclass(frozen=True)
class ModelSize:
    """The size of a BERT to build."""

    hidden_size: int = 128
    """Width of the model."""
    layers: int = 2
    """Transformer layers."""
    heads: int = 2
    """Attention heads of each layer."""
    max_length: int = 128
    """Longest sequence in ids, special tokens included."""
    dropout: float = 0.1
    """Dropout of hidden states and attention (BERT); a small model trained briefly learns more without."""

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size = {self.hidden_size} must be a multiple of heads = {self.heads}")


def new_bert(
    size: ModelSize, vocab_size: int, pad_id: int, seed: int, kind: type = BertForMaskedLM
) -> PreTrainedModel:
    """A BERT with random weights, for masked language modelling or another `kind`.

    They are normal(0, width ** -0.5): BERT's 0.02 was chosen for a width of 768.
    """
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden_size,
        max_position_embeddings=size.max_length,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
        initializer_range=size.hidden_size**-0.5,
        pad_token_id=pad_id,
    )
    torch.manual_seed(seed)
    return kind(config)


def reinitialise(module: nn.Module, config: AutoConfig, seed: int) -> None:
    """Fresh weights from a generator of their own: normal(0, initializer_range), zero biases, unit norms."""
    generator = torch.Generator().manual_seed(seed)
    deviation = getattr(config, "initializer_range", 0.02)
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=deviation, generator=generator)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            part.reset_parameters()


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, card: str) -> None:
    """Model, tokenizer and card where `Auto….from_pretrained(folder)` finds them."""
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    for part in (folder, *(config.parent for config in folder.glob("*/config.json"))):  # a model may be several
        tokenizer.save_pretrained(part)
    (folder / "README.md").write_text(card, encoding="utf-8")


def model_card(title: str, base: str, text: str, facts: dict[str, object]) -> str:
    """The short card of an artifact: what it is and the settings it was made with.

    What came of it nobody knows yet: `make publish` writes the card for strangers. `base` is named to the hub where it
    is a name of the hub's.
    """
    front = {"library_name": "transformers", "tags": ["keymask"]}
    front |= {"base_model": base} if base.count("/") == 1 and not Path(base).exists() else {}
    rows = "\n".join(f"| {name} | {value} |" for name, value in {"made from": base, **facts}.items())
    more = "Its lineage, texts and licences: `make publish`."
    return f"---\n{yaml.safe_dump(front)}---\n\n# {title}\n\n{text} {more}\n\n| | |\n|---|---|\n{rows}\n"


def _labels(labels: list[str]) -> dict[str, object]:
    return {
        "num_labels": len(labels),
        "id2label": dict(enumerate(labels)),
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def load_as(kind: type, place: str | Path, **settings: object) -> PreTrainedModel:
    """A model of a kind from a folder or hub name: safetensors alone, no remote code, errors as one line."""
    _refuse_pickle(Path(place))
    logging.set_verbosity_error()  # fresh heads are what we want here, not a warning
    logging.disable_progress_bar()
    call = lambda: kind.from_pretrained(str(place), use_safetensors=True, trust_remote_code=False, **settings)
    return _from(place, call)


def _from(place: str | Path, call: Callable[[], object]) -> object:
    """Turn the many errors of loading into one line."""
    local = Path(place).is_dir()
    if not local and (str(place).startswith((".", "/", "~")) or str(place).count("/") > 1):
        raise InputError(
            f"no folder {place}: BASE is a local folder with a model, or a hub name like hfl/chinese-macbert-base"
        )
    if local:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        if not local:
            _refuse_unreachable(str(place))
        return call()
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        where = "the folder" if local else "the hub"
        needed = "hold config.json, model.safetensors, a tokenizer" if local else "be there for you (hf auth login)"
        raise InputError(
            f"cannot load {place} from {where} ({_told(error)}): it must {needed}, and be of a kind transformers knows"
        ) from error


def _refuse_unreachable(name: str) -> None:
    """Of what is not in the local cache one question to the hub: its client would ask for minutes, file by file."""
    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    except Exception as error:  # of the network, a proxy, or HF_HUB_OFFLINE: as many kinds as libraries below
        raise InputError(
            f"cannot load {name}, which is in no local cache, as the hub is not reached ({_told(error)}): give a "
            f"local folder as BASE, or download it first where there is a network (hf download {name})"
        ) from error


def _told(error: Exception) -> str:
    """The first line of an error without its colons: what stands behind the first one of a message is the remedy."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].replace(": ", ", ")


def _refuse_pickle(folder: Path) -> None:
    if folder.is_dir() and not list(folder.glob("*.safetensors")) and list(folder.glob("*.bin")):
        raise InputError(
            f"{folder} has weights only as a pickle (*.bin), which can run code when loaded: "
            "convert it to model.safetensors with save_pretrained first"
        )
