"""General text read again among that of the domain, so that a model does not forget it (replay).

Of the first k sequences of a training k x ratio, rounded down, are general, whatever the batch size and the number of
processes; they stand as evenly among the others as can be. Both corpora are read each in its own order, epoch after
epoch: which sequence stands at place k is a function of (seed, k), and those of the domain come as they would without
replay. Ibrahim et al. (2024, arXiv 2403.08763) replay up to 5 % of old text where the new is near to it, 25 % where it
is far.
"""

from collections.abc import Callable

import numpy as np

from pipeline.batches import MaskedBatches, Visit
from pipeline.masking.rows import Rows, ranges

PARTS = 10**6
"""A ratio is a whole number of millionths: counting must be exact."""


def replayed(places: np.ndarray | int, ratio: float) -> np.ndarray | int:
    """How many of the first `places` sequences of a training are general."""
    return places * round(ratio * PARTS) // PARTS


class Replay(MaskedBatches):
    """Masked sequences of the domain and, so often, of general text: to an objective they are one corpus."""

    def __init__(self, domain: MaskedBatches, general: MaskedBatches, ratio: float) -> None:
        self.domain, self.general, self.ratio, self.pad_id = domain, general, ratio, domain.pad_id
        self.first_general = len(domain.sequences)
        means = (1 - ratio) * domain.tokens / len(domain) + ratio * general.tokens / len(general)
        self.tokens = round(means * len(self))
        """Of as many sequences as there are, the mean one that of the mixture."""

    def __len__(self) -> int:
        """Sequences that are read until each of the domain has been."""
        return (len(self.domain) - 1) * PARTS // (PARTS - round(self.ratio * PARTS)) + 1

    def at(self, seed: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index, epoch) of what stands at these places, int64 [B]; general ones count on from the domain's."""
        before = replayed(places, self.ratio)
        general = replayed(places + 1, self.ratio) > before
        indices, epochs = self.domain.at(seed, places - before)
        indices[general], epochs[general] = self.general.at(seed, before[general])
        indices[general] += self.first_general
        return indices, epochs

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""
        return self._of(indices, lambda part, own: part.lengths(own))

    def names(self, indices: np.ndarray) -> list[str]:
        """Ids of the documents they come from."""
        return self._of(indices, lambda part, own: np.array(part.names(own), dtype=object)).tolist()

    def keys(self, indices: np.ndarray) -> np.ndarray:
        """uint64 [B]: hashes of their ids."""
        return self._of(indices, lambda part, own: part.keys(own))

    def goes_on(self, indices: np.ndarray) -> np.ndarray:
        """bool [B]: whether the document of a sequence goes on in the next one."""
        return self._of(indices, lambda part, own: part.goes_on(own))

    def visit(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> Visit:
        """Each sequence as its own corpus masks it."""
        return self._visited(MaskedBatches.visit, indices, epochs, elapsed)

    def chosen(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> Visit:
        """The same as written."""
        return self._visited(MaskedBatches.chosen, indices, epochs, elapsed)

    def _visited(self, ask: Callable[..., Visit], indices: np.ndarray, epochs: np.ndarray, elapsed: float) -> Visit:
        general = indices >= self.first_general
        if not general.any():
            return ask(self.domain, indices, epochs, elapsed)
        again = ask(self.general, indices[general] - self.first_general, epochs[general], elapsed)
        if general.all():
            return again
        rest = ask(self.domain, indices[~general], epochs[~general], elapsed)
        return joined(rest, again, np.argsort(np.argsort(general, kind="stable")))

    def _of(self, indices: np.ndarray, ask: Callable[[MaskedBatches, np.ndarray], np.ndarray]) -> np.ndarray:
        """What the corpus of each of these sequences says of it, [B]."""
        general = indices >= self.first_general
        again = ask(self.general, indices[general] - self.first_general)
        found = np.empty(len(indices), dtype=again.dtype)
        found[general], found[~general] = again, ask(self.domain, indices[~general])
        return found


def joined(one: Visit, other: Visit, order: np.ndarray) -> Visit:
    """Rows of two visits as one: row i is number `order[i]` of those of the first and then those of the second."""
    lengths = np.concatenate([np.diff(one.rows.offsets), np.diff(other.rows.offsets)])
    begin = np.cumsum(lengths) - lengths
    tokens = ranges(begin[order], lengths[order])
    both = lambda name: np.concatenate([getattr(one, name), getattr(other, name)])
    target = np.full(len(tokens), -1)
    targets = np.concatenate([one.targets, other.targets + one.rows.offsets[-1]])
    target[targets] = np.arange(len(targets))
    target = target[tokens]
    asked = target[target >= 0]
    rows = Rows(
        np.concatenate([[0], np.cumsum(lengths[order])]),
        np.concatenate([one.rows.keys, other.rows.keys])[order],
        np.concatenate([one.rows.epochs, other.rows.epochs])[order],
        one.rows.seed,
    )
    columns = [both(name)[tokens] for name in ("input_ids", "word_ids", "importance")]
    fates = None if one.fates is None else both("fates")[asked]
    return Visit(rows, *columns, np.flatnonzero(target >= 0), both("written")[asked], fates)
