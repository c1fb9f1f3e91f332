"""Exact duplicates and contamination, by 64-bit fingerprints of normalised text.

Two texts are one when they agree in letters, digits and ideographs, whatever their case, width, spacing and
punctuation. Only fingerprints are kept, of 16 to 32 bytes a document, however long it is.
"""

import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from corpora.cleaning.known import known
from corpora.keeping import Reject
from corpora.parquet import Row

_OTHER = re.compile(r"[\W_]+")
_WIDE = re.compile("[\u2026\u3000\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+")
"""Full-width punctuation. NFKC would make it narrow, at eight times the cost of a text without, for nothing."""


def normalised(text: str) -> str:
    """Case folded, full width made half (NFKC); letters, digits and ideographs only."""
    return _OTHER.sub("", unicodedata.normalize("NFKC", _WIDE.sub("", text)).casefold())


def fingerprint(text: str, text_pair: str | None = None) -> int:
    """64 bits of a text, or of a pair of texts in their order."""
    return _hash(_key(text) if text_pair is None else f"{_key(text)}\0{_key(text_pair)}")


def fingerprints(row: Row) -> set[int]:
    """All by which a row can be found again: the row and, of a pair, each side; what a misspelt text should be."""
    found = {row["fingerprint"]}
    if row.get("text_pair") is not None:
        found |= {fingerprint(row["text"]), fingerprint(row["text_pair"])}
    return found | ({fingerprint(row["target"])} if row.get("target") is not None else set())


class Seen:
    """The fingerprints met so far: 16 to 32 bytes each, where a set of Python's takes some 90.

    A table with open addressing, at most half full: a fingerprint, which is a hash already, stands at the place that
    its last bits say, or at the next that is free. 0 says that a place is free; a fingerprint of 0 counts as 1.
    """

    def __init__(self) -> None:
        self._table, self._count = array("Q", bytes(8 << 10)), 0

    def add(self, number: int) -> bool:
        """Remember a fingerprint; True when it is met for the first time."""
        place = self._place(number or 1)
        if self._table[place]:
            return False
        self._table[place] = number or 1
        self._count += 1
        if 2 * self._count > len(self._table):
            self._grow()
        return True

    def _place(self, number: int) -> int:
        table, last = self._table, len(self._table) - 1
        place = number & last
        while table[place] not in (0, number):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        known, self._table = self._table, array("Q", bytes(2 * 8 * len(self._table)))
        for number in filter(None, known):
            self._table[self._place(number)] = number


def document_id(card: str, number: int) -> str:
    """An id follows from the text: it never moves."""
    return f"{card}-{number:016x}"


def identified(rows: Iterable[Row], card: str, origin: str) -> Iterator[Row]:
    """The rows with `id`, `origin` and `fingerprint`."""
    for row in rows:
        found = known(row)
        number = found.fingerprint if found else fingerprint(row["text"], row.get("text_pair"))
        yield row | {"id": document_id(card, number), "origin": origin, "fingerprint": number}


def unique(rows: Iterable[Row], seen: Seen, reject: Reject) -> Iterator[Row]:
    """The rows whose text was not met before."""
    for row in rows:
        if seen.add(row["fingerprint"]):
            yield row
        else:
            reject(row["place"], "duplicate", row["text"])


def numbered(rows: Iterable[Row]) -> Iterator[Row]:
    """All rows, an id met before made its own with .2, .3, …: official dev and test sets repeat themselves."""
    times: dict[str, int] = {}
    for row in rows:
        times[row["id"]] = times.get(row["id"], 0) + 1
        yield row if times[row["id"]] == 1 else row | {"id": f"{row['id']}.{times[row['id']]}"}


def remembered(rows: Iterable[Row], texts: set[int]) -> Iterator[Row]:
    """The rows unchanged, all their fingerprints added to `texts` on the way."""
    for row in rows:
        texts |= fingerprints(row)
        yield row


def without(rows: Iterable[Row], texts: set[int], reason: str, reject: Reject) -> Iterator[Row]:
    """The rows that are not, as a whole, among `texts`."""
    for row in rows:
        if row["fingerprint"] in texts:
            reject(row["place"], reason, row["text"])
        else:
            yield row


def without_sides(rows: Iterable[Row], texts: set[int], reason: str, reject: Reject) -> Iterator[Row]:
    """The rows of which neither the whole nor any side is among `texts`."""
    for row in rows:
        if fingerprints(row) & texts:
            reject(row["place"], reason, row["text"])
        else:
            yield row


def survey(rows: Iterable[Row], target: str) -> tuple[set[int], set[int]]:
    """The fingerprints of the rows, and those of them that stand beside two different targets."""
    targets: dict[int, int] = {}
    contradictory = set()
    for row in rows:
        number, found = row["fingerprint"], _hash(repr(row[target]))
        if targets.setdefault(number, found) != found:
            contradictory.add(number)
    return set(targets), contradictory


def _key(text: str) -> str:
    return normalised(text) or text


def _hash(key: str) -> int:
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
