"""Lines that stand in many documents: navigation, advertisements, "related articles", whole paragraphs.

    known = repeated_lines(lambda: rows_of_a_card(), least=10)
    rows = without_lines(rows, known, min_chars, reject, counts)

The text is read twice more. First every line is counted in a table of a fixed size, in which strangers may share a
place (a count-min sketch, Cormode and Muthukrishnan 2005); then those whose count may be high are counted exactly. So
memory is the table and the lines that are found, and no line is taken out that does not stand in so many documents.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

import numpy as np

from corpora.cleaning.contamination import batches
from corpora.keeping import Reject
from corpora.parquet import Row

PLACES = 1 << 22
"""Of a line in each of two rows: 32 MB."""


def repeated_lines(read: Callable[[], Iterable[Row]], least: int) -> Counter[str]:
    """Lines, without the blanks around them, that stand in at least `least` documents of several lines -> in how many.

    `read` gives the rows anew at each call.
    """
    table = np.zeros((2, PLACES), dtype=np.uint32)
    for batch in batches(read()):
        found = [line for row in batch for line in _lines(row["text"])]
        for row, places in zip(table, _places(found), strict=True):
            np.add.at(row, places, 1)
    counts: Counter[str] = Counter()
    for batch in batches(read()):
        found = [line for row in batch for line in _lines(row["text"])]
        often = np.minimum(*(row[places] for row, places in zip(table, _places(found), strict=True))) >= least
        counts.update(line for line, is_often in zip(found, often.tolist(), strict=True) if is_often)
    return Counter({line: count for line, count in counts.items() if count >= least})


def _lines(text: str) -> set[str]:
    """The lines of a text, if it has several: of one alone it is a matter of duplicates."""
    found = [line.strip() for line in text.split("\n") if line.strip()]
    return set(found) if len(found) > 1 else set()


def _places(lines: list[str]) -> np.ndarray:
    """int64 [2, N]: where each line is counted."""
    digests = b"".join(blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest() for line in lines)
    return np.frombuffer(digests, dtype=np.uint32).reshape(-1, 2).T.astype(np.int64) % PLACES


def without_lines(
    rows: Iterable[Row], known: Counter[str], min_chars: int, reject: Reject, changed: Counter[str]
) -> Iterator[Row]:
    """The rows, these lines taken out of those of several lines; dropped where little is left. `changed` counts."""
    for row in rows:
        lines = row["text"].split("\n")
        kept = [line for line in lines if line.strip() not in known] if _lines(row["text"]) else lines
        text = "\n".join(kept).strip("\n")
        if len("".join(text.split())) < min_chars:
            reject(row["place"], "only_repeated_lines", row["text"])
            continue
        changed["lines_taken_out"] += len(lines) - len(kept)
        yield row | {"text": text} if len(kept) < len(lines) else row
