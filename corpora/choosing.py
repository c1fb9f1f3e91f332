"""Which documents of a domain are like the task, counted over hashed words and pairs of words.

    knn          the nearest of every task document: cosine of TF-IDF, or of vectors that an encoder made, exact
                 (kNN-TAPT, Gururangan et al. 2020)
    dsir         resampled by importance: log-ratio of the task's distribution and the domain's, plus Gumbel noise
                 (DSIR, Xie et al. 2023)
    moore_lewis  the highest mean log-ratio (Moore and Lewis 2010, with the hashed bag of words as language model)
    random       their control

A document is its buckets: every word and pair of neighbours falls into one of `BUCKETS`. They are kept on disk, 4
bytes each; in memory are some 30 bytes a document, and the counts.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from corpora.splits import place_of

BITS = 17
BUCKETS = 1 << BITS
BLOCK = 2048
"""Documents that are compared at once."""
CHUNK = 1 << 22
"""Buckets that are counted at once."""
_FACTOR = np.uint64(0x9E3779B97F4A7C15)

Block = np.ndarray | csr_matrix
"""Numbers of documents, one a row or one a column."""


@dataclass(frozen=True)
class Bags:
    """Documents as buckets end to end."""

    offsets: np.ndarray  # int64 [N + 1]
    buckets: np.ndarray  # uint32 [T], on disk where they are many

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @classmethod
    def written(cls, documents: Iterable[list[str]], path: Path) -> "Bags":
        """From documents as words; their buckets go to a file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lengths = []
        with path.open("wb") as file:
            for words in documents:
                found = buckets_of(words)
                lengths.append(len(found))
                found.tofile(file)
        offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        empty = np.zeros(0, dtype=np.uint32)
        return cls(offsets, np.memmap(path, dtype=np.uint32, mode="r") if offsets[-1] else empty)

    @property
    def counts(self) -> np.ndarray:
        """int64 [BUCKETS]: how often each bucket is there."""
        found = np.zeros(BUCKETS, dtype=np.int64)
        for first in range(0, len(self.buckets), CHUNK):
            found += np.bincount(self.buckets[first : first + CHUNK], minlength=BUCKETS)
        return found

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, csr_matrix]]:
        """Counts float64 [<= size, BUCKETS] of the documents from a number on."""
        for first in range(0, len(self), size):
            offsets = self.offsets[first : first + size + 1]
            columns = np.asarray(self.buckets[offsets[0] : offsets[-1]])
            shape = (len(offsets) - 1, BUCKETS)
            block = csr_matrix((np.ones(len(columns)), columns, offsets - offsets[0]), shape=shape)
            block.sum_duplicates()
            yield first, block


def buckets_of(words: Sequence[str]) -> np.ndarray:
    """uint32 [2 L - 1]: those of words in lower case and of pairs of neighbours."""
    hashes = np.array([_hash(word.lower()) for word in words], dtype=np.uint64)
    pairs = (hashes[:-1] * _FACTOR + hashes[1:]) * _FACTOR
    return (np.concatenate([hashes, pairs]) >> np.uint64(64 - BITS)).astype(np.uint32)


@lru_cache(maxsize=1 << 17)
def _hash(word: str) -> int:
    return int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def log_ratios(task: Bags, domain: Bags) -> np.ndarray:
    """float64 [BUCKETS]: how much likelier a bucket is in the task than in the domain; one is added to every count."""
    ours, theirs = task.counts + 1.0, domain.counts + 1.0
    return np.log(ours / ours.sum()) - np.log(theirs / theirs.sum())


def summed(domain: Bags, weights: np.ndarray) -> np.ndarray:
    """float64 [N]: of every document, the weights of its buckets added up."""
    found = np.zeros(len(domain))
    for first, block in domain.blocks():
        found[first : first + block.shape[0]] = block @ weights
    return found


def places(names: Iterable[str], seed: str) -> np.ndarray:
    """float64 [N] in [0, 1): a number for each id, another one for each seed."""
    return np.fromiter((place_of(name, seed) for name in names), dtype=np.float64)


