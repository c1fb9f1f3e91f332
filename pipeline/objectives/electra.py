"""The two models of replaced-token detection (Clark et al. 2020, ELECTRA): a small generator beside the discriminator.

The discriminator is the encoder of whatever checkpoint is continued, with a head that answers for every token; it is
what is fine-tuned later. The generator is always an ELECTRA, as it may be narrower than its embeddings. Its weights
are those of the checkpoint wherever name and shape agree: all of them at full width, embeddings and biases at any.

    <folder>/                  the discriminator, which AutoModel opens, and detector.safetensors, its head
                               (of an ELECTRA the head is inside, as transformers saves it)
    <folder>/generator/        the generator, which AutoModelForMaskedLM opens
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    ElectraForPreTraining,
    ElectraModel,
    PretrainedConfig,
)
from transformers.models.electra.modeling_electra import ElectraDiscriminatorPredictions

from pipeline.draws import bits
from pipeline.models import ModelSize, load_as, load_config, load_encoder, load_tokenizer, reinitialise
from pipeline.objectives.discriminator import Difference, Discriminator, WordHead
from pipeline.run.errors import InputError
from pipeline.run.progress import say
from pipeline.tokens import check_tokenizer

KINDS = "bert", "electra", "ernie"
"""Kinds of model that an ELECTRA generator can share its embeddings with."""

GENERATOR, DETECTOR = "generator", "detector.safetensors"

TABLES = "word_embeddings", "position_embeddings", "token_type_embeddings"
"""Embeddings of either model."""

HEADS = {
    "cls.predictions.transform.": "generator_predictions.",
    "cls.predictions.bias": "generator_lm_head.bias",
    "generator_predictions.": "generator_predictions.",
    "generator_lm_head.bias": "generator_lm_head.bias",
}
"""Weights of a head for masked words in a checkpoint -> in the generator."""


@dataclass(frozen=True)
class RtdConfig:
    """Replaced-token detection: who proposes, what is shared, what is learned. [masked] says what is masked."""

    generator_width: float = 0.25
    """Width of a generator made here as a share of the discriminator's, in whole attention heads; a checkpoint that
    has a generator keeps it. 1/4 to 1/2 is best from scratch (Clark et al.); 1 begins with all weights of the
    checkpoint."""
    generator_layers: int = 0
    """Its layers, the lowest of the checkpoint where widths agree; 0 = as many as the discriminator's. DeBERTa-v3
    takes the full width and half of the layers."""
    sharing: Literal["embeddings", "tokens", "disentangled", "none"] = "embeddings"
    """What both models share: all embeddings, those of tokens, or nothing; or all of them so that the discriminator
    learns a difference to the generator's and does not pull at those (He et al. 2023, DeBERTa-v3)."""
    weight: float = 50.0
    """Weight of the mean loss of detection beside that of the generator: a token of two is soon told, one of thousands
    is not (Clark et al. tried 1 to 100)."""
    learns: Literal["detection", "detection_masked", "replace_mlm", "all_tokens_mlm"] = "detection"
    """What the discriminator says: of every token whether it was replaced, or of the masked ones alone; which word was
    written, of the masked ones, or of every token, which it may copy. All but the first are the paper's ablations
    (ELECTRA 15 %, Replace MLM, All-Tokens MLM); beside words, weight = 1."""
    disallow_correct: bool = False
    """Never draw the token as written: every masked token is then a replaced one."""
    train_generator: bool = True
    """Off: the generator stays as the checkpoint has it. After masked language modelling, with generator_width = 1,
    that is the paper's two-stage training."""

    def __post_init__(self) -> None:
        if not 0 < self.generator_width <= 1:
            raise ValueError(f"generator_width = {self.generator_width} must be above 0 and at most 1")
        if self.generator_layers < 0:
            raise ValueError(f"generator_layers = {self.generator_layers} must be 0 or more")
        if self.weight <= 0:
            raise ValueError(f"weight = {self.weight} must be positive: without detection, set objective = mlm")
        if self.disallow_correct and self.learns == "detection_masked":
            raise ValueError(
                "disallow_correct leaves learns = detection_masked nothing to tell: every token is a replaced one"
            )
        if not self.train_generator and self.sharing in ("embeddings", "tokens"):
            raise ValueError(
                f"train_generator = false, but sharing = {self.sharing} would train it: set sharing = none"
            )

    @property
    def names_words(self) -> bool:
        """Whether the discriminator says words, and not which token was replaced."""
        return self.learns.endswith("mlm")


