"""Train, dev and test by the hash of the id, so that a row never moves.

Every id has a place in [0, 1) that depends on nothing else. A split is an interval of places, a sample the rows with
the smallest: adding data moves no document, and a larger sample holds the smaller one.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from heapq import heappop, heappush, nsmallest

from corpora.parquet import Row


def place_of(name: str, seed: int | str = "") -> float:
    """The place of an id in [0, 1), another one for each seed."""
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # 53 bits: what a float holds


def split_of(name: str, shares: Mapping[str, float]) -> str:
    """The split of an id. `shares` is in order; the last split takes what the others leave."""
    place, end = place_of(name), 0.0
    *named, last = shares
    for split in named:
        end += shares[split]
        if place < end:
            return split
    return last


def sample(names: Iterable[str], size: int, seed: int) -> list[str]:
    """The `size` ids with the smallest places: the same whatever their order, nested as `size` grows."""
    return nsmallest(size, names, key=lambda name: (place_of(name, seed), name))


class HoldOut:
    """Keep back the rows with the smallest places while the others stream through.

    Held back is a `share` of the rows, at most `most`, and at least one. Memory: the rows held back.
    """

    def __init__(self, share: float, most: int) -> None:
        self.share, self.most = share, most
        self._heap: list[tuple[float, str, Row]] = []  # largest place first

    def rest(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows not held back. One may come late, when a row of a smaller place took its seat."""
        for row in rows:
            heappush(self._heap, (-place_of(row["id"]), row["id"], row))
            while len(self._heap) > 1 and (len(self._heap) > self.most or -self._heap[0][0] >= self.share):
                yield heappop(self._heap)[2]

    @property
    def held(self) -> list[Row]:
        """The rows held back, once `rest` is exhausted: smallest place first."""
        return [row for _, _, row in sorted(self._heap, key=lambda item: (-item[0], item[1]))]
