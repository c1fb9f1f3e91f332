"""Near-duplicates: documents that share most of their runs of five characters, or words (MinHash, Broder 1997).

    met = Met.of("zh")
    near(rows, met, reject)         # the rows that are no near-duplicate of one kept before

A document's signature is made of its smallest runs under `BANDS` x `ROWS` permutations: a hash of each band of them,
and 16 bits of each, which are enough to compare by. Who has a whole band in common with a
document kept before is compared with it: two documents that share J of their runs (Jaccard) are with a chance of
1 - (1 - J^ROWS)^BANDS, 0.57 at J = 0.7, 0.92 at 0.8, 1.0 at 0.9. It is dropped where their signatures agree in `ALIKE`
of all places. Bands alone, as is common, would let everything fall together that fills in one template: thousands of
documents have many chances.

Kept are some 500 bytes a document, in blocks and layers, so that none of it is ever copied as a whole.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from corpora.cleaning.contamination import FACTOR, Units, batches, characters, hashed_runs, unspaced, words
from corpora.cleaning.known import known
from corpora.keeping import Reject
from corpora.parquet import Row

BANDS, ROWS, RUN = 14, 8, 5
"""Bands and their rows as in datatrove's defaults (FineWeb); units of a run."""

ALIKE = 0.7
"""Share of runs from which on two documents are near-duplicates."""

_DRAWS = np.random.default_rng(20_201_127).integers(0, 1 << 63, (2, BANDS * ROWS), dtype=np.uint64)
_TIMES, _PLUS = _DRAWS[0] * np.uint64(2) + np.uint64(1), _DRAWS[1]
WIDTH = 4 * BANDS + BANDS * ROWS
"""Of a signature, in 16 bits: 336 bytes."""
BLOCK = 1 << 16
"""Documents whose marks stand in one array."""
MERGED = 1 << 24
"""Hashes of a layer that is not made longer: what sorting it takes has an end."""
SHOWN = 10
"""Pairs that are shown."""


