"""Make raw text into clean, split documents.

    make corpus

reads   the files that the recipe's corpus cards name, under DATA
writes  corpus/general/  train, dev         everyday text, to build a base model from
        corpus/domain/   train, dev         text of the domain, for DAPT
        corpus/task/     train, dev, test   labelled documents, for TAPT and fine-tuning; pairs of [corpus.noise]
        corpus/rejected/ preview.md         what was dropped and why; a look at the rest
        corpus/sources.mk                   the raw files, for make

Task dev and test are read first. No text of theirs is left in task train, domain or general. The state kept while
documents stream through is their fingerprints, and the documents held back as dev.
"""

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from corpora.cards import TARGETS, Card, parse_source
from corpora.cleaning import Reject, Rejected, cleaned, in_silence, with_target
from corpora.dedup import (
    Seen,
    document_id,
    fingerprint,
    identified,
    numbered,
    remembered,
    survey,
    unique,
    without,
    without_sides,
)
from corpora.noise import NoiseConfig, training_pairs
from corpora.pairs import with_pairs
from corpora.parquet import Row, read_batches, write_corpus
from corpora.schemas import DOCUMENTS, InputError
from corpora.sources import documents, files_of
from corpora.splits import HoldOut, sample, split_of
from pipeline.run.processes import progress
from pipeline.run.stage import run

CUT = {"test": 0.2, "dev": 0.1, "train": 0.7}
"""Shares cut from a task's train split in place of an official dev or test it does not have."""


CORPORA = ("general", "domain", "task", "noise")
"""What a recipe can make of cards."""


@dataclass(frozen=True)
class CorpusConfig:
    """The section [corpus] of a recipe."""

    general: tuple[str, ...] = ()
    """Cards of everyday text, each `card` or `card:split+split`; without splits, `unlabeled` or else all."""
    domain: tuple[str, ...] = ()
    """Cards of the text to adapt to."""
    task: str = ""
    """Card of the labelled corpus to adapt to and to be measured on."""
    task_text: tuple[str, ...] = ()
    """Columns of the task's files that make its text, one below the other, instead of what its card says: to see which
    fields help."""
    task_text_pair: tuple[str, ...] = ()
    """The same of its second text."""
    language: str = "zh"
    """Language of all of these; decides how text is cut into words."""
    task_train_rows: int = 0
    """Task documents to train on, a fixed sample in which a smaller one is contained; 0 takes all."""
    min_chars: int = 2
    """Shorter documents are dropped; white space does not count."""
    dev_share: float = 0.02
    """Share of the general and domain documents held back, to see that pretraining helps text it has not seen."""
    dev_documents: int = 1000
    """At most so many are held back."""
    shard_rows: int = 5000
    """Documents a shard: what one process takes at a time in the stages after this."""
    seed: int = 0
    """Another seed, another sample of `task_train_rows`."""
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    """Correct text made wrong, to learn its correction: pairs added to the task's train, or a task of their own."""

    def __post_init__(self) -> None:
        if not 0 <= self.dev_share < 1:
            raise ValueError(f"dev_share = {self.dev_share} must be at least 0 and less than 1")
        if self.shard_rows < 1 or min(self.task_train_rows, self.min_chars, self.dev_documents) < 0:
            raise ValueError("shard_rows must be at least 1; task_train_rows, min_chars, dev_documents at least 0")


def prepare(config: CorpusConfig, data: Path, out: Path) -> dict[str, float]:
    """Write the corpora of the recipe; documents by corpus and split, and dropped ones by reason."""
    _check(config, data)
    work = Work(config, data, out, Rejected(out / "rejected"))
    counts = _task(work) if config.task or config.noise.text else {}
    for corpus in ("domain", "general"):
        counts |= _text(corpus, work) if getattr(config, corpus) else {}
    work.rejected.flush()
    write_preview(out / "preview.md", counts, work.rejected)
    write_dependencies(out / "sources.mk", sources(config, data))
    return counts | {f"rejected/{reason}": count for reason, count in work.rejected.reasons().most_common()}


