"""How alike two bodies of text are, by the words they use.

Counted are words with a letter in them, in lower case, without stop words, of a sample of documents that does not move
when documents are added. Each document belongs to one of two halves: how alike the halves of one body of text are is
how alike samples of this size can be found.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import log2
from pathlib import Path

from corpora.parquet import Row, read_batches
from corpora.segment import Segmenter
from corpora.splits import place_of, sample

LEAST = 3
"""Documents a word must stand in to count for `jaccard` (min_df of Gururangan et al.'s own script)."""


@dataclass
class Words:
    """What is counted of a body of text."""

    halves: tuple[Counter[str], Counter[str]] = field(default_factory=lambda: (Counter(), Counter()))
    """How often each word stands in the documents of either half."""
    within: Counter[str] = field(default_factory=Counter)
    """In how many documents each word stands."""
    documents: int = 0
    tokens: int = 0
    """Words and signs, stop words among them."""
    characters: int = 0

    def add(self, name: str, words: list[str], stop: frozenset[str]) -> None:
        """A document, by its id and its words."""
        counted = [word for word in map(str.lower, words) if any(map(str.isalpha, word)) and word not in stop]
        self.halves[place_of(name, "half") < 0.5].update(counted)
        self.within.update(set(counted))
        self.documents, self.tokens = self.documents + 1, self.tokens + len(words)
        self.characters += sum(map(len, words))

    @cached_property
    def counts(self) -> Counter[str]:
        """How often each word stands in all documents."""
        return self.halves[0] + self.halves[1]


def sampled(folder: Path, documents: int, seed: int = 0) -> Iterator[Row]:
    """A sample of the documents of a corpus by their ids, with `id`, `text`, `text_pair` and `origin`."""
    ids = (name for batch in read_batches(folder, ("id",)) for name in batch["id"])
    chosen = set(sample(ids, documents, seed))
    for batch in read_batches(folder, ("id", "text", "text_pair", "origin")):
        for values in zip(*batch.values(), strict=True):
            row = dict(zip(batch, values, strict=True))
            if row["id"] in chosen:
                yield row


def counted(rows: Iterable[Row], segmenter: Segmenter, stop: frozenset[str]) -> dict[str, Words]:
    """Card -> what is counted of its documents."""
    found: dict[str, Words] = {}
    for row in rows:
        words = segmenter.words(row["text"]) + (segmenter.words(row["text_pair"]) if row["text_pair"] else [])
        found.setdefault(row["origin"].partition(":")[0], Words()).add(row["id"], words, stop)
    return found


def together(parts: Iterable[Words]) -> Words:
    """Several bodies of text as one."""
    whole = Words()
    for part in parts:
        for half, other in zip(whole.halves, part.halves, strict=True):
            half.update(other)
        whole.within.update(part.within)
        whole.documents, whole.tokens = whole.documents + part.documents, whole.tokens + part.tokens
        whole.characters += part.characters
    return whole


def overlap(one: Counter[str], other: Counter[str], top: int) -> float:
    """Share of the `top` most frequent words that both have (Gururangan et al. 2020, at 10,000); of two bodies with
    fewer words, as many as the smaller one has."""
    size = min(top, len(one), len(other))
    return len(_frequent(one, size) & _frequent(other, size)) / max(size, 1)


def _frequent(counts: Counter[str], size: int) -> set[str]:
    """The most frequent words; ties by the alphabet, so that the order of documents changes nothing."""
    return set(sorted(counts, key=lambda word: (-counts[word], word))[:size])


def jaccard(one: Counter[str], other: Counter[str]) -> float:
    """Of the words that stand in at least `LEAST` documents, the share that both have; as in those authors' script."""
    first, second = ({word for word, count in counts.items() if count >= LEAST} for counts in (one, other))
    return len(first & second) / max(len(first | second), 1)


def jensen_shannon(one: Counter[str], other: Counter[str]) -> float:
    """Divergence of two distributions of words, in bits: 0 where they are equal, 1 where they share no word."""
    totals = one.total(), other.total()
    if not all(totals):
        return 1.0
    found = 0.0
    for word in one.keys() | other.keys():
        p, q = one[word] / totals[0], other[word] / totals[1]
        middle = (p + q) / 2
        found += sum(x * log2(x / middle) for x in (p, q) if x) / 2
    return found
