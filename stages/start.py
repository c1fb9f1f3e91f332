"""The checkpoint everything starts from: a named one, or one built from scratch on general text.

    make base                                   # from the recipe
    make base BASE=hfl/chinese-macbert-base     # a hub name or a local folder

reads   corpus/general/  text for tokenizer and pretraining where there is no base, and to check the base with
writes  base/            model and tokenizer, ready for Auto….from_pretrained
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import flat_columns, read_batches, write_corpus
from corpora.schemas import MASKED
from corpora.segment import Segmenter, WordsConfig
from pipeline.batches import Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.models import ModelSize, load_tokenizer, model_card, save
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.pretraining import Text, learn
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.processes import main_first, rank, say
from pipeline.run.stage import run
from pipeline.tokens import check_tokenizer, sequence_rows, train_wordpiece, unknown_rate
from pipeline.trainer import TrainerConfig

SEQUENCE_COLUMNS = ("id", "input_ids", "word_ids", "importance")


@dataclass(frozen=True)
class BaseConfig(ModelSize, WordsConfig, ObjectiveConfig):
    """A base to load, or one to build: of this size, with these settings."""

    model: str = ""
    """Local folder or hub name; empty = build from scratch with the settings below."""
    vocab_size: int = 8000
    """Entries of the tokenizer trained on the general text."""
    lowercase: bool = True
    """Whether that tokenizer lowers case and strips accents (BERT uncased)."""
    documents: int = 0
    """How many documents of the general text to learn from, from the first; 0 = all."""
    max_unknown: float = 0.05
    """Refuse a base whose tokenizer does not know more than this share of the tokens of the general text."""
    masking: MaskingConfig = field(default_factory=lambda: MaskingConfig(policy="whole_word"))
    """Masking of the pretraining from scratch."""
    trainer: TrainerConfig = field(default_factory=lambda: TrainerConfig(learning_rate=1e-3))
    """Length and pace of the pretraining from scratch."""

    def __post_init__(self) -> None:
        ModelSize.__post_init__(self)
        WordsConfig.__post_init__(self)
        ObjectiveConfig.__post_init__(self)
        if self.masking.policy == "selective":
            raise ValueError(
                "masking.policy = selective needs a tagger, which needs a base: choose whole_word or random"
            )
        if self.masking.replacement != "mask":
            raise ValueError(f"masking.replacement = {self.masking.replacement} needs substitutes, which need a base")


def start(config: BaseConfig, general: Path | None, out: Path) -> dict[str, float]:
    """Load and check the named base, or build one."""
    if config.model:
        return _named(config, general, out)
    if general is None:
        raise InputError("no base: give BASE=<folder or hub name>, or name general text in [corpus] to build one from")
    return _from_scratch(config, general, out)


def _named(config: BaseConfig, general: Path | None, out: Path) -> dict[str, float]:
    method, tokenizer = config.method, load_tokenizer(config.model)
    model = method.open(config.model, config.trainer.seed)
    method.prepare(model, tokenizer)
    metrics = {"parameters": model.num_parameters(), "vocabulary": len(tokenizer)}
    if general is not None:
        metrics["unknown_rate"] = _checked_unknown_rate(config, tokenizer, general)
    if rank() == 0:
        save(model, tokenizer, out, model_card("Base", config.model, "A copy of the base, unchanged.", metrics))
    return metrics


def _from_scratch(config: BaseConfig, general: Path, out: Path) -> dict[str, float]:
    say("  training a tokenizer")
    main_first(lambda: _tokenizer(config, general, out))
    tokenizer = load_tokenizer(out)
    unknown = _checked_unknown_rate(config, tokenizer, general)
    size = ModelSize(**{field.name: getattr(config, field.name) for field in fields(ModelSize)})
    method = config.method
    model = method.new(size, len(tokenizer), tokenizer.pad_token_id, config.trainer.seed)
    check_tokenizer(tokenizer, model.get_input_embeddings().num_embeddings, "the base")
    train, dev = main_first(lambda: _sequences(config, tokenizer, general, out))
    text = Text(train, dev, config.masking)
    metrics = learn(model, tokenizer, text, config.trainer, out, "base", method)
    metrics |= {"unknown_rate": unknown, "vocabulary": len(tokenizer), "parameters": model.num_parameters()}
    if rank() == 0:
        card = model_card(
            "Base",
            "none",
            f"Pretrained from scratch on general text by {method.called}.",
            {**metrics, "layers": config.layers},
        )
        save(model, tokenizer, out, card)
    return metrics


def _tokenizer(config: BaseConfig, general: Path, out: Path) -> None:
    if not (out / "tokenizer.json").exists():
        texts = lambda: (text for batch in _documents(config, general / "train") for text in batch["text"])
        train_wordpiece(texts, config.vocab_size, config.max_length, config.lowercase).save_pretrained(out)


def _sequences(
    config: BaseConfig, tokenizer: PreTrainedTokenizerBase, general: Path, out: Path
) -> tuple[Sequences, Sequences]:
    """Sequences of the general text, written once to the draft's scratch folder and mapped into memory."""
    found = []
    for part in ("train", "dev"):
        scratch = out / SCRATCH / part
        if not (scratch / "flat" / "done").exists():
            write_corpus(scratch, MASKED, _rows(config, tokenizer, general / part))
        found.append(Sequences(**flat_columns(scratch, SEQUENCE_COLUMNS, scratch / "flat")))
    return found[0], found[1]


def _rows(config: BaseConfig, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Iterator[dict[str, object]]:
    spans = (Segmenter("unicode") if config.masking.policy == "random" else Segmenter.of(config)).spans
    for batch in _documents(config, folder):
        for row in sequence_rows(batch, tokenizer, spans, config.max_length - config.method.added):
            words = row["word_ids"] >= 0  # importance 0 would say: never to be chosen
            yield {**row, "importance": words.astype("u1"), "masked": np.zeros_like(words)}


def _documents(config: BaseConfig, folder: Path) -> Iterator[dict[str, list]]:
    batches = read_batches(folder, ("id", "text", "text_pair"))
    return islice(batches, -(-config.documents // 1024)) if config.documents else batches


def _checked_unknown_rate(config: BaseConfig, tokenizer: PreTrainedTokenizerBase, general: Path) -> float:
    """Fact 6 of transformers 5: a tokenizer whose vocabulary was not found loads without a word, and knows nothing."""
    texts = next(read_batches(general, ("text",)))["text"]
    rate = unknown_rate(tokenizer, texts)
    if rate > config.max_unknown:
        raise InputError(
            f"{rate:.1%} of the tokens of {general} are unknown to the tokenizer (more than base.max_unknown = "
            f"{config.max_unknown:.0%}): the base is for another language, or its vocabulary file was not found"
        )
    return rate


def sources(config: BaseConfig) -> list[Path]:
    """The files of a base given as a local folder."""
    folder = Path(config.model)
    return sorted(p for p in folder.iterdir() if p.is_file()) if config.model and folder.is_dir() else []


if __name__ == "__main__":
    run(start, version=3, sources=sources)
