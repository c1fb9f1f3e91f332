"""Rows -> tensors, corrupted anew on every visit.

Batches are addressed by (sequence, epoch): any of them can be made at any time, on any process, and is always the
same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.draws import document_keys, visited
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import FATES, Vocabulary, replaced
from pipeline.masking.rows import Rows, ranges
from pipeline.masking.selection import chosen

IGNORE = -100
"""Label of a token that is not predicted."""


def targets_in(labels: Tensor) -> int:
    """How many targets labels hold, which a loss is divided by.

    Whole numbers [B] or [B, L]: each is one, but IGNORE. Fractions are of a sequence as a whole, [B] or [B, C], and so
    one target a row.
    """
    return len(labels) if labels.is_floating_point() else int((labels != IGNORE).sum())


class Batches(Protocol):
    """What the trainer asks of its data."""

    tokens: int
    """Of all sequences together."""

    def __len__(self) -> int:
        """How many sequences there are."""

    def visits(self, seed: int, step: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """The global batch of a step: (index, epoch) of each of its sequences, both int64 [batch_size]."""
        return self.at(seed, np.arange(step * batch_size, (step + 1) * batch_size))

    def at(self, seed: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index, epoch) of what stands at these places of a training, both int64 [B]: no epoch leaves a gap."""
        return visited(seed, places, len(self))

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""

    def names(self, indices: np.ndarray) -> list[str]:
        """Ids of the documents they come from."""

    def keys(self, indices: np.ndarray) -> np.ndarray:
        """uint64 [B]: what random draws tell these sequences apart by."""

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """The model's inputs and `labels` for visit `epochs[i]` of sequence `indices[i]`, both int [B].

        `elapsed` is the share of the training's tokens read so far, for what is scheduled.
        """


@dataclass(frozen=True)
class Sequences:
    """A corpus of sequences as flat arrays, usually memory-mapped: row i is `offsets[i] : offsets[i + 1]`."""

    id: np.ndarray  # bytes [N], UTF-8
    offsets: np.ndarray  # int64 [N + 1]
    input_ids: np.ndarray  # int32 [tokens]
    word_ids: np.ndarray  # int32 [tokens]
    importance: np.ndarray  # uint8 [tokens]
    reference: np.ndarray | None = None  # float32 [tokens], what a reference model loses on each as the next token

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""
        offsets = np.asarray(self.offsets)
        return offsets[indices + 1] - offsets[indices]

    def places(self, indices: np.ndarray) -> np.ndarray:
        """int64 [T]: where in the columns the tokens of these sequences are, one sequence after the other."""
        return ranges(np.asarray(self.offsets)[indices], self.lengths(indices))


