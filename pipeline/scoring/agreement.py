"""How far two scorers agree on the words of the same documents: in their order, and in what they choose."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import rankdata

from pipeline.scoring.documents import Document, Scored


@dataclass(frozen=True)
class Opinion:
    """What a scorer says of all words of N documents, end to end; of words of unknown tokens alone it has none."""

    ranks: np.ndarray  # float64 [words]: places in the order of a document, with mean 0 and length 1; 0 without order
    keyword: np.ndarray  # bool [words]
    starts: np.ndarray  # int [N]: where each document begins
    seconds: float

    @classmethod
    def of(cls, documents: Sequence[Document], found: Sequence[Scored], seconds: float) -> "Opinion":
        """Of documents with one known word or more each."""
        known = [document.known for document in documents]
        ranks = [_ranks(one.importance[words]) for one, words in zip(found, known, strict=True)]
        keyword = [one.keyword[words] for one, words in zip(found, known, strict=True)]
        starts = np.cumsum([0, *map(len, known)])[:-1]
        return cls(np.concatenate(ranks), np.concatenate(keyword), starts, seconds)


def _ranks(values: np.ndarray) -> np.ndarray:
    """float64 [words]: equal values share the mean of their places."""
    ranks = rankdata(values) - (len(values) + 1) / 2
    return ranks / (np.linalg.norm(ranks) or 1)


def rank_correlation(a: Opinion, b: Opinion) -> float:
    """Spearman's rho of the words of a document, mean over the documents both put in any order; NaN without one."""
    ordered = lambda ranks: np.add.reduceat(ranks**2, a.starts) > 0.5
    both = ordered(a.ranks) & ordered(b.ranks)
    return float(np.add.reduceat(a.ranks * b.ranks, a.starts)[both].mean()) if both.any() else np.nan


def overlap(a: Opinion, b: Opinion) -> float:
    """Of the words either chooses, the share both choose (Jaccard 1901); NaN where neither chooses one."""
    either = (a.keyword | b.keyword).sum()
    return float((a.keyword & b.keyword).sum() / either) if either else np.nan


def side_by_side(a: Sequence[Opinion], b: Sequence[Opinion]) -> list[tuple[Opinion, Opinion]]:
    """Pairs of the same seed; a scorer that asks no classifier has one opinion for all of them."""
    return [(a[i % len(a)], b[i % len(b)]) for i in range(max(len(a), len(b)))]


def between_seeds(opinions: Sequence[Opinion]) -> list[tuple[Opinion, Opinion]]:
    """Every two opinions of one scorer."""
    return list(combinations(opinions, 2))
