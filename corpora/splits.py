"""Train, dev and test by the hash of the id, so that a row never moves.

Every id has a place in [0, 1) that depends on nothing else; rows of one group have that of the group. A split is an
interval of places, a sample the rows with the smallest: adding data moves no document, and a larger sample holds the
smaller one.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from heapq import heappop, heappush, nsmallest

from corpora.parquet import Row


def place_of(name: str, seed: int | str = "") -> float:
    """The place of an id in [0, 1), another one for each seed."""
    digest = blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # 53 bits: what a float holds


def group_of(row: Row) -> str:
    """What decides where a row goes: its group, or where it has none the id."""
    return row.get("group") or row["id"]


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

    Rows of one `group` have its place, and stay together. Held back is a `share` of the groups, at most `most` rows,
    and at least one group. Memory: the rows held back.
    """

    def __init__(self, share: float, most: int) -> None:
        self.share, self.most = share, most
        self._groups: dict[float, list[Row]] = {}
        self._places: list[float] = []  # a heap: the largest place, negated, first
        self._count, self._end = 0, 1.0

    def rest(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows not held back. One may come late, when a row of a smaller place took its seat."""
        for row in rows:
            place = place_of(group_of(row))
            if place >= self._end:
                yield row
                continue
            self._add(place, row)
            while len(self._places) > 1 and (self._count > self.most or -self._places[0] >= self.share):
                self._end = -heappop(self._places)
                given = self._groups.pop(self._end)
                self._count -= len(given)
                yield from given

    def _add(self, place: float, row: Row) -> None:
        if place not in self._groups:
            heappush(self._places, -place)
        self._groups.setdefault(place, []).append(row)
        self._count += 1

    @property
    def held(self) -> list[Row]:
        """The rows held back, once `rest` is exhausted: smallest place first."""
        return [row for place in sorted(self._groups) for row in self._groups[place]]
