"""A split of the task as a model reads it, and what it is to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.finetuning.characters import Characters
from pipeline.finetuning.inputs import Read, Reader, TaggedBatches
from pipeline.finetuning.spelling import Spelling
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Answers, Row, Task


@dataclass(frozen=True)
class Split:
    """Rows, their ids, and the truth about them."""

    rows: list[Row]
    batches: LabelledBatches
    truth: np.ndarray
    lengths: np.ndarray  # int [rows]: of a row, how many answers there are: one, or one a token, or a character
    whole: np.ndarray  # int [rows]: ids of each row, uncut
    lost: np.ndarray  # int [rows]: ids that are not read

    @classmethod
    def of(cls, rows: Sequence[Row], reader: Reader, task: Task) -> "Split":
        """From rows with labels."""
        if isinstance(task, Spelling):
            return cls._of_pairs(rows, reader, task)
        read = reader_of(task, reader, rows)
        counts = np.array([len(row["tokens"]) if isinstance(task, Tags) else 1 for row in rows], dtype=np.int64)
        batches = batches_of(read, [task.target(row) for row in rows], counts, reader)
        whole, lost = (np.array([getattr(one, name) for one in read]) for name in ("whole", "lost"))
        return cls(list(rows), batches, task.truth(rows), counts, whole, lost)

    @classmethod
    def _of_pairs(cls, rows: Sequence[Row], reader: Reader, task: Spelling) -> "Split":
        """From rows of `source` and `target`, of which nothing is cut."""
        truth = task.truth(rows)
        batches, whole = Characters(reader).read([row["source"] for row in rows], [row["target"] for row in rows])
        lengths = np.array([len(row["source"]) for row in rows], dtype=np.int64)
        return cls(list(rows), batches, truth, lengths, whole, np.zeros_like(whole))

    def measure(self, task: Task, answers: Answers) -> dict[str, float]:
        """How good answers are."""
        return task.measure(self.truth, answers, task.counts(self.truth, answers, self.lengths))


def cut_of(splits: Mapping[str, Split]) -> str:
    """A line on how long rows are, and what of them is not read."""
    whole, lost = (np.concatenate([getattr(split, name) for split in splits.values()]) for name in ("whole", "lost"))
    told = f"rows of {np.median(whole):.0f} ids, the longest of {whole.max()}"
    if not lost.any():
        return f"{told}; none is cut"
    cut = ", ".join(f"{name} {(split.lost > 0).mean():.1%}" for name, split in splits.items())
    return f"{told}; cut are of {cut}, {lost.sum() / whole.sum():.1%} of all ids"


def reader_of(task: Task, reader: Reader, rows: Sequence[Row]) -> list[Read]:
    """The rows as this kind of task reads them."""
    return list(reader.tagged(rows) if isinstance(task, Tags) else reader.texts(rows))


def batches_of(read: list[Read], labels: list[object], counts: np.ndarray, reader: Reader) -> LabelledBatches:
    """What is read as batches; for tags, `labels` are of tokens [counts] and go to the first id of each."""
    ids = [one.input_ids for one in read]
    types = [one.types for one in read] if reader.has_types else None
    if not read or read[0].word_ids is None:
        return LabelledBatches(ids, labels, reader.pad_id, types)
    words, placed = zip(*[_at_first(one, tags) for one, tags in zip(read, labels, strict=True)], strict=True)
    return TaggedBatches(ids, list(placed), reader.pad_id, types, list(words), counts)


def _at_first(read: Read, tags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tokens that have an id, and int64 [L]: the tag at the first id of each, IGNORE elsewhere."""
    words, places = np.unique(read.word_ids, return_index=True)
    words, places = words[words >= 0], places[words >= 0]
    labels = np.full(len(read.input_ids), IGNORE, dtype=np.int64)
    labels[places] = tags[words]
    return words, labels