class Electra(nn.Module):
    """Generator and discriminator with the embeddings they share."""

    def __init__(self, generator: ElectraForMaskedLM, discriminator: Discriminator, sharing: str) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        mine, its = discriminator.encoder.embeddings, generator.electra.embeddings
        sizes = [{name: tuple(getattr(each, name).weight.shape) for name in TABLES} for each in (its, mine)]
        if sharing != "none" and sizes[0] != sizes[1]:
            raise InputError(
                f"rtd.sharing = {sharing}, but the generator's embeddings are {sizes[0]} and the discriminator's "
                f"{sizes[1]}: set rtd.sharing = none"
            )
        for name in () if sharing == "none" else TABLES[:1] if sharing == "tokens" else TABLES:
            if sharing == "disentangled":
                setattr(mine, name, Difference(getattr(its, name), getattr(mine, name)))
            else:
                getattr(its, name).weight = getattr(mine, name).weight
        generator.generator_lm_head.weight = its.word_embeddings.weight

    @property
    def config(self) -> PretrainedConfig:
        """That of the discriminator."""
        return self.discriminator.encoder.config

    def get_input_embeddings(self) -> nn.Embedding:
        """The generator's, as many as the discriminator's."""
        return self.generator.get_input_embeddings()

    def num_parameters(self) -> int:
        """Of both, what is shared counted once."""
        return sum(p.numel() for p in self.parameters())

    def save_pretrained(self, folder: Path) -> None:
        """Each in a folder of its own: nothing is shared within a file."""
        encoder, head = self.discriminator.encoder, self.discriminator.head
        state = dict(_whole(encoder.state_dict()))
        if isinstance(head, ElectraDiscriminatorPredictions) and encoder.config.model_type == "electra":
            state = {f"electra.{name}": x for name, x in state.items()}
            state |= {f"discriminator_predictions.{name}": x for name, x in head.state_dict().items()}
            encoder = ElectraForPreTraining(encoder.config)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            save_file({name: x.cpu().contiguous() for name, x in head.state_dict().items()}, folder / DETECTOR)
        encoder.save_pretrained(folder, state_dict=state)
        self.generator.save_pretrained(folder / GENERATOR)


