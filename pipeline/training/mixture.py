"""Cards of one corpus read in other proportions than those in which they are there.

Which card stands at place k of a training is a function of k alone: of the first k sequences the first card has its
share, rounded down; of what is left the second card has its share of the rest, and so on. So every beginning of a
training holds the shares, to within a sequence a card, whatever the batch size and the number of processes. Each card
is read in its own order, epoch after epoch: a function of (seed, k), as without a mixture.
"""

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np

from pipeline.batches import MaskedBatches
from pipeline.draws import visited
from pipeline.run.errors import InputError
from pipeline.training.replay import PARTS, replayed

WALKED = 1 << 20
"""Ids that are looked at at once to find their cards."""


def card_of(id: bytes | str) -> str:
    """`reviews` of `reviews-35bea120e1eb1d89#2`."""
    return (id if isinstance(id, str) else id.decode()).rpartition("-")[0]


def weights_of(asked: Sequence[str]) -> dict[str, float]:
    """Of `["reviews=3", "wiki=1"]`: card -> weight. ValueError where one is not of this form, or named twice."""
    found: dict[str, float] = {}
    for one in asked:
        card, _, number = one.partition("=")
        try:
            weight = float(number)
        except ValueError:
            weight = 0.0
        if not card or not 0 < weight < PARTS or card in found:
            raise ValueError(f"mixture has {one!r}: write each card once, with a weight above 0, as in reviews=3")
        found[card] = weight
    return found


class Runs:
    """Where the sequences of a card are: stretches of neighbours, so that few numbers say it."""

    def __init__(self, starts: np.ndarray, lengths: np.ndarray) -> None:
        self.starts, self.before = starts, np.concatenate([[0], np.cumsum(lengths)])

    def __len__(self) -> int:
        return int(self.before[-1])

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        """int64 [B]: places in the corpus of a card's sequences of these numbers."""
        run = np.searchsorted(self.before, numbers, side="right") - 1
        return self.starts[run] + numbers - self.before[run]


def runs_of(ids: np.ndarray) -> dict[str, Runs]:
    """The sequences of every card; ids bytes [N], usually memory-mapped, looked at a piece at a time."""
    starts: list[int] = []
    cards: list[str] = []
    for first in range(0, len(ids), WALKED):
        names = [card_of(one) for one in ids[first : first + WALKED].tolist()]
        for place, (name, last) in enumerate(zip(names, [cards[-1] if cards else None, *names], strict=False)):
            if name != last:
                starts.append(first + place)
                cards.append(name)
    ends, of = np.array([*starts[1:], len(ids)]), np.array(cards)
    begin = np.array(starts, dtype=np.int64)
    return {card: Runs(begin[of == card], (ends - begin)[of == card]) for card in dict.fromkeys(cards)}


class Mixture(MaskedBatches):
    """The same sequences, each card as often as its weight among all says."""

    def __init__(self, batches: MaskedBatches, weights: Mapping[str, float]) -> None:
        super().__init__(batches.sequences, batches.masking, batches.vocabulary, batches.pad_id)
        runs = runs_of(self.sequences.id)
        if runs.keys() != weights.keys():
            raise InputError(
                f"mixture names {', '.join(sorted(weights))}, and the corpus is of {', '.join(sorted(runs))}: "
                "give each of its cards a weight, and leave out of [corpus] what is not to be read"
            )
        self.cards = [runs[card] for card in weights]
        shares = np.array([*weights.values()]) / sum(weights.values())
        self.of_rest = (shares / np.cumsum(shares[::-1])[::-1]).tolist()
        """Share of each card among itself and those after it; 1 of the last."""
        self._length = max(
            ceil(len(card) / share) + len(weights) for card, share in zip(self.cards, shares, strict=True)
        )
        self.tokens = round(float(shares @ [self._mean_length(card) for card in self.cards]) * self._length)

    def __len__(self) -> int:
        """Sequences that are read until each of every card has been."""
        return self._length

    def at(self, seed: int, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(index, epoch) of what stands at these places of a training, int64 [B]."""
        indices, epochs = np.empty_like(places), np.empty_like(places)
        rest = np.arange(len(places))
        for card, share in zip(self.cards, self.of_rest, strict=True):
            before = replayed(places, share)
            mine = replayed(places + 1, share) > before
            number, epochs[rest[mine]] = visited(seed, before[mine], len(card))
            indices[rest[mine]] = card[number]
            rest, places = rest[~mine], (places - before)[~mine]
        return indices, epochs

    def _mean_length(self, card: Runs) -> float:
        offsets = np.asarray(self.sequences.offsets)
        ends = card.starts + np.diff(card.before)
        return float((offsets[ends] - offsets[card.starts]).sum() / len(card))