def sources(config: CorpusConfig, data: Path) -> list[Path]:
    """Every file the documents depend on: the cards, and the raw files these name."""
    parts = [part for corpus in CORPORA for part in _parts(config, corpus, data)]
    cards = [_near(card.path) for card, _ in parts]
    files = [file for card, splits in parts for split in splits for file in files_of(card, split, data)]
    return list(dict.fromkeys(cards + files + [*config.noise.confusion_files(data).values()]))


@dataclass(frozen=True)
class Work:
    """What the corpora of a recipe share while they are written."""

    config: CorpusConfig
    data: Path
    out: Path
    rejected: Rejected
    held_out: set[int] = field(default_factory=set)
    """Fingerprints of all task dev and test text."""
    repaired: Counter[str] = field(default_factory=Counter)
    """Kind -> pairs of source and target that were repaired."""

    def documents(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """Usable documents of a split, with their ids."""
        rows = cleaned(documents(card, split, self.data, reject), self.config.min_chars, reject)
        return identified(rows, card.name, f"{card.name}:{split}")

    def write(self, name: str, rows: Iterable[Row]) -> int:
        """Write a split of a corpus; the number of its documents."""
        return write_corpus(self.out / name, DOCUMENTS, progress(rows, None, name), self.config.shard_rows)


def _text(corpus: str, work: Work) -> dict[str, float]:
    """A corpus of plain text: its duplicates and all text of the task's dev and test dropped, a part held back."""
    seen, back = Seen(), HoldOut(work.config.dev_share, work.config.dev_documents)

    def rows(card: Card, split: str) -> Iterator[Row]:
        reject = work.rejected.of(corpus, f"{card.name}:{split}")
        clean = without_sides(work.documents(card, split, reject), work.held_out, "contaminated", reject)
        return unique(clean, seen, reject)

    parts = _parts(work.config, corpus, work.data)
    found = chain.from_iterable(rows(card, split) for card, splits in parts for split in splits)
    train = work.write(f"{corpus}/train", back.rest(found))
    dev = work.write(f"{corpus}/dev", back.held)
    _some_left(corpus, train, train + dev, work.rejected.reasons(corpus))
    return {f"{corpus}/train": train, f"{corpus}/dev": dev}


class Task:
    """The labelled corpus, split by split; what a split is when the card does not have it."""

    def __init__(self, work: Work) -> None:
        self.work = work
        [(self.card, self.splits)] = _parts(work.config, "task", work.data)
        self.shares = {split: share for split, share in CUT.items() if split == "train" or split not in self.splits}
        self.not_sampled = 0

    def rows(self, split: str) -> Iterator[Row]:
        """Official dev and test as they are; else the rows of train that belong here, each text once."""
        if split in self.splits and split != "train":
            return numbered(self._usable(split, self.reject(split)))
        if "train" not in self.splits:
            return _misspelt(self.work, split, self.shares)
        texts, contradictory = survey(self._part(split, in_silence), self.card.target)
        reject = self.reject("train")
        rows = self._part(split, reject if split == "train" else in_silence)  # the unreadable is told once
        rows = unique(without(rows, contradictory, "conflicting_label", reject), Seen(), reject)
        known = without_sides if self.card.target == "target" else without  # the right text gives the answer away
        rows = known(rows, self.work.held_out, "in_dev_or_test", reject)
        if split != "train":
            return rows
        sampled = self._sampled(rows, texts - contradictory - self.work.held_out)
        return chain(sampled, _misspelt(self.work, split, {"train": 1.0}))

    def reject(self, split: str) -> Reject:
        """The function to tell of what is dropped from a split."""
        return self.work.rejected.of("task", f"{self.card.name}:{split}")

    def _usable(self, split: str, reject: Reject) -> Iterator[Row]:
        rows = self.work.documents(self.card, split, reject)
        if self.card.target == "target":
            return with_pairs(rows, reject, Counter() if reject is in_silence else self.work.repaired)
        return with_target(rows, self.card.target, reject)

    def _part(self, split: str, reject: Reject) -> Iterator[Row]:
        """The rows of train whose first text is given to `split`: two pairs that share it stay together."""
        for row in self._usable("train", reject):
            if len(self.shares) == 1 or split_of(f"{fingerprint(row['text']):016x}", self.shares) == split:
                yield row

    def _sampled(self, rows: Iterable[Row], texts: set[int]) -> Iterable[Row]:
        size = self.work.config.task_train_rows
        if not 0 < size < len(texts):
            return rows
        self.not_sampled = len(texts) - size
        chosen = set(sample((document_id(self.card.name, number) for number in texts), size, self.work.config.seed))
        return (row for row in rows if row["id"] in chosen)


def _misspelt(work: Work, split: str, shares: Mapping[str, float]) -> Iterable[Row]:
    """Pairs of misspelt text, as [corpus.noise] says: those of a split, where the others have their shares too."""
    parts, config = _parts(work.config, "noise", work.data), work.config.noise
    if not parts:
        return ()
    first = split == next(iter(shares))  # the unreadable is told once
    told = lambda origin: work.rejected.of("noise", origin) if first else in_silence
    rows = training_pairs(config, parts, work.data, work.held_out, told)
    return (row for row in rows if len(shares) == 1 or split_of(row["id"], shares) == split)


def _task(work: Work) -> dict[str, float]:
    """Write the labelled corpus; dev and test first, so that train can be kept clear of them."""
    task = Task(work) if work.config.task else None
    counts: dict[str, float] = {}
    labels: dict[str, dict[str, str]] = {}
    for split in ("test", "dev", "train"):
        rows = task.rows(split) if task else _misspelt(work, split, CUT)
        rows = _noting_labels(rows, labels.setdefault(split, {}))
        count = work.write(f"task/{split}", rows if split == "train" else remembered(rows, work.held_out))
        _some_left(f"task {split}", count, count, work.rejected.reasons("task"))
        counts = {f"task/{split}": count} | counts
    if task:
        _check_labels(task, labels)
    counts |= {"task/classes": len(labels["train"])} if labels["train"] else {}
    counts |= {f"repaired/{kind}": count for kind, count in sorted(work.repaired.items())}
    return counts | ({"task/not_sampled": task.not_sampled} if task and task.not_sampled else {})


def _noting_labels(rows: Iterable[Row], labels: dict[str, str]) -> Iterator[Row]:
    """The rows unchanged; into `labels` goes each label and the place where it first stood."""
    for row in rows:
        for label in _labels_of(row):
            labels.setdefault(label, row["place"])
        yield row


def _labels_of(row: Row) -> Iterable[str]:
    """What a model has to know of a row: its label or labels, or the types of its tags (PER of B-PER)."""
    kinds = {tag.partition("-")[2] for tag in row.get("tags") or ()}
    return filter(None, [*(row.get("labels") or ()), row.get("label"), *sorted(kinds)])


def _check_labels(task: Task, labels: dict[str, dict[str, str]]) -> None:
    """A model needs two classes, or a type of span, and cannot be measured on one it never saw."""
    known, target = labels["train"], task.card.target
    if target not in ("label", "labels", "tags"):
        return
    remedy = "raise corpus.task_train_rows" if task.not_sampled else f"correct the files of {task.card.path}"
    if target == "tags" and not known:
        raise InputError(f"every tag in task train of card {task.card.name} is O: {remedy}")
    if target != "tags" and len(known) < 2:
        raise InputError(f"only one class in task train of card {task.card.name} ({', '.join(known)}): {remedy}")
    for split in ("dev", "test"):
        for label, place in labels[split].items():
            if label not in known:
                raise InputError(f"label {label!r} of task {split} ({place}) never occurs in task train: {remedy}")


def _some_left(what: str, train: int, kept: int, reasons: Counter[str]) -> None:
    if not train:
        top = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(1)) or "the files are empty"
        total = kept + reasons.total()
        raise InputError(f"0 of {total} documents left for {what}; top reason: {top}: look into the files of its card")


