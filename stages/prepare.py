"""Make raw text into clean, split documents.

    make corpus

reads   the files that the recipe's corpus cards name, under DATA
writes  corpus/general/  train, dev         everyday text, to build a base model from
        corpus/domain/   train, dev         text of the domain, for DAPT
        corpus/task/     train, dev, test   labelled documents, for TAPT and fine-tuning; pairs of [corpus.noise]
        corpus/beside/<card>/   the same    other tasks, to learn beside this one
        corpus/elsewhere/<card>/    test    rows of another source with the same labels, to be tested on as well
        corpus/rejected/ preview.md         what was dropped and why; a look at the rest
        corpus/sources.mk                   the raw files, for make

Dev and test of all labelled corpora are read first. No text of theirs is left in any train, and no run of 24
characters or 13 words of it in domain or general. The state kept while documents stream through are fingerprints,
those runs, and the documents held back as dev.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from pathlib import Path

from corpora.cards import TARGETS, Card, parse_source
from corpora.cleaning import Reject, Rejected, cleaned, in_silence
from corpora.contamination import Grams, clear, noted
from corpora.dedup import Seen, identified, numbered, remembered, unique, without_sides
from corpora.furniture import repeated_lines, without_lines
from corpora.labelled import CUT, Kept, Labelled, none, noting_labels, refuse_unknown, usable
from corpora.near import Met, near
from corpora.noise import NoiseConfig, training_pairs
from corpora.parquet import Row, write_corpus
from corpora.previews import write_preview
from corpora.quality import of_quality
from corpora.rewriting import rewrites, rewritten
from corpora.schemas import DOCUMENTS, InputError
from corpora.sources import documents, files_of, other_encodings
from corpora.splits import HoldOut, split_of
from corpora.templates import templates, without_templates
from pipeline.run.artifact import ADDED
from pipeline.run.processes import progress, say
from pipeline.run.stage import run

CORPORA = ("general", "domain", "task", "beside", "elsewhere", "noise")
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
    task_templates: float = field(default=0.0, metadata=ADDED)
    """Sentences that stand in at least this share of the task's training rows are taken out of its text: templates of
    the page they come from; 0 = none are. 0.02 to begin with."""
    beside: tuple[str, ...] = field(default=(), metadata=ADDED)
    """Cards of labelled corpora that `make finetuned-multitask` learns beside the task."""
    elsewhere: tuple[str, ...] = field(default=(), metadata=ADDED)
    """Cards with the task's labels from another source, whose test rows every fine-tuned model is tested on as well:
    does what was learned hold there?"""
    language: str = "zh"
    """Language of all of these; decides how text is cut into words."""
    task_train_rows: int = 0
    """Task documents to train on, a fixed sample in which a smaller one is contained; 0 takes all."""
    drop_near_duplicates: bool = field(default=False, metadata=ADDED)
    """Drop documents of domain and general text that share about 0.7 of their runs of five characters, or words, with
    one before (MinHash); preview.md shows pairs. Off, as templated text may fall together that is no copy."""
    strip_markup: bool = field(default=False, metadata=ADDED)
    """Read HTML in any text as a browser shows it: no tags, scripts and styles, entities as what they stand for."""
    mask_private: bool = field(default=False, metadata=ADDED)
    """Put zeros in the place of telephone and identity numbers, and one address in that of e-mails, in any text."""
    repeated_lines: int = field(default=0, metadata=ADDED)
    """Lines that stand in at least so many documents of one card are taken out of domain and general text: navigation,
    advertisements, paragraphs; 0 = none are. 10 to begin with."""
    quality_rules: bool = field(default=False, metadata=ADDED)
    """Drop documents of domain and general text that repeat themselves or are no running text (Gopher's rules, with
    thresholds for Chinese). Off: each has some good text against it; preview.md counts, rejected/ shows what."""
    decontaminate: bool = True
    """Drop documents of domain and general text that share 24 characters, or 13 words, on end with dev or test of any
    labelled corpus; those that are there as a whole are dropped in any case."""
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
        if self.repeated_lines < 0 or self.repeated_lines == 1:
            raise ValueError(f"repeated_lines = {self.repeated_lines}: 0 for none, or at least 2 documents")
        if not 0 <= self.task_templates <= 1:
            raise ValueError(f"task_templates = {self.task_templates} is a share of rows: 0 to 1")
        if (self.beside or self.elsewhere or self.task_templates) and not self.task:
            raise ValueError("beside, elsewhere and task_templates are about a task: set task")


def prepare(config: CorpusConfig, data: Path, out: Path) -> dict[str, float]:
    """Write the corpora of the recipe; documents by corpus and split, and dropped ones by reason."""
    _check(config, data)
    parts = [part for corpus in CORPORA for part in _parts(config, corpus, data)]
    encodings = list(dict.fromkeys(line for card, splits in parts for line in other_encodings(card, splits, data)))
    for line in encodings:
        say(f"  {line}")
    work = Work(config, data, out, Rejected(out / "rejected"))
    counts = _tasks(work) if config.task or config.noise.text else {}
    for corpus in ("domain", "general"):
        counts |= _text(corpus, work) if getattr(config, corpus) else {}
    work.rejected.flush()
    taken = work.templates if config.task_templates else ()
    counts |= {"task/templates": len(taken)} if taken else {}
    counts |= {f"repaired/{kind}": count for kind, count in sorted(work.repaired.items()) if count}
    write_preview(out / "preview.md", counts, work.rejected, sorted(taken), work.pairs, work.lines, encodings)
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
    """Fingerprints of all dev and test text."""
    pairs: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Corpus -> a few of the near-duplicates dropped, and the fingerprint of the document that was kept."""
    repaired: Counter[str] = field(default_factory=Counter)
    """Kind -> rows that were repaired, or lines taken out."""
    lines: dict[str, Counter[str]] = field(default_factory=dict)
    """Corpus -> the lines taken out, and how many documents had them."""

    @cached_property
    def grams(self) -> Grams:
        """Its runs."""
        return Grams.of(self.config.language)

    def held(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows of dev or test, remembered so that no text to learn from is among them."""
        rows = remembered(rows, self.held_out)
        return noted(rows, self.grams) if self.config.decontaminate else rows

    def documents(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """Usable documents of a split, with their ids."""
        return identified(self.usable(card, split, reject), card.name, f"{card.name}:{split}")

    def task_documents(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """The same of the task, without the sentences that stand around all of its text."""
        rows = without_templates(self.usable(card, split, reject), self.templates, reject)
        return identified(rows, card.name, f"{card.name}:{split}")

    def text_documents(self, card: Card, split: str, taken: Counter[str], reject: Reject) -> Iterator[Row]:
        """The same of plain text, without these lines, and without what the rules are against."""
        rows = self.usable(card, split, reject)
        rows = without_lines(rows, taken, self.config.min_chars, reject, self.repaired) if taken else rows
        rows = of_quality(rows, self.config.language, reject) if self.config.quality_rules else rows
        return identified(rows, card.name, f"{card.name}:{split}")

    def usable(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """Clean documents of a split."""
        config, counted = self.config, Counter() if reject is in_silence else self.repaired
        rows = documents(card, split, self.data, reject)
        asked = rewrites(config.strip_markup, config.mask_private)
        return cleaned(rewritten(rows, asked, counted) if asked else rows, config.min_chars, reject)

    def lines_of(self, corpus: str, card: Card, splits: tuple[str, ...]) -> Counter[str]:
        """The lines that many documents of a card have."""
        if not self.config.repeated_lines:
            return Counter()
        read = lambda: chain.from_iterable(self.usable(card, split, in_silence) for split in splits)
        found = repeated_lines(read, self.config.repeated_lines)
        self.lines.setdefault(corpus, Counter()).update(found)
        return found

    @cached_property
    def templates(self) -> frozenset[str]:
        """Sentences that stand in many training rows of the task."""
        [(card, _)] = _parts(self.config, "task", self.data)
        return templates(self.usable(card, "train", in_silence), self.config.task_templates)

    def write(self, name: str, rows: Iterable[Row]) -> int:
        """Write a split of a corpus; the number of its documents."""
        return write_corpus(self.out / name, DOCUMENTS, progress(rows, None, name), self.config.shard_rows)


def _text(corpus: str, work: Work) -> dict[str, float]:
    """A corpus of plain text: its duplicates and all text of the task's dev and test dropped, a part held back."""
    seen, back = Seen(), HoldOut(work.config.dev_share, work.config.dev_documents)
    met, pairs = Met.of(work.config.language), work.pairs.setdefault(corpus, [])

    def rows(card: Card, splits: tuple[str, ...]) -> Iterator[Row]:
        taken = work.lines_of(corpus, card, splits)
        for split in splits:
            reject = work.rejected.of(corpus, f"{card.name}:{split}")
            rows = work.text_documents(card, split, taken, reject)
            rows = unique(without_sides(rows, work.held_out, "contaminated", reject), seen, reject)
            rows = clear(rows, work.grams, reject) if work.config.decontaminate else rows
            yield from near(rows, met, reject, pairs) if work.config.drop_near_duplicates else rows

    found = chain.from_iterable(rows(card, splits) for card, splits in _parts(work.config, corpus, work.data))
    train = work.write(f"{corpus}/train", back.rest(found))
    dev = work.write(f"{corpus}/dev", back.held)
    _some_left(corpus, train, train + dev, work.rejected.reasons(corpus))
    return {f"{corpus}/train": train, f"{corpus}/dev": dev}


def _tasks(work: Work) -> dict[str, float]:
    """Write the labelled corpora; all dev and test text first, so that no train row is part of it."""
    if not work.config.task:
        return _noise_alone(work)
    tasks = [_labelled(work, name, card, splits) for name, card, splits in _named(work)]
    elsewhere: dict[str, dict[str, str]] = {}
    counts = _elsewhere(work, tasks[0].card.target, elsewhere)
    for task in tasks:
        for split in ("test", "dev"):
            counts = _split(work, task.name, split, task.rows(split)) | counts
    for task in tasks:
        counts = _split(work, task.name, "train", task.rows("train")) | counts
        task.check_labels()
        counts |= {f"{task.name}/classes": len(task.labels["train"])} if task.labels["train"] else {}
        counts |= {f"{task.name}/not_sampled": task.not_sampled} if task.not_sampled else {}
    for name, labels in elsewhere.items():
        refuse_unknown(labels, tasks[0].labels["train"], name, "task", "name another card, or other splits of it")
    return counts


def _noise_alone(work: Work) -> dict[str, float]:
    """Write a task that is made of [corpus.noise], all of its splits."""
    counts: dict[str, float] = {}
    for split in CUT:
        counts = _split(work, "task", split, _misspelt(work, split, CUT)) | counts
    return counts


def _misspelt(work: Work, split: str, shares: Mapping[str, float]) -> Iterable[Row]:
    """Pairs of misspelt text, as [corpus.noise] says: those of a split, where the others have their shares too."""
    parts, config = _parts(work.config, "noise", work.data), work.config.noise
    if not parts:
        return ()
    first = split == next(iter(shares))  # the unreadable is told once
    told = lambda origin: work.rejected.of("noise", origin) if first else in_silence
    rows = training_pairs(config, parts, work.data, work.held_out, told)
    return (row for row in rows if len(shares) == 1 or split_of(row["id"], shares) == split)


def _named(work: Work) -> Iterator[tuple[str, Card, tuple[str, ...]]]:
    """Folder, card and splits of the task, and of what is learned beside it."""
    for corpus in ("task", "beside"):
        for card, splits in _parts(work.config, corpus, work.data):
            yield corpus if corpus == "task" else f"{corpus}/{card.name}", card, splits


def _labelled(work: Work, name: str, card: Card, splits: tuple[str, ...]) -> Labelled:
    own = name == "task"
    rows = work.task_documents if own and work.config.task_templates else work.documents
    train_rows = work.config.task_train_rows if own else 0
    more = partial(_misspelt, work) if own else none
    kept = Kept(work.rejected, work.held_out, work.repaired)
    return Labelled(name, card, splits, rows, kept, train_rows, work.config.seed, more)


def _split(work: Work, name: str, split: str, rows: Iterable[Row]) -> dict[str, float]:
    """Write a split of a labelled corpus; how many rows it has."""
    count = work.write(f"{name}/{split}", rows if split == "train" else work.held(rows))
    _some_left(f"{name} {split}", count, count, work.rejected.reasons(name))
    return {f"{name}/{split}": count}


def _elsewhere(work: Work, target: str, labels: dict[str, dict[str, str]]) -> dict[str, float]:
    """Write the rows of other sources, as they are, and note which labels they have."""
    counts: dict[str, float] = {}
    for card, splits in _parts(work.config, "elsewhere", work.data):
        name = f"elsewhere/{card.name}"
        reject = lambda split, name=name, card=card: work.rejected.of(name, f"{card.name}:{split}")
        found = (usable(work.documents(card, split, reject(split)), target, reject(split), work.repaired)
                 for split in splits)  # fmt: skip
        rows = numbered(chain.from_iterable(found))
        rows = work.held(noting_labels(rows, labels.setdefault(name, {})))
        counts[f"{name}/test"] = count = work.write(f"{name}/test", rows)
        _some_left(name, count, count, work.rejected.reasons(name))
    return counts


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
    tasks = [*_parts(config, "task", data), *_parts(config, "beside", data)]
    for card, splits in tasks:
        if card.target is None or ("train" not in splits and not config.noise.text):
            raise InputError(
                f"card {card.name} cannot be a task: it needs a train split and one of {', '.join(TARGETS)}"
            )
    for card, _ in _parts(config, "task", data):
        if config.noise.text and card.target != "target":
            raise InputError(
                f"corpus.noise makes pairs of source and target, and card {card.name} has {card.target}: leave it out"
            )
        if card.target == "target" and (config.task_text or config.task_text_pair):
            raise InputError("corpus.task_text is not for spelling correction: what is read is the source")
    for card, splits in _parts(config, "elsewhere", data):
        if card.target != tasks[0][0].target or not splits:
            raise InputError(
                f"card {card.name} cannot be tested on elsewhere: it needs a test split and, as {tasks[0][0].name}, "
                f"a {tasks[0][0].target} (name splits as in {card.name}:dev+test)"
            )
    if config.task_templates and tasks[0][0].target in ("tags", "target"):
        raise InputError(f"corpus.task_templates would part text from {tasks[0][0].target}: leave it out")
    names = [card.name for card, _ in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"corpus.beside names {', '.join(sorted(twice))} again: name each labelled corpus once")


def _parts(config: CorpusConfig, corpus: str, data: Path) -> list[tuple[Card, tuple[str, ...]]]:
    """The cards of a corpus, each with the splits to read."""
    named = config.noise.text if corpus == "noise" else getattr(config, corpus)
    parsed = [parse_source(source, data) for source in ([named] if isinstance(named, str) else named) if source]
    if corpus == "elsewhere":
        return [(card, splits or tuple(s for s in card.splits if s == "test")) for card, splits in parsed]
    if corpus in ("task", "beside"):
        parsed = [(_with_columns(card, config) if corpus == "task" else card, splits) for card, splits in parsed]
        return [(card, splits or tuple(s for s in card.splits if s != "unlabeled")) for card, splits in parsed]
    return [(card, splits or card.text_splits) for card, splits in parsed]


def _with_columns(card: Card, config: CorpusConfig) -> Card:
    """The task's card, its texts read from other columns where the recipe says so."""
    others = {"text": list(config.task_text), "text_pair": list(config.task_text_pair)}
    return replace(card, fields=card.fields | {role: columns for role, columns in others.items() if columns})


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
    run(prepare, version=4, sources=sources)
