"""Text of dev and test inside other text: found by runs of 24 characters, or of 13 words.

    grams = Grams.of("zh")          # characters where a language writes no blanks, words elsewhere
    grams.add(test_texts)
    grams.within(domain_texts)      # bool [N]: which of them share a run

Compared is what `dedup.normalised` leaves: letters, digits and ideographs, whatever their case, width and punctuation.
Runs of 13 words are GPT-3's (Brown et al. 2020); 24 characters of Chinese are about as many. A text shorter than a run
is found as a whole, by its fingerprint (`dedup.py`). Kept are 8 bytes a run of dev and test.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from itertools import islice

import numpy as np

from corpora.cleaning.dedup import normalised
from corpora.keeping import Reject
from corpora.parquet import Row

CHARACTERS, WORDS = 24, 13
UNSPACED = ("zh", "ja", "th", "lo", "km", "my")
"""Languages that put no blanks between words."""

FACTOR = np.uint64(0x9E3779B97F4A7C15)
BATCH = 256
"""Rows that are looked at together."""
BITS = 22
"""Of a table that says at once of most runs that they are none of dev and test: 4 MB."""

Units = Callable[[str], np.ndarray]
"""A text as uint64 [L]: its characters or words."""


def unspaced(language: str) -> bool:
    """Whether one is: of `zh-TW` it is `zh` that says so."""
    return language.partition("-")[0].lower() in UNSPACED


@dataclass
class Grams:
    """The runs of dev and test, as hashes."""

    units: Units
    size: int
    """Units of a run."""
    ordered: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    """Rising, each once."""
    added: list[np.ndarray] = field(default_factory=list)
    """Those that came since; put in order when somebody asks."""
    table: np.ndarray = field(default_factory=lambda: np.zeros(1 << BITS, dtype=bool))

    @classmethod
    def of(cls, language: str) -> "Grams":
        """For text of a language."""
        return cls(characters, CHARACTERS) if unspaced(language) else cls(words, WORDS)

    def add(self, texts: Sequence[str]) -> None:
        """Texts of dev or test."""
        hashes, _ = self._runs(texts)
        self.added.append(hashes)
        self.table[hashes >> np.uint64(64 - BITS)] = True

    @property
    def known(self) -> np.ndarray:
        """uint64, rising, each once."""
        if self.added:
            self.ordered, self.added = np.unique(np.concatenate([self.ordered, *self.added])), []
        return self.ordered

    def within(self, texts: Sequence[str]) -> np.ndarray:
        """bool [N]: texts that share a run with those."""
        found, known = np.zeros(len(texts), dtype=bool), self.known
        if not len(known):
            return found
        hashes, owners = self._runs(texts)
        likely = np.flatnonzero(self.table[hashes >> np.uint64(64 - BITS)])
        places = np.searchsorted(known, hashes[likely]).clip(max=len(known) - 1)
        found[owners[likely[known[places] == hashes[likely]]]] = True
        return found

    def _runs(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        return hashed_runs([self.units(text) for text in texts], self.size)


def hashed_runs(rows: Sequence[np.ndarray], size: int) -> tuple[np.ndarray, np.ndarray]:
    """uint64, int64 [runs]: the hash of every run of `size` units of every row, and which row it is of."""
    flat = np.concatenate([*rows, np.zeros(0, dtype=np.uint64)])
    owners = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    count = len(flat) - size + 1
    if count <= 0:
        return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(size):  # a polynomial in FACTOR, its values mixed so that high bits tell runs apart
        hashes = hashes * FACTOR + flat[place : place + count]
    hashes ^= hashes >> np.uint64(29)
    hashes *= FACTOR
    whole = owners[:count] == owners[size - 1 :]
    return hashes[whole], owners[:count][whole]


def characters(text: str) -> np.ndarray:
    """uint64 [L]: the code points of what is compared."""
    return np.frombuffer(normalised(text).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)


def words(text: str) -> np.ndarray:
    """uint64 [L]: a hash of each word, of those with a letter or digit."""
    found = filter(None, map(_word, text.split()))
    return np.fromiter(found, dtype=np.uint64)


@lru_cache(maxsize=1 << 16)
def _word(word: str) -> int:
    kept = normalised(word)
    return (
        int.from_bytes(blake2b(kept.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") if kept else 0
    )


def noted(rows: Iterable[Row], grams: Grams) -> Iterator[Row]:
    """The rows of dev or test unchanged, all their runs added to `grams` on the way."""
    for batch in batches(rows):
        grams.add([text for row in batch for text in _texts(row)])
        yield from batch


def clear(rows: Iterable[Row], grams: Grams, reject: Reject) -> Iterator[Row]:
    """The rows that share no run with dev or test."""
    for batch in batches(rows):
        texts = [(i, text) for i, row in enumerate(batch) for text in _texts(row)]
        found = {i for (i, _), shares in zip(texts, grams.within([text for _, text in texts]), strict=True) if shares}
        for i, row in enumerate(batch):
            if i in found:
                reject(row["place"], "shares_text_with_dev_or_test", row["text"])
            else:
                yield row


def _texts(row: Row) -> list[str]:
    return [row["text"], row["text_pair"]] if row.get("text_pair") else [row["text"]]


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The same in lists."""
    rows = iter(rows)
    while batch := list(islice(rows, BATCH)):
        yield batch