def _check(config: CorpusConfig, data: Path) -> None:
    """All that is wrong with the cards of a recipe, before the first file is read."""
    parts = [part for corpus in CORPORA for part in _parts(config, corpus, data)]
    if not parts:
        raise InputError("the recipe names no corpus: set corpus.general, corpus.domain or corpus.task")
    config.noise.confusion_files(data)  # refuses one that is not there
    if other := [f"{card.name} ({card.language})" for card, _ in parts if card.language != config.language]:
        raise InputError(f"corpus.language is {config.language}, but not that of {', '.join(other)}: set one language")
    for card, splits in _parts(config, "task", data):
        if card.target is None or ("train" not in splits and not config.noise.text):
            raise InputError(
                f"card {card.name} cannot be a task: it needs a train split and one of {', '.join(TARGETS)}"
            )
        if config.noise.text and card.target != "target":
            raise InputError(
                f"corpus.noise makes pairs of source and target, and card {card.name} has {card.target}: leave it out"
            )
        if card.target == "target" and (config.task_text or config.task_text_pair):
            raise InputError("corpus.task_text is not for spelling correction: what is read is the source")


def _parts(config: CorpusConfig, corpus: str, data: Path) -> list[tuple[Card, tuple[str, ...]]]:
    """The cards of a corpus, each with the splits to read."""
    if corpus == "task":
        parsed = [parse_source(config.task, data)] if config.task else []
        parsed = [(_with_columns(card, config), named) for card, named in parsed]
        return [(card, tuple(s for s in named or card.splits if s != "unlabeled")) for card, named in parsed]
    sources = config.noise.text if corpus == "noise" else getattr(config, corpus)
    parsed = [parse_source(source, data) for source in sources]
    return [(card, named or card.text_splits) for card, named in parsed]


