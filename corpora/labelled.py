"""A labelled corpus as its model meets it: splits that share no text, labels that can be learned."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from corpora.cards import Card
from corpora.cleaning.dedup import Seen, document_id, fingerprint, numbered, survey, unique, without, without_sides
from corpora.keeping import Reject, Rejected, in_silence, with_target
from corpora.parquet import Row
from corpora.schemas import InputError
from corpora.spelling.pairs import with_pairs
from corpora.splits import sample, split_of

CUT = {"test": 0.2, "dev": 0.1, "train": 0.7}
"""Shares cut from a train split in place of an official dev or test the card does not have."""

Documents = Callable[[Card, str, Reject], Iterator[Row]]
"""Usable documents of a split of a card, with their ids; told of every row dropped."""

More = Callable[[str, Mapping[str, float]], Iterable[Row]]
"""Further rows of a split, of those that have these shares."""


def none(split: str, shares: Mapping[str, float]) -> Iterable[Row]:
    """No further rows."""
    return ()


@dataclass(frozen=True)
class Kept:
    """What all labelled corpora add to while they are read."""

    rejected: Rejected
    held_out: set[int]
    """Fingerprints of the dev and test text of all of them: no train row is among them, as soon as all was read."""
    repaired: Counter[str]
    """Kind -> pairs of source and target that were repaired."""


class Labelled:
    """The splits of a card with labels; what a split is when the card does not have it.

    Of train `train_rows` are taken, 0 = all; `more` makes rows beside it, or all of it where the card has none.
    """

    def __init__(
        self,
        name: str,
        card: Card,
        splits: tuple[str, ...],
        documents: Documents,
        kept: Kept,
        train_rows: int = 0,
        seed: int = 0,
        more: More = none,
    ) -> None:
        self.name, self.card, self.splits, self.documents = name, card, splits, documents
        self.kept, self.train_rows, self.seed, self.more = kept, train_rows, seed, more
        self.shares = {split: share for split, share in CUT.items() if split == "train" or split not in splits}
        self.not_sampled = 0
        self.labels: dict[str, dict[str, str]] = {}
        """Split -> label -> the place where it first stood."""

    def reads(self, split: str) -> int:
        """How often the rows of a split of its card are read: those of train twice for each split cut from them."""
        return 2 * len(self.shares) if split == "train" else 1

    def rows(self, split: str) -> Iterator[Row]:
        """Official dev and test as they are; else the rows of train that belong here, each text once."""
        return noting_labels(self._rows(split), self.labels.setdefault(split, {}))

    def _rows(self, split: str) -> Iterable[Row]:
        if split in self.splits and split != "train":
            return numbered(self._usable(split, self.reject(split)))
        if "train" not in self.splits:
            return self.more(split, self.shares)
        texts, contradictory = survey(self._part(split, in_silence), self.card.target)
        reject = self.reject("train")
        rows = self._part(split, reject if split == "train" else in_silence)  # the unreadable is told once
        rows = unique(without(rows, contradictory, "conflicting_label", reject), Seen(), reject)
        known = without_sides if self.card.target == "target" else without  # the right text gives the answer away
        rows = known(rows, self.kept.held_out, "in_dev_or_test", reject)
        if split != "train":
            return rows
        return chain(self._sampled(rows, texts - contradictory - self.kept.held_out), self.more(split, {"train": 1.0}))

    def reject(self, split: str) -> Reject:
        """The function to tell of what is dropped from a split."""
        return self.kept.rejected.of(self.name, f"{self.card.name}:{split}")

    def _usable(self, split: str, reject: Reject) -> Iterator[Row]:
        repaired = Counter() if reject is in_silence else self.kept.repaired
        return usable(self.documents(self.card, split, reject), self.card.target, reject, repaired)

    def _part(self, split: str, reject: Reject) -> Iterator[Row]:
        """The rows of train whose group, or else first text, is given to `split`: what shares it stays together."""
        for row in self._usable("train", reject):
            if len(self.shares) == 1 or split_of(_together(row), self.shares) == split:
                yield row

    def _sampled(self, rows: Iterable[Row], texts: set[int]) -> Iterable[Row]:
        if not 0 < self.train_rows < len(texts):
            return rows
        self.not_sampled = len(texts) - self.train_rows
        ids = (document_id(self.card.name, number) for number in texts)
        chosen = set(sample(ids, self.train_rows, self.seed))
        return (row for row in rows if row["id"] in chosen)

    def check_labels(self) -> None:
        """A model needs two classes, or a type of span, and cannot be measured on one it never saw."""
        known, target, name = self.labels["train"], self.card.target, self.name
        if target not in ("label", "labels", "tags"):
            return
        remedy = "raise corpus.task_train_rows" if self.not_sampled else f"correct the files of {self.card.path}"
        if target == "tags" and not known:
            raise InputError(f"every tag in {name} train of card {self.card.name} is O: {remedy}")
        if target != "tags" and len(known) < 2:
            raise InputError(f"only one class in {name} train of card {self.card.name} ({', '.join(known)}): {remedy}")
        for split in ("dev", "test"):
            refuse_unknown(self.labels[split], known, f"{name} {split}", name, remedy)


def _together(row: Row) -> str:
    """What rows of one split have in common."""
    return row.get("group") or f"{fingerprint(row['text']):016x}"


def usable(rows: Iterable[Row], target: str, reject: Reject, repaired: Counter[str]) -> Iterator[Row]:
    """The rows that can be learned from; of spelling correction aligned, what was repaired counted by its kind."""
    return with_pairs(rows, reject, repaired) if target == "target" else with_target(rows, target, reject)


def refuse_unknown(labels: dict[str, str], known: Iterable[str], where: str, task: str, remedy: str) -> None:
    """An InputError where one of the labels (-> its place) is not among those that `task` train has."""
    for label, place in labels.items():
        if label not in known:
            raise InputError(f"label {label!r} of {where} ({place}) never occurs in {task} train: {remedy}")


def noting_labels(rows: Iterable[Row], labels: dict[str, str]) -> Iterator[Row]:
    """The rows unchanged; into `labels` goes each label and the place where it first stood."""
    for row in rows:
        for label in _labels_of(row):
            labels.setdefault(label, row["place"])
        yield row


def _labels_of(row: Row) -> Iterable[str]:
    """What a model has to know of a row: its label or labels, or the types of its tags (PER of B-PER)."""
    kinds = {tag.partition("-")[2] for tag in row.get("tags") or ()}
    return filter(None, [*(row.get("labels") or ()), row.get("label"), *sorted(kinds)])
