"""Toys: tokenizers of a few dozen words, models of width 16, a corpus one can read."""

import gc
import os
from dataclasses import replace

os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # torch's pool of compilers hangs in the processes that tests fork
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # one test a core: more threads would wait for each other

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from kernel import kernel  # noqa: F401  a fixture
from kitchen import ARTIFACTS, Kitchen
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.training.replay import Replay

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


def pytest_configure() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported is there to stay: every training has garbage collected, and would walk all of it each time."""
    gc.freeze()
    gc.enable()


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ZH = "我们爱这家店的菜很好吃难味道服务不错差太"
EN = "the film is good bad play ##s ##ed ##er and un ##able a b i , . !"
WORDS = [*SPECIAL, "[unused1]", *ZH, *(f"##{char}" for char in "好吃"), *EN.split()]
"""The vocabulary of the toy BERT: its ids are places in this list."""

TEXTS = [
    "这家店的菜很好吃",
    "味道太差",
    "服务很好。",
    "the film is good",
    "a bad film , played and unable !",
    "我们爱吃",
]

names = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


def wordpiece() -> PreTrainedTokenizerFast:
    """As BERT's: lower case, Chinese characters stand alone, `play ##ed`."""
    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)


def template(tokenizer: Tokenizer, start: str, end: str) -> processors.TemplateProcessing:
    special = [(name, tokenizer.token_to_id(name)) for name in (start, end)]
    return processors.TemplateProcessing(
        single=f"{start} $A {end}", pair=f"{start} $A {end} $B:1 {end}:1", special_tokens=special
    )


def byte_level(trim_offsets: bool) -> PreTrainedTokenizerFast:
    """As RoBERTa's (trimmed offsets) and ModernBERT's: the blank before a word is part of its first token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    if trim_offsets:
        pair = [(name, tokenizer.token_to_id(name)) for name in ("</s>", "<s>")]
        tokenizer.post_processor = processors.RobertaProcessing(*pair, trim_offsets=True, add_prefix_space=False)
    else:
        tokenizer.post_processor = template(tokenizer, "<s>", "</s>")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=32,
        **{
            "pad_token": "<pad>",
            "unk_token": "<unk>",
            "cls_token": "<s>",
            "sep_token": "</s>",
            "mask_token": "<mask>",
        },
    )


def metaspace() -> PreTrainedTokenizerFast:
    """As XLM-RoBERTa's and DeBERTa's: a unigram model over text whose blanks are written ▁."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80, special_tokens=list(SPECIAL), unk_token="[UNK]", show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=32, **names)


@pytest.fixture(scope="session")
def families() -> dict[str, PreTrainedTokenizerFast]:
    """A tokenizer of each family whose offsets differ in kind."""
    return {
        "wordpiece": wordpiece(),
        "byte-level": byte_level(trim_offsets=False),
        "byte-level trimmed": byte_level(trim_offsets=True),
        "metaspace": metaspace(),
    }


@pytest.fixture(scope="session")
def tokenizer(families) -> PreTrainedTokenizerFast:
    """The WordPiece tokenizer; its vocabulary is WORDS."""
    return families["wordpiece"]


@pytest.fixture(scope="session")
def new_model(families) -> Callable[..., PreTrainedModel]:
    """`new_model("bert", dropout=0.0, seed=0)`: a tiny model of an architecture, random weights."""
    kinds = {
        "bert": ("wordpiece", BertConfig, BertForMaskedLM, 32),
        "roberta": ("byte-level trimmed", RobertaConfig, RobertaForMaskedLM, 34),  # positions start at 2
        "modernbert": ("byte-level", ModernBertConfig, ModernBertForMaskedLM, 32),
    }

    def new(kind: str = "bert", dropout: float = 0.1, seed: int = 0) -> PreTrainedModel:
        family, config, model, positions = kinds[kind]
        tokenizer = families[family]
        settings = {
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": positions,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.cls_token_id,
            "eos_token_id": tokenizer.sep_token_id,
        }
        dropouts = ["hidden_dropout_prob", "attention_probs_dropout_prob"]
        if kind == "modernbert":
            settings |= {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
            dropouts = ["attention_dropout", "embedding_dropout", "mlp_dropout"]
        torch.manual_seed(seed)
        return model(config(**settings, **dict.fromkeys(dropouts, dropout))).eval()

    return new


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory, new_model, families) -> dict[str, Path]:
    """A folder with model and tokenizer of each architecture."""
    folder, found = tmp_path_factory.mktemp("checkpoints"), {}
    for kind, family in (("bert", "wordpiece"), ("roberta", "byte-level trimmed"), ("modernbert", "byte-level")):
        found[kind] = folder / kind
        new_model(kind).save_pretrained(found[kind])
        families[family].save_pretrained(found[kind])
    return found


@pytest.fixture(scope="session")
def vocabulary(tokenizer) -> Vocabulary:
    replaceable = np.array([i for i, word in enumerate(WORDS) if not word.startswith("[")], dtype=np.int32)
    return Vocabulary(tokenizer.mask_token_id, replaceable)


@pytest.fixture(scope="session")
def sequences() -> Sequences:
    """24 sequences of 5 to 16 ids of the toy vocabulary, words of one to three tokens."""
    draw = np.random.default_rng(0)
    ids, words, names = [], [], []
    for number in range(24):
        length = int(draw.integers(3, 15))
        word = np.repeat(np.arange(length), draw.integers(1, 4, length))[:length]
        ids.append([2, *draw.integers(6, len(WORDS), length), 3])
        words.append([-1, *word, -1])
        names.append(f"toy-{number}")
    offsets = np.cumsum([0, *map(len, ids)])
    importance = draw.integers(1, 256, offsets[-1]).astype(np.uint8)
    flat = [np.concatenate(column).astype(np.int32) for column in (ids, words)]
    return Sequences(np.array(names, dtype="S"), offsets, *flat, importance)


@pytest.fixture(scope="session")
def masked_batches(sequences, vocabulary) -> MaskedBatches:
    """The sequences, a third of their words masked anew at every visit."""
    return MaskedBatches(sequences, MaskingConfig(policy="whole_word", mask_rate=0.3), vocabulary, pad_id=0)


@pytest.fixture(scope="session")
def general(sequences, vocabulary) -> MaskedBatches:
    """Seven other sequences, masked in another way."""
    places = sequences.places(np.arange(7))[::-1].copy()  # the same words backwards: no row is one of the domain's
    columns = {name: getattr(sequences, name)[places] for name in ("input_ids", "word_ids", "importance")}
    offsets = np.cumsum([0, *sequences.lengths(np.arange(7))[::-1]])
    names = np.array([f"general-{i}" for i in range(7)], dtype="S")
    return MaskedBatches(
        replace(sequences, id=names, offsets=offsets, **columns), MaskingConfig("random"), vocabulary, 0
    )


@pytest.fixture(scope="session")
def replay(masked_batches, general) -> Replay:
    return Replay(masked_batches, general, 0.3)


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory) -> Kitchen:
    """Everything of the toy recipe, made once."""
    torch.set_num_threads(1)
    it = Kitchen(tmp_path_factory.mktemp("chain"))
    for artifact in ARTIFACTS:
        stage, folders = it.made_from(artifact)
        assert it.make(stage, artifact, **folders) == 0
    return it