def _with_columns(card: Card, config: CorpusConfig) -> Card:
    """The task's card, its texts read from other columns where the recipe says so."""
    others = {"text": list(config.task_text), "text_pair": list(config.task_text_pair)}
    return replace(card, fields=card.fields | {role: columns for role, columns in others.items() if columns})


def write_preview(path: Path, counts: dict[str, float], rejected: Rejected) -> None:
    """A page to look at: how many documents, the first few of each, how many were dropped and why."""
    parts = [name for name in counts if name.endswith(("/train", "/dev", "/test"))]
    lines = ["# Corpus", "", "| documents | |", "|---|---:|", *(f"| {name} | {counts[name]:,} |" for name in parts)]
    lines += ["", "| dropped from | because | |", "|---|---|---:|"]
    lines += [f"| {corpus} | {reason} | {count:,} |" for (corpus, reason), count in sorted(rejected.counts.items())]
    for name in parts:
        lines += ["", f"## {name}", "", *_preview_rows(path.parent / name)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _preview_rows(folder: Path, rows: int = 3) -> Iterator[str]:
    batch = next(read_batches(folder, ["text", "text_pair", "label", "target"], rows))
    for text, pair, label, target in zip(*batch.values(), strict=True):
        shown = " ‖ ".join(_inert(part) for part in (text, pair) if part) + (f" → {_inert(target)}" if target else "")
        yield f"- {f'**{_inert(label)}** ' if label else ''}{shown}"


def _inert(text: str, longest: int = 200) -> str:
    """Text that can do nothing in a page or a terminal: no markup, control and direction characters spelled out."""
    cut = text[:longest] + ("…" if len(text) > longest else "")
    visible = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in " ".join(cut.split()))
    return html.escape(visible).replace("|", "&#124;").replace("`", "&#96;")


def write_dependencies(path: Path, files: list[Path]) -> None:
    """What make has to look at; the empty rule of each file lets it go on when one was moved away."""
    names = [_for_make(file) for file in files]
    rule = " \\\n  ".join(["$(RUN)/corpus/manifest.json:", *names])
    targets = [name.replace("%", "\\%") + ":" for name in names]  # in a target, and only there, % is a pattern
    path.write_text("\n".join([rule, "", *targets, ""]), encoding="utf-8")


def _for_make(path: Path) -> str:
    name = str(path).replace("$", "$$")
    for special in " #:":
        name = name.replace(special, f"\\{special}")
    return name


def _near(path: Path) -> Path:
    """Relative where it lies below, so that a project can be moved."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


if __name__ == "__main__":
    run(prepare, version=2, sources=sources)