def _whole(state: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The weights of an encoder with each `Difference` as the table that it amounts to."""
    for name, tensor in state.items():
        if name.endswith(".delta.weight"):
            stem = name.removesuffix("delta.weight")
            yield f"{stem}weight", state[f"{stem}base.weight"] + tensor
        elif not name.endswith(".base.weight"):
            yield name, tensor


def open_electra(place: str | Path, seed: int, config: RtdConfig) -> Electra:
    """Both models from a checkpoint; what it does not have is made, its draws from a seed."""
    kind = load_config(place).model_type
    if kind not in KINDS:
        raise InputError(
            f"replaced tokens are drawn by an ELECTRA that shares embeddings, as models of the kinds "
            f"{', '.join(KINDS)} can, and {place} is of the kind {kind}: set objective = mlm, or choose another base"
        )
    discriminator = _discriminator(place, kind, seed, config)
    check_tokenizer(load_tokenizer(place), discriminator.encoder.get_input_embeddings().num_embeddings, str(place))
    if (Path(place) / GENERATOR).is_dir():
        generator = load_as(ElectraForMaskedLM, Path(place) / GENERATOR)
    else:
        generator = new_generator(discriminator.encoder.config, config, seed)
        kept = _warm(generator, place)
        made = generator.config
        say(
            f"  {place} has no generator: one of {made.num_hidden_layers} layers x {made.hidden_size} is made, "
            f"{kept:.0%} of its weights from the checkpoint"
        )
    return Electra(generator, discriminator, config.sharing)


def _discriminator(place: str | Path, kind: str, seed: int, config: RtdConfig) -> Discriminator:
    """The encoder of a checkpoint and its head, as far as it has this one; else a fresh one, words from its head."""
    if kind == "electra" and not config.names_words and not (Path(place) / DETECTOR).exists():
        model, info = load_as(ElectraForPreTraining, place, output_loading_info=True)
        encoder, head = model.electra, model.discriminator_predictions
        found = {} if any(key.startswith("discriminator") for key in info["missing_keys"]) else head.state_dict()
    else:
        encoder = load_encoder(place)
        head = _word_or_number(encoder.config, config)
        found = load_file(Path(place) / DETECTOR) if (Path(place) / DETECTOR).exists() else {}
    if found.keys() != head.state_dict().keys():
        reinitialise(head, encoder.config, int(bits(seed, 0)) >> 1)
        found = _word_head(place) if config.names_words else {}
    head.load_state_dict(found, strict=False)
    return Discriminator(encoder, head)


def new_electra(size: ModelSize, vocab_size: int, pad_id: int, seed: int, config: RtdConfig) -> Electra:
    """Both models from scratch: normal(0, width ** -0.5) of the discriminator's width, as `new_bert`."""
    shape = ElectraConfig(
        vocab_size=vocab_size,
        embedding_size=size.hidden_size,
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
    discriminator = Discriminator(ElectraModel(shape), _word_or_number(shape, config))
    reinitialise(discriminator.head, shape, int(bits(seed, 0)) >> 1)
    generator = new_generator(shape, config, seed)
    for name in TABLES:
        table = getattr(discriminator.encoder.embeddings, name).weight
        getattr(generator.electra.embeddings, name).weight.data.copy_(table.data)
    return Electra(generator, discriminator, config.sharing)


def new_generator(like: PretrainedConfig, config: RtdConfig, seed: int) -> ElectraForMaskedLM:
    """A generator with fresh weights for a discriminator of such a config."""
    layers = config.generator_layers or like.num_hidden_layers
    if layers > like.num_hidden_layers:
        raise InputError(
            f"rtd.generator_layers = {layers}, but the discriminator has {like.num_hidden_layers}: lower it"
        )
    torch.manual_seed(int(bits(seed, 1)) >> 1)
    return ElectraForMaskedLM(_electra(like, layers, config.generator_width))


def _electra(like: PretrainedConfig, layers: int, width: float) -> ElectraConfig:
    """An ELECTRA with the embeddings of another model and a share of its attention heads."""
    heads = max(1, round(width * like.num_attention_heads))
    hidden = heads * (like.hidden_size // like.num_attention_heads)
    same = "vocab_size", "max_position_embeddings", "type_vocab_size", "hidden_act", "hidden_dropout_prob"
    same += "attention_probs_dropout_prob", "initializer_range", "layer_norm_eps", "pad_token_id"
    return ElectraConfig(
        **{name: getattr(like, name) for name in same},
        embedding_size=getattr(like, "embedding_size", like.hidden_size),
        hidden_size=hidden,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        intermediate_size=like.intermediate_size * hidden // like.hidden_size,
    )


@torch.no_grad()
def _warm(generator: ElectraForMaskedLM, place: str | Path) -> float:
    """Give the generator the weights of a checkpoint wherever name and shape agree; which share of its own that is."""
    found, own = _as_electra(place), dict(generator.named_parameters())
    kept = [name for name, tensor in own.items() if name in found and found[name].shape == tensor.shape]
    for name in kept:
        own[name].copy_(found[name])
    return sum(own[name].numel() for name in kept) / sum(p.numel() for p in own.values())


def _word_or_number(like: PretrainedConfig, config: RtdConfig) -> nn.Module:
    """The head of a discriminator for what it learns."""
    if config.names_words:
        return WordHead(_electra(like, 1, 1.0), copies=config.learns == "all_tokens_mlm")
    return ElectraDiscriminatorPredictions(like)


def _word_head(place: str | Path) -> dict[str, Tensor]:
    """What a checkpoint's head for masked words gives a `WordHead`."""
    found, transform = _as_electra(place), "generator_predictions."
    state = {f"transform.{n.removeprefix(transform)}": x for n, x in found.items() if n.startswith(transform)}
    return state | ({"bias": found["generator_lm_head.bias"]} if "generator_lm_head.bias" in found else {})


def _as_electra(place: str | Path) -> dict[str, Tensor]:
    """The weights of a masked language model under the names an ELECTRA has for them, but those that are random."""
    model, info = load_as(AutoModelForMaskedLM, place, output_loading_info=True)
    prefix, found = f"{model.base_model_prefix}.", {}
    for name, tensor in model.state_dict().items():
        if name in info["missing_keys"]:
            continue
        if name.startswith(prefix):
            found[f"electra.{name.removeprefix(prefix)}"] = tensor
        for theirs, ours in HEADS.items():
            if name.startswith(theirs):
                found[ours + name.removeprefix(theirs)] = tensor
    return found