def by_importance(task: Bags, domain: Bags, drawn: np.ndarray) -> np.ndarray:
    """float64 [N]: log importance + Gumbel noise made of `places`: the highest are a sample without replacement."""
    noise = np.log(-np.log(np.clip(drawn, 2.0**-53, 1 - 2.0**-53)))
    return summed(domain, log_ratios(task, domain)) - noise


def by_mean_ratio(task: Bags, domain: Bags) -> np.ndarray:
    """float64 [N]: mean log-ratio of a document's buckets; the lowest of all where it has none."""
    lengths = np.diff(domain.offsets)
    return np.where(lengths > 0, summed(domain, log_ratios(task, domain)) / np.maximum(lengths, 1), -np.inf)


def nearest(task: Bags, domain: Bags, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [M] rising, float64 [M]: documents among the `neighbours` nearest of a task document, and how near.

    Exact: every pair is compared. Of documents equally near the earlier is taken.
    """
    documents = np.zeros(BUCKETS)
    for _, block in domain.blocks():
        documents += np.diff(block.tocsc().indptr)
    idf = np.log((1 + len(domain)) / (1 + documents)) + 1
    asked = [_unit(block, idf) for _, block in task.blocks()]
    blocks = ((first, _unit(block, idf).T.tocsr()) for first, block in domain.blocks())
    scores, numbers = _best(asked, blocks, neighbours)
    return _highest_of(scores[scores > 0], numbers[scores > 0], len(domain))


def nearest_vectors(task: np.ndarray, domain: np.ndarray, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of vectors, float32 [T, W] and [N, W], which may lie on disk.

    The mean of the domain is taken from all of them before the cosine: what an encoder makes of any text points in
    nearly one direction (Ethayarajh 2019), which tells nothing of the text.
    """
    starts = range(0, len(domain), BLOCK)
    centre = sum(domain[i : i + BLOCK].sum(0, dtype=np.float64) for i in starts) / max(len(domain), 1)
    asked = [_direction(task[i : i + BLOCK] - centre) for i in range(0, len(task), BLOCK)]
    blocks = ((i, _direction(domain[i : i + BLOCK] - centre).T) for i in starts)
    return _highest_of(*_best(asked, blocks, neighbours), len(domain))


def _best(asked: list[Block], blocks: Iterable[tuple[int, Block]], neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """float64 [M], int64 [M]: how near the nearest of every row asked for are, and their numbers; row after row.

    Blocks are columns, from a number on.
    """
    best = [(np.zeros((rows.shape[0], 0)), np.zeros((rows.shape[0], 0), dtype=np.int64)) for rows in asked]
    for first, columns in blocks:
        for i, rows in enumerate(asked):
            near = rows @ columns
            near = near if isinstance(near, np.ndarray) else near.toarray()
            numbers = np.broadcast_to(np.arange(first, first + near.shape[1]), near.shape)
            best[i] = _top(*(np.hstack(pair) for pair in zip(best[i], (near, numbers), strict=True)), neighbours)
    scores, numbers = (np.concatenate([part[i].ravel() for part in best]) for i in (0, 1))
    return scores, numbers


def _highest_of(scores: np.ndarray, numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [M] rising, float64 [M]: the documents met, of `count`, and the highest score of each."""
    highest = np.full(count, -np.inf)
    np.maximum.at(highest, numbers, scores)
    chosen = np.flatnonzero(highest > -np.inf)
    return chosen, highest[chosen]


def _direction(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _unit(block: csr_matrix, idf: np.ndarray) -> csr_matrix:
    """Rows of TF-IDF (sublinear term frequency) of length 1."""
    weighed = block.copy()
    weighed.data = (1 + np.log(weighed.data)) * idf[weighed.indices]
    norms = np.sqrt(weighed.multiply(weighed).sum(1)).A1 if weighed.nnz else np.ones(weighed.shape[0])
    return csr_matrix((weighed.data / np.repeat(norms, np.diff(weighed.indptr)), weighed.indices, weighed.indptr),
                      shape=weighed.shape)  # fmt: skip


def _top(scores: np.ndarray, numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the `count` highest scores, of equal ones those that stand first."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)


def highest(scores: np.ndarray, count: int) -> np.ndarray:
    """int64 [<= count] rising: the documents with the highest scores, of equal ones the earlier."""
    return np.sort(np.argsort(-scores, kind="stable")[:count])
