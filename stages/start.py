"""The checkpoint everything starts from: a named one, or one built from scratch on general text.

    make base                                   # from the recipe
    make base BASE=hfl/chinese-macbert-base     # a hub name or a local folder
    make base BASE=… SET="base.vocabulary.words=1000"    # with words of the domain added to its vocabulary

reads   corpus/general/  text for tokenizer and pretraining where there is no base, and to check the base with
        corpus/domain/, corpus/task/   where words are added: what they are taken from, and measured on
writes  base/            model and tokenizer, ready for Auto….from_pretrained; vocabulary.md where words were added
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpora.parquet import flat_columns, read_batches, write_corpus
from corpora.schemas import MASKED
from corpora.segment import Segmenter, WordsConfig
from corpora.vocabulary import sampled
from pipeline.batches import Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.models import ModelSize, load_tokenizer, model_card, save
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.pretraining import Text, learn
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED
from pipeline.run.processes import main_first, rank
from pipeline.run.progress import say
from pipeline.run.stage import run
from pipeline.tokens import Spans, check_tokenizer, encode, sequence_rows, unknown_rate
from pipeline.training.config import TrainerConfig
from pipeline.vocabulary.choosing import VocabularyConfig, counted, taken
from pipeline.vocabulary.extending import extended, rows_of, widen
from pipeline.vocabulary.families import family_of
from pipeline.vocabulary.fertility import Fertility
from pipeline.vocabulary.pages import measures, vocabulary_page
from pipeline.vocabulary.wordpiece import train_wordpiece

MEASURED = 2048
"""Held-out documents of each corpus on which new words are measured."""

FEW = (
    "{:,} words were found where {:,} were asked for: no others stand often enough in several tokens (of Chinese, a "
    "BERT tokenizer can only be given characters that it does not know)."
)

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
    vocabulary: VocabularyConfig = field(default_factory=VocabularyConfig, metadata=ADDED)
    """Words of domain and task that are added to a named base."""

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
        self._check_vocabulary()

    def _check_vocabulary(self) -> None:
        """What new words ask for."""
        if not self.vocabulary.words and self.vocabulary != VocabularyConfig():
            raise ValueError("vocabulary. has settings, and vocabulary.words = 0: set it, or drop them")
        if self.vocabulary.words and not self.model:
            raise ValueError(
                "vocabulary.words are added to a base that is there: name it in model (BASE=…), or give one built "
                "from scratch a larger vocab_size"
            )
        if self.vocabulary.words and self.objective == "rtd":
            raise ValueError(
                "vocabulary.words are added to one model, and objective = rtd makes two: leave base.objective out; "
                "dapt.objective = rtd makes both from what it finds"
            )


def start(
    config: BaseConfig, general: Path | None, domain: Path | None, task: Path | None, out: Path
) -> dict[str, float]:
    """Load and check the named base, or build one."""
    if config.model:
        corpora = {"domain": domain, "task": task, "general": general}
        return _named(config, {name: folder for name, folder in corpora.items() if folder is not None}, out)
    if general is None:
        raise InputError("no base: give BASE=<folder or hub name>, or name general text in [corpus] to build one from")
    return _from_scratch(config, general, out)


def _named(config: BaseConfig, corpora: dict[str, Path], out: Path) -> dict[str, float]:
    method, tokenizer = config.method, load_tokenizer(config.model)
    model = method.open(config.model, config.trainer.seed)
    method.prepare(model, tokenizer)
    metrics = {"parameters": model.num_parameters(), "vocabulary": len(tokenizer)}
    if "general" in corpora:
        metrics["unknown_rate"] = _checked_unknown_rate(config, tokenizer, corpora["general"])
    told = "A copy of the base, unchanged."
    if config.vocabulary.words:
        tokenizer, added = _with_new_words(config, model, tokenizer, corpora, out)
        metrics |= {"parameters": model.num_parameters(), "vocabulary": len(tokenizer), **added}
        told = f"The base, and {added['words_added']:,} words of the domain that it read in pieces (vocabulary.md)."
    if rank() == 0:
        save(model, tokenizer, out, model_card("Base", config.model, told, metrics))
    return metrics


def _with_new_words(
    config: BaseConfig,
    model: PreTrainedModel,
    old: PreTrainedTokenizerBase,
    corpora: dict[str, Path],
    out: Path,
) -> tuple[PreTrainedTokenizerBase, dict[str, float]]:
    """Widen the model in place; the new tokenizer, and what was added and measured."""
    if not corpora.keys() & {"domain", "task"}:
        raise InputError("no text to take words from: name some in corpus.domain or corpus.task")
    texts, spans = _counted_texts(config, corpora), Segmenter.of(config).spans
    say("  counting words of several tokens")
    family = family_of(old, config.model)
    found = taken(family, counted(family, old, texts, spans), config.vocabulary)
    new = extended(old, family, config.model) if found else old
    if found:
        widen(model, rows_of(new, family))
    before, after = ({name: _fertility(t, corpora[name], spans) for name in corpora} for t in (old, new))
    notes = [FEW.format(len(found), config.vocabulary.words)] if len(found) < config.vocabulary.words else []
    for note in notes:
        say(f"  {note}")
    if rank() == 0:
        (out / "vocabulary.md").write_text(vocabulary_page(found, before, after, notes), encoding="utf-8")
    return new, {"words_added": len(found), "entries_added": len(family.made), **measures(before, after)}


def _counted_texts(config: BaseConfig, corpora: dict[str, Path]) -> Iterator[str]:
    """Training texts of domain and task, at most as many documents of each as are to be counted."""
    for name in filter(corpora.__contains__, ("domain", "task")):
        for row in sampled(corpora[name] / "train", config.vocabulary.documents):
            yield from filter(None, (row["text"], row["text_pair"]))


def _fertility(tokenizer: PreTrainedTokenizerBase, folder: Path, spans: Spans) -> Fertility:
    """On held-out documents of a corpus: no word was taken from them."""
    batches = islice(read_batches(folder / "dev", ("text",), 256), MEASURED // 256)
    read = (one for batch in batches for one in encode(tokenizer, batch["text"], spans))
    return Fertility.of(((one.input_ids, one.word_ids) for one in read), tokenizer.unk_token_id)


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
