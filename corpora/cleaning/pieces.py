"""Documents of more than so many characters, cut into several at the ends of sentences.

    pieces(text, most=10_000)           # texts of like length, which together are the text
    rows = pieced(rows, 10_000, 2, reject, counts)

A text that is a book is one document to whoever looks for duplicates, text of the test or what is like the task. No
word is cut: where a sentence is too long it ends at a pause, and text without either stays in one piece.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from corpora.cleaning.dedup import fingerprint
from corpora.keeping import Reject, clean
from corpora.parquet import Row

_CLOSED = r"[”’」』）)】》\]\"']*"
_END = re.compile(
    rf"(?:[。！？；…]+{_CLOSED}|(?<![.!?;])[.!?;]+{_CLOSED}(?=\s|$)|(?<![\d.!?;])[.!?;]+{_CLOSED}(?=[^\x00-\x7f])|\n)\s*"
)
"""A sentence ends with its mark, the quotes closed after it and what blanks follow. One of ASCII is a mark before a
blank or a character of another kind: not in a number or an address."""
_PAUSE = re.compile(r"[，、：]\s*|[,:](?=\s|[^\x00-\x7f])\s*|\s+")


def pieces(text: str, most: int) -> list[str]:
    """The text in as few pieces of at most `most` characters as there are places to cut for, all of like length."""
    if len(text) <= most:
        return [text]
    places = [[found.end() for found in mark.finditer(text)] for mark in (_END, _PAUSE)]
    cuts = [0]
    while (left := len(text) - cuts[-1]) > most:
        count = -(-left // most)
        cuts.append(_cut(places, cuts[-1], cuts[-1] + -(-left // count), cuts[-1] + most, len(text)))
    return [text[start:end] for start, end in zip(cuts, [*cuts[1:], len(text)], strict=True) if start < end]


def _cut(places: Sequence[Sequence[int]], start: int, wanted: int, last: int, end: int) -> int:
    """Where to cut after `start`: at the end of a sentence, or else a pause, nearest to `wanted` and not after `last`;
    where there is none, at the next of either."""
    for known in places:
        at = bisect_right(known, wanted)
        near = [place for place in known[max(at - 1, 0) : at + 1] if start < place <= last]
        if near:
            return min(near, key=lambda place: abs(place - wanted))
    following = ((known, bisect_right(known, last)) for known in places)
    return min((known[at] for known, at in following if at < len(known)), default=end)


def pieced(rows: Iterable[Row], most: int, min_chars: int, reject: Reject, changed: Counter[str]) -> Iterator[Row]:
    """Rows with ids, those whose text is too long cut into `id@0`, `id@1`, …, which stay together in any split.

    A piece that nothing can be learned from is dropped as a document would be. Pairs stay as they are.
    """
    for row in rows:
        found = [row["text"]] if row.get("text_pair") else pieces(row["text"], most)
        if len(found) == 1:
            yield row
            continue
        changed.update({"documents_cut": 1, "pieces_of_these": len(found)})
        for number, text in enumerate(found):
            if reason := clean(text, min_chars)[1]:
                reject(row["place"], reason, text)
                continue
            together = row.get("group") or row["id"]
            yield row | {
                "id": f"{row['id']}@{number}",
                "text": text,
                "fingerprint": fingerprint(text),
                "group": together,
            }
