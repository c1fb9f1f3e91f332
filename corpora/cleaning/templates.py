"""Sentences that a page puts around every text: found by how many rows they stand in, and taken out.

"Delivery was on time. Default positive review." under thousands of reviews says nothing of any of them, takes room in
`max_length`, and where only one class has it gives an answer away that the next source will not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from corpora.keeping import Reject
from corpora.parquet import Row

_SENTENCE = re.compile(r"(?:[^。！？!?；;…\n.]|\.(?!\s|$))*(?:[。！？!?；;…\n]+|\.|$)")
LEAST = 3
"""Rows below which nothing is a template, whatever share of few rows they are."""


def sentences(text: str) -> list[str]:
    """Pieces of a text, each with the mark that ends it; together they are the text."""
    return [piece for piece in _SENTENCE.findall(text) if piece]


def templates(rows: Iterable[Row], share: float) -> frozenset[str]:
    """Sentences, without what stands around them, that are in at least `share` of the rows, and in `LEAST` of them."""
    counts: Counter[str] = Counter()
    total = 0
    for total, row in enumerate(rows, 1):  # noqa: B007
        counts.update({piece.strip() for piece in sentences(row["text"])})
    least = max(share * total, LEAST)
    return frozenset(piece for piece, count in counts.items() if piece and count >= least)


def without_templates(rows: Iterable[Row], known: frozenset[str], reject: Reject) -> Iterator[Row]:
    """The rows, these sentences taken out of their text; one that is nothing else is dropped."""
    for row in rows:
        text = "".join(piece for piece in sentences(row["text"]) if piece.strip() not in known).strip()
        if text:
            yield row | {"text": text}
        else:
            reject(row["place"], "only_template", row["text"])