@dataclass
class Met:
    """The documents kept so far."""

    units: Units
    layers: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    """(hashes of bands rising, uint32 whose each is): few, each at least twice as long as the next, or `MERGED`."""
    blocks: list[np.ndarray] = field(default_factory=list)
    """uint16 [BLOCK, BANDS x ROWS] each: the marks of `BLOCK` documents."""
    ids: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, language: str) -> "Met":
        """For text of a language."""
        return cls(characters if unspaced(language) else words)

    def signatures(self, texts: Sequence[str]) -> np.ndarray:
        """uint16 [N, WIDTH]: of each text; zeros for one shorter than a run."""
        minima = self._minima(texts)
        return np.concatenate([hashed_bands(minima).view(np.uint16), minima.astype(np.uint16)], axis=1)

    def _minima(self, texts: Sequence[str]) -> np.ndarray:
        """uint64 [N, BANDS x ROWS]."""
        runs, owners = hashed_runs([self.units(text) for text in texts], RUN)
        found = np.zeros((len(texts), BANDS * ROWS), dtype=np.uint64)
        present, starts = np.unique(owners, return_index=True)
        for number, (times, plus) in enumerate(zip(_TIMES, _PLUS, strict=True) if len(runs) else ()):
            found[present, number] = np.minimum.reduceat((runs * times + plus) ^ (runs >> np.uint64(31)), starts)
        return found

    def add(self, signatures: np.ndarray, ids: Sequence[str]) -> None:
        """Remember documents with these signatures uint16 [N, WIDTH]."""
        hashes = bands(signatures)
        numbers = np.arange(len(self.ids), len(self.ids) + len(signatures))
        owners = np.repeat(numbers.astype(np.uint32), BANDS)
        flat, owners = hashes.ravel()[hashes.ravel() != 0], owners[hashes.ravel() != 0]
        while self.layers and len(self.layers[-1][0]) < min(2 * len(flat), MERGED):
            before, whose = self.layers.pop()
            flat, owners = np.concatenate([before, flat]), np.concatenate([whose, owners])
        order = np.argsort(flat, kind="stable")
        self.layers += [(flat[order], owners[order])] if len(flat) else []
        self.ids += ids
        for number, one in zip(numbers.tolist(), marks(signatures), strict=True):
            if number % BLOCK == 0:
                self.blocks.append(np.empty((BLOCK, BANDS * ROWS), dtype=np.uint16))
            self.blocks[-1][number % BLOCK] = one

    def twins(self, signatures: np.ndarray) -> np.ndarray:
        """int64 [N]: the number of a document kept before that each is a near-duplicate of, -1 where there is none."""
        hashes, found = bands(signatures), np.full(len(signatures), -1)
        for before, owners in self.layers:
            places = np.searchsorted(before, hashes).clip(max=len(before) - 1)
            for i, band in zip(*np.nonzero((before[places] == hashes) & (hashes != 0)), strict=True):
                other = int(owners[places[i, band]])
                if found[i] < 0 and alike(marks(signatures)[i], self.blocks[other // BLOCK][other % BLOCK]):
                    found[i] = other
        return found


def bands(signatures: np.ndarray) -> np.ndarray:
    """uint64 [N, BANDS]: a hash of each band; 0 for a document without runs."""
    return np.ascontiguousarray(signatures[:, : 4 * BANDS]).view(np.uint64)


def marks(signatures: np.ndarray) -> np.ndarray:
    """uint16 [N, BANDS x ROWS]: what is compared."""
    return signatures[:, 4 * BANDS :]


def hashed_bands(minima: np.ndarray) -> np.ndarray:
    """uint64 [N, BANDS] of the smallest runs uint64 [N, BANDS x ROWS]."""
    found = np.zeros((len(minima), BANDS), dtype=np.uint64)
    for row in range(ROWS):
        found = found * FACTOR + minima.reshape(-1, BANDS, ROWS)[..., row]
    found = (found ^ (found >> np.uint64(32))) * FACTOR + np.arange(1, BANDS + 1, dtype=np.uint64)
    return np.where(minima.any(1)[:, None], found, np.uint64(0))


def alike(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the marks of two documents say that they share `ALIKE` of their runs."""
    return bool((one == other).mean() >= ALIKE)


def near(rows: Iterable[Row], met: Met, reject: Reject, pairs: list[tuple[str, str]] | None = None) -> Iterator[Row]:
    """The rows that are no near-duplicate of one kept before; `pairs` is told of the first few that are."""
    for batch in batches(rows):
        signatures = signatures_of(batch, met)
        before = [met.ids[twin] if twin >= 0 else "" for twin in met.twins(signatures)]
        kept = []
        for i, twin in enumerate(_within(signatures, before)):
            if twin < 0 and not before[i]:
                kept.append(i)
                yield batch[i]
                continue
            reject(batch[i]["place"], "near_duplicate", batch[i]["text"])
            if pairs is not None and len(pairs) < SHOWN:
                pairs.append((batch[i]["text"], before[i] or batch[twin]["id"]))
        met.add(signatures[kept], [batch[i]["id"] for i in kept])


def signatures_of(rows: Sequence[Row], met: Met) -> np.ndarray:
    """uint16 [N, WIDTH]: those that are known, and those of the other rows."""
    before = [found.signature if (found := known(row)) else None for row in rows]
    new = [i for i, one in enumerate(before) if one is None]
    found = (
        np.frombuffer(b"".join(one or bytes(2 * WIDTH) for one in before), dtype=np.uint16).reshape(-1, WIDTH).copy()
    )
    if new:
        found[new] = met.signatures([f"{rows[i]['text']}\n{rows[i].get('text_pair') or ''}" for i in new])
    return found


def _within(signatures: np.ndarray, before: Sequence[int]) -> list[int]:
    """Of each document of a batch, an earlier one of it that is kept and alike, -1 where there is none."""
    kept: dict[int, int] = {}  # hash of a band -> the first document that has it
    found = []
    seen = marks(signatures)
    for i, hashes in enumerate(bands(signatures).tolist()):
        candidates = (kept[x] for x in hashes if x and x in kept)
        found.append(next((j for j in candidates if alike(seen[i], seen[j])), -1))
        if found[i] < 0 and not before[i]:
            kept |= {x: i for x in hashes if x and x not in kept}
    return found
