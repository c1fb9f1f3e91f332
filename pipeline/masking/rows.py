"""The rows of a batch end to end, without padding, and the draws that belong to each of them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipeline.draws import further, streams

ROWS_OF_A_KEY = 2048
"""What is left of 64 bits beside the 53 of a rank."""


@dataclass(frozen=True)
class Rows:
    """Which tokens belong to which row, and which visit of which sequence a row is.

    Columns of a batch are flat: [T], row i at `offsets[i] : offsets[i + 1]`.
    """

    offsets: np.ndarray  # int64 [B + 1]
    keys: np.ndarray  # uint64 [B]
    epochs: np.ndarray  # int [B]
    seed: int

    @classmethod
    def padded(cls, shape: tuple[int, int], keys: np.ndarray, epochs: np.ndarray, seed: int) -> "Rows":
        """The rows of an array [B, L] that is laid flat."""
        return cls(np.arange(shape[0] + 1) * shape[1], keys, epochs, seed)

    def __len__(self) -> int:
        return len(self.keys)

    @cached_property
    def states(self) -> np.ndarray:
        """uint64 [STREAMS, B]: a draw for each row in each stream."""
        return further(further(streams(self.seed), self.keys), self.epochs)

    def draw(self, stream: int, row: np.ndarray, position: np.ndarray) -> np.ndarray:
        """uint64 [N]: a draw for each position int [N] of row int [N]."""
        return further(self.states[stream][row], position)

    def draws(self, some: tuple[int, ...], row: np.ndarray, position: np.ndarray) -> np.ndarray:
        """uint64 [S, N]: the same in several streams at once."""
        return further(self.states[some, :][:, row], position)

    def of(self, places: np.ndarray) -> np.ndarray:
        """int64 [N]: the row of each of these places of the flat columns, which must rise."""
        return np.repeat(np.arange(len(self)), steps(np.searchsorted(places, self.offsets)))


def steps(values: np.ndarray) -> np.ndarray:
    """[N - 1]: from each value to the next."""
    return values[1:] - values[:-1]


def lined_up(row: np.ndarray, rank: np.ndarray, rows: int) -> np.ndarray:
    """int64 [N]: the order in which things stand row by row, in rising rank within a row.

    row int [N]; rank uint64 [N] of 53 bits; `rows` is how many there are. Row and rank share one number to sort by.
    """
    if rows > ROWS_OF_A_KEY:
        return np.lexsort((rank, row))
    return np.argsort(row.astype(np.uint64) << np.uint64(53) | rank, kind="stable")


def sums(row: np.ndarray, numbers: np.ndarray, rows: int) -> np.ndarray:
    """float64 [B]: the sum of the numbers of each row."""
    return np.bincount(row, numbers, rows)


def before(row: np.ndarray, length: np.ndarray, rows: int) -> np.ndarray:
    """int64 [N]: what stands before each thing of the same row, in tokens; `row` must rise."""
    in_row = np.bincount(row, length, rows).astype(np.int64)
    return np.cumsum(length) - length - (np.cumsum(in_row) - in_row)[row]


def ranges(start: np.ndarray, length: np.ndarray) -> np.ndarray:
    """int64: start[0], start[0] + 1, … of the first range, then those of the next; both [N]."""
    return np.arange(length.sum()) + np.repeat(start - (np.cumsum(length) - length), length)