class MaskedBatches(Batches):
    """Sequences as masked-language-modelling batches."""

    def __init__(self, sequences: Sequences, masking: MaskingConfig, vocabulary: Vocabulary, pad_id: int) -> None:
        self.sequences, self.masking, self.vocabulary, self.pad_id = sequences, masking, vocabulary, pad_id
        self.tokens = int(sequences.offsets[-1])

    def __len__(self) -> int:
        return len(self.sequences)

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""
        return self.sequences.lengths(indices)

    def names(self, indices: np.ndarray) -> list[str]:
        """Ids of the documents they come from."""
        return [name.decode() for name in self.sequences.id[indices]]

    def keys(self, indices: np.ndarray) -> np.ndarray:
        """uint64 [B]: hashes of their ids, made anew each time in half a microsecond: kept, they would fill memory."""
        return document_keys(self.sequences.id[indices])

    def goes_on(self, indices: np.ndarray) -> np.ndarray:
        """bool [B]: whether the document of a sequence goes on in the next one."""
        ids = self.sequences.id
        inside = lambda i: i + 1 < len(ids) and follows(ids[i].decode(), ids[i + 1].decode())
        return np.fromiter(map(inside, np.asarray(indices).tolist()), dtype=bool)

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids` corrupted, `attention_mask`, `labels` (the id as written, or IGNORE), all [B, L]."""
        visit = self.visit(indices, epochs, elapsed)
        labels = np.full(len(visit.input_ids), IGNORE, dtype=np.int32)
        labels[visit.targets] = visit.written
        return visit.tensors(self.pad_id, labels=(labels, IGNORE))

    def visit(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> "Visit":
        """The same without padding, and what became of each target."""
        visit, masking = self.chosen(indices, epochs, elapsed), self.masking.at(elapsed)
        input_ids = visit.input_ids.copy()
        of = (visit.rows, input_ids, visit.word_ids, visit.targets)
        input_ids[visit.targets], fates = replaced(masking, self.vocabulary, *of)
        return replace(visit, input_ids=input_ids, fates=fates)

    def chosen(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> "Visit":
        """The same as written: words are chosen, and none of them is replaced."""
        masking, columns = self.masking.at(elapsed), self.sequences
        places = columns.places(indices)
        input_ids, words = np.asarray(columns.input_ids)[places], np.asarray(columns.word_ids)[places]
        importance = np.asarray(columns.importance)[places]
        offsets = np.concatenate([[0], np.cumsum(self.lengths(indices))])
        rows = Rows(offsets, self.keys(indices), epochs, masking.seed)
        targets = np.flatnonzero(chosen(masking, rows, words, importance))
        return Visit(rows, input_ids, words, importance, targets, input_ids[targets])


def follows(sequence: str, other: str) -> bool:
    """Whether another sequence goes on with the same document: `id#3` after `id#2`, `id#1` after `id`."""
    document, _, number = other.rpartition("#")
    before = f"{document}#{int(number) - 1}" if number.isdecimal() and number != "1" else document
    return bool(document) and number.isdecimal() and sequence == before


