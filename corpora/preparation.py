"""The documents of a recipe, read and cleaned as it asks, and what its corpora share while they are written.

work = Preparation(config, data, out, Rejected(out / "rejected"))
for task in work.tasks(): ...                              # dev and test first: no text of theirs is left in any train
for row in work.text("domain"): ...
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path

from corpora.cards import Card
from corpora.cleaning.contamination import Grams, clear, noted
from corpora.cleaning.dedup import Seen, identified, remembered, unique, without_sides
from corpora.cleaning.furniture import repeated_lines, without_lines
from corpora.cleaning.languages import Tongue, of_language
from corpora.cleaning.near import Met, near
from corpora.cleaning.pieces import pieced
from corpora.cleaning.quality import of_quality
from corpora.cleaning.rewriting import Rewrites, rewrites, rewritten
from corpora.cleaning.templates import templates, without_templates
from corpora.config import CorpusConfig
from corpora.keeping import Reject, Rejected, cleaned, in_silence
from corpora.labelled import CUT, Kept, Labelled, none, usable
from corpora.parquet import Row
from corpora.parts import Part, bytes_of, parts
from corpora.previews import Findings
from corpora.reading.raw import Watch, unwatched
from corpora.reading.sources import documents
from corpora.slices import Slices
from corpora.spelling.noise import training_pairs
from corpora.splits import group_of, split_of


@dataclass(frozen=True)
class Preparation:
    """What the corpora of a recipe share while they are written."""

    config: CorpusConfig
    data: Path
    out: Path
    rejected: Rejected
    held_out: set[int] = field(default_factory=set)
    """Fingerprints of all dev and test text."""
    watch: Watch = unwatched
    """Told of bytes of raw files, as they are read."""
    slices: Path | None = None
    """Where domain and general text may lie that was read and cleaned before."""
    found: Findings = field(default_factory=Findings)
    """What is to be shown."""
    repaired: Counter[str] = field(default_factory=Counter)
    """Kind -> rows that were repaired, or lines taken out."""

    @cached_property
    def grams(self) -> Grams:
        """The runs of dev and test."""
        return Grams.of(self.config.language)

    @cached_property
    def rewrites(self) -> Rewrites:
        """What is done to every text."""
        return rewrites(self.config.strip_markup, self.config.mask_private, self.config.simplify)

    @cached_property
    def templates(self) -> frozenset[str]:
        """Sentences that stand in many training rows of the task."""
        [(card, _)] = self._parts("task")
        return templates(self._usable(card, "train", in_silence), self.config.task_templates)

    @cached_property
    def bytes(self) -> int:
        """How many `watch` is told of in all: some files are read several times."""
        passes, tasks = 3 if self.config.repeated_lines else 1, self.tasks()
        cut = CUT if not tasks else ("train",) if "train" in tasks[0].splits else tasks[0].shares
        times = {"domain": passes, "general": passes, "elsewhere": 1, "noise": len(cut)}
        found = sum(bytes_of(*part, self.data) * n for name, n in times.items() for part in self._parts(name))
        found += sum(bytes_of(task.card, (split,), self.data) * task.reads(split) for task, split in _splits(tasks))
        return found + (bytes_of(tasks[0].card, ("train",), self.data) if self.config.task_templates else 0)

    def text(self, corpus: str) -> Iterator[Row]:
        """A corpus of plain text: what stands in it twice, or in dev or test of any labelled corpus, is dropped."""
        seen, met = Seen(), Met.of(self.config.language)
        pairs = self.found.pairs.setdefault(corpus, [])
        for card, splits in self._parts(corpus):
            taken = self._lines_of(corpus, card, splits)
            for split in splits:
                reject = self.rejected.of(corpus, f"{card.name}:{split}")
                rows = self._text_documents(corpus, card, split, taken, reject)
                rows = unique(without_sides(rows, self.held_out, "contaminated", reject), seen, reject)
                rows = self._pieced(rows, reject)
                rows = clear(rows, self.grams, reject) if self.config.decontaminate else rows
                yield from near(rows, met, reject, pairs) if self.config.drop_near_duplicates else rows

    def tasks(self) -> list[Labelled]:
        """The task, and what is learned beside it."""
        found = [(name, part) for name in ("task", "beside") for part in self._parts(name)]
        return [self._labelled(name if name == "task" else f"{name}/{part[0].name}", *part) for name, part in found]

    def elsewhere(self, name: str, card: Card, splits: tuple[str, ...], target: str) -> Iterator[Row]:
        """The rows of another source that can be tested on."""
        for split in splits:
            reject = self.rejected.of(name, f"{card.name}:{split}")
            yield from usable(self._documents(card, split, reject), target, reject, self.repaired)

    def held(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Rows of dev or test, remembered so that no text to learn from is among them."""
        rows = remembered(rows, self.held_out)
        return noted(rows, self.grams) if self.config.decontaminate else rows

    def misspelt(self, split: str, shares: Mapping[str, float]) -> Iterable[Row]:
        """Pairs of misspelt text, as [corpus.noise] says: those of a split, where the others have their shares too."""
        named, config = self._parts("noise"), self.config.noise
        if not named:
            return ()
        first = split == next(iter(shares))  # the unreadable is told once
        told = lambda origin: self.rejected.of("noise", origin) if first else in_silence
        rows = training_pairs(config, named, self.data, self.held_out, told, self._rewritten)
        return (row for row in rows if len(shares) == 1 or split_of(group_of(row), shares) == split)

    def _parts(self, corpus: str) -> list[Part]:
        return parts(self.config, corpus, self.data)

    def _labelled(self, name: str, card: Card, splits: tuple[str, ...]) -> Labelled:
        own = name == "task"
        rows = self._task_documents if own and self.config.task_templates else self._documents
        train_rows = self.config.task_train_rows if own else 0
        kept = Kept(self.rejected, self.held_out, self.repaired)
        return Labelled(name, card, splits, rows, kept, train_rows, self.config.seed, self.misspelt if own else none)

    def _documents(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """Usable documents of a split, with their ids."""
        return identified(self._usable(card, split, reject), card.name, f"{card.name}:{split}")

    def _task_documents(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """The same of the task, without the sentences that stand around all of its text."""
        rows = without_templates(self._usable(card, split, reject), self.templates, reject)
        return identified(rows, card.name, f"{card.name}:{split}")

    def _text_documents(
        self, corpus: str, card: Card, split: str, taken: Counter[str], reject: Reject
    ) -> Iterator[Row]:
        """The same of plain text, without these lines, and without what the rules are against."""
        rows = self._usable_text(card, split, reject)
        rows = without_lines(rows, taken, self.config.min_chars, reject, self.repaired) if taken else rows
        rows = self._of_language(corpus, rows, reject)
        rows = of_quality(rows, self.config.language, reject) if self.config.quality_rules else rows
        return identified(rows, card.name, f"{card.name}:{split}")

    def _of_language(self, corpus: str, rows: Iterator[Row], reject: Reject) -> Iterator[Row]:
        """The documents that are not surely in another language."""
        if not self.config.drop_other_languages:
            return rows
        return of_language(rows, Tongue(self.config.language), reject, self.found.languages.setdefault(corpus, []))

    def _pieced(self, rows: Iterator[Row], reject: Reject) -> Iterator[Row]:
        """The documents, those that are too long cut."""
        most, least = self.config.max_chars, self.config.min_chars
        return pieced(rows, most, least, reject, self.repaired) if most else rows

    def _usable_text(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """Clean documents of a split of plain text."""
        counted = Counter() if reject is in_silence else self.repaired
        return Slices(self.config, self.data, self.slices, self.watch).rows(card, split, reject, counted)

    def _usable(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """Clean documents of a split."""
        return cleaned(self._rewritten(card, split, reject), self.config.min_chars, reject)

    def _rewritten(self, card: Card, split: str, reject: Reject) -> Iterator[Row]:
        """The documents of a split, with what the recipe asks to be done to every text."""
        counted = Counter() if reject is in_silence else self.repaired
        rows = documents(card, split, self.data, reject, self.watch)
        return rewritten(rows, self.rewrites, counted) if self.rewrites else rows

    def _lines_of(self, corpus: str, card: Card, splits: tuple[str, ...]) -> Counter[str]:
        """The lines that many documents of a card have."""
        if not self.config.repeated_lines:
            return Counter()
        read = lambda: chain.from_iterable(self._usable_text(card, split, in_silence) for split in splits)
        found = repeated_lines(read, self.config.repeated_lines)
        self.found.lines.setdefault(corpus, Counter()).update(found)
        return found


def _splits(tasks: Iterable[Labelled]) -> Iterator[tuple[Labelled, str]]:
    return ((task, split) for task in tasks for split in task.splits)
