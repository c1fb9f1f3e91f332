"""Rows -> tensors, corrupted anew on every visit.

Batches are addressed by (sequence, epoch): any of them can be made at any time, on any process, and is always the
same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pipeline.draws import document_keys
from pipeline.masking import MaskingConfig, Vocabulary, choose, corrupt

IGNORE = -100
"""Label of a token that is not predicted."""


class Batches(Protocol):
    """What the trainer asks of its data."""

    tokens: int
    """Of all sequences together."""

    def __len__(self) -> int:
        """How many sequences there are."""

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""

    def names(self, indices: np.ndarray) -> list[str]:
        """Ids of the documents they come from."""

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

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def padded(self, column: str, indices: np.ndarray, fill: int) -> np.ndarray:
        """[B, L]: rows of a column, right-padded with `fill` to the longest of them."""
        starts = np.asarray(self.offsets[indices])
        lengths = np.asarray(self.offsets[indices + 1]) - starts
        places = np.arange(lengths.max(initial=0))
        inside = places < lengths[:, None]
        values = getattr(self, column)
        return np.where(inside, values[np.where(inside, starts[:, None] + places, 0)], fill)


class MaskedBatches:
    """Sequences as masked-language-modelling batches."""

    def __init__(self, sequences: Sequences, masking: MaskingConfig, vocabulary: Vocabulary, pad_id: int) -> None:
        self.sequences, self.masking, self.vocabulary, self.pad_id = sequences, masking, vocabulary, pad_id
        self.tokens = int(sequences.offsets[-1])

    def __len__(self) -> int:
        return len(self.sequences)

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""
        return np.asarray(self.sequences.offsets[indices + 1]) - np.asarray(self.sequences.offsets[indices])

    def names(self, indices: np.ndarray) -> list[str]:
        """Ids of the documents they come from."""
        return [name.decode() for name in self.sequences.id[indices]]

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids` corrupted, `attention_mask`, `labels` (the id as written, or IGNORE), all [B, L]."""
        masking = self.masking.at(elapsed)
        keys = document_keys(self.sequences.id[indices])
        input_ids = self.sequences.padded("input_ids", indices, self.pad_id)
        word_ids = self.sequences.padded("word_ids", indices, -1)
        importance = self.sequences.padded("importance", indices, 0)
        masked = choose(masking, word_ids, importance, keys, epochs)
        corrupted = corrupt(masking, self.vocabulary, input_ids, masked, keys, epochs)
        inside = np.arange(input_ids.shape[1]) < self.lengths(indices)[:, None]
        return {
            "input_ids": torch.from_numpy(corrupted.astype(np.int64)),
            "attention_mask": torch.from_numpy(inside.astype(np.int64)),
            "labels": torch.from_numpy(np.where(masked, input_ids, IGNORE).astype(np.int64)),
        }


class LabelledBatches:
    """Sequences with a label each, or a label a token: the same at every visit."""

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

    def batch(self, indices: np.ndarray, epochs: np.ndarray | None = None, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask` [B, L] and `labels`: [B], or [B, L] where labels are arrays."""
        ids = [self.input_ids[i] for i in indices]
        labels = [self.labels[i] for i in indices]
        out = {"input_ids": _tensor(ids, self.pad_id), "attention_mask": _tensor([np.ones_like(x) for x in ids], 0)}
        if self.types is not None:
            out["token_type_ids"] = _tensor([self.types[i] for i in indices], 0)
        out["labels"] = torch.tensor(labels) if np.ndim(labels[0]) == 0 else _tensor(labels, IGNORE)
        return out


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