@dataclass(frozen=True)
class Visit:
    """Sequences end to end, masked: token columns are [T], those of the targets [M]."""

    rows: Rows
    input_ids: np.ndarray  # int32 [T] corrupted, or as written
    word_ids: np.ndarray  # int32 [T]
    importance: np.ndarray  # uint8 [T]
    targets: np.ndarray  # int64 [M] places of the tokens to predict, rising
    written: np.ndarray  # int32 [M] their ids
    fates: np.ndarray | None = None  # uint8 [M] what became of them, where they were replaced

    @cached_property
    def inside(self) -> np.ndarray:
        """bool [B, L]: where tokens are when rows stand side by side, right-padded."""
        lengths = np.diff(self.rows.offsets)
        return np.arange(lengths.max(initial=0)) < lengths[:, None]

    def tensors(self, pad_id: int, **columns: tuple[np.ndarray, int | float]) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask` and further columns (values [T], fill of the padding), all [B, L]."""
        found = {"input_ids": self._padded(self.input_ids, pad_id), "attention_mask": self.inside.astype(np.int64)}
        found |= {name: self._padded(*column) for name, column in columns.items()}
        return {name: torch.from_numpy(column) for name, column in found.items()}

    def _padded(self, values: np.ndarray, fill: int | float) -> np.ndarray:
        kind = values.dtype if values.dtype in (bool, np.float32) else np.int64
        column = np.full(self.inside.shape, fill, dtype=kind)
        column[self.inside] = values
        return column

    def shares(self, masking: MaskingConfig) -> dict[str, float]:
        """`chosen` of tokens in words, `chosen_of_important` of important ones; of targets, `important` and fates."""
        inside = self.word_ids >= 0
        important = inside & (self.importance >= masking.threshold)
        hits, targets = important[self.targets].sum(), max(len(self.targets), 1)
        shares = {
            "chosen": len(self.targets) / max(int(inside.sum()), 1),
            "chosen_of_important": float(hits / max(important.sum(), 1)),
            "important": float(hits / targets),
        }
        if self.fates is None:
            return shares
        fates = np.bincount(self.fates, minlength=len(FATES)) / targets
        return shares | dict(zip(FATES, fates.tolist(), strict=True))


class Around:
    """Other batches of the same masked sequences: what is not said otherwise is theirs."""

    def __init__(self, masked: MaskedBatches) -> None:
        self.masked, self.tokens = masked, masked.tokens

    def __len__(self) -> int:
        return len(self.masked)

    def __getattr__(self, name: str) -> object:
        return getattr(self.masked, name)


class LabelledBatches(Batches):
    """Sequences with a label each, one a token, or numbers of their own (float32 arrays): the same at every visit."""

    def __init__(
        self, input_ids: list[np.ndarray], labels: list[object], pad_id: int, types: list[np.ndarray] | None = None
    ) -> None:
        self.input_ids, self.labels, self.pad_id, self.types = input_ids, labels, pad_id, types
        self._lengths = np.array([len(ids) for ids in input_ids])
        self.tokens = int(self._lengths.sum())

    def __len__(self) -> int:
        return len(self.input_ids)

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""
        return self._lengths[indices]

    def names(self, indices: np.ndarray) -> list[str]:
        """Their numbers: labelled rows are few, and carry their ids elsewhere."""
        return [f"row {i}" for i in indices]

    def keys(self, indices: np.ndarray) -> np.ndarray:
        """uint64 [B]: their numbers."""
        return np.asarray(indices).astype(np.uint64)

    def batch(self, indices: np.ndarray, epochs: np.ndarray | None = None, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask` [B, L] and `labels`: [B], [B, L] where they are arrays, of floats [B, C]."""
        ids = [self.input_ids[i] for i in indices]
        labels = [self.labels[i] for i in indices]
        out = {"input_ids": _tensor(ids, self.pad_id), "attention_mask": _tensor([np.ones_like(x) for x in ids], 0)}
        if self.types is not None:
            out["token_type_ids"] = _tensor([self.types[i] for i in indices], 0)
        out["labels"] = _labels(labels)
        return out


def _labels(labels: list[object]) -> Tensor:
    kind = np.asarray(labels[0])
    if np.issubdtype(kind.dtype, np.floating):
        return torch.from_numpy(np.stack(labels).astype(np.float32))
    return torch.tensor(labels) if kind.ndim == 0 else _tensor(labels, IGNORE)


def padded(rows: Sequence[np.ndarray], fill: int) -> np.ndarray:
    """[B, L]: rows of different lengths side by side, right-padded with `fill` to the longest."""
    lengths = np.array([len(row) for row in rows])
    result = np.full((len(rows), lengths.max(initial=0)), fill, dtype=np.asarray(rows[0]).dtype if len(rows) else int)
    result[np.arange(result.shape[1]) < lengths[:, None]] = np.concatenate(rows) if len(rows) else []
    return result


def _tensor(rows: Sequence[np.ndarray], fill: int) -> Tensor:
    return torch.from_numpy(padded([np.asarray(row, dtype=np.int64) for row in rows], fill))


def by_length(lengths: np.ndarray, budget: int, padding: int | None = None) -> list[np.ndarray]:
    """Indices in batches of like lengths, each at most `budget` tokens when padded (or one sequence).

    With `padding`, a batch ends where it would hold more than so many tokens of padding.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    descending = np.asarray(lengths, dtype=np.int64)[order]
    before = np.concatenate([[0], np.cumsum(descending)])
    batches, start = [], 0
    while start < len(order):
        longest = int(descending[start])
        stop = min(start + max(1, budget // max(longest, 1)), len(order))
        if padding is not None:
            counts = np.arange(1, stop - start + 1)
            wasted = counts * longest - (before[start + 1 : stop + 1] - before[start])
            stop = start + int(np.searchsorted(wasted, padding, side="right"))
        batches.append(order[start:stop])
        start = stop
    return batches
