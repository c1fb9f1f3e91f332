"""Importance of words from counts: what is said more of one class, more in the domain, or always together.

A lexicon is fitted on texts as lists of words and then weighs the words of any text, without a model. Words are
counted in lower case. The cost is one pass over the texts it is fitted on.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.run.errors import InputError
from pipeline.scoring.documents import Document, Importances

Words = Sequence[str]

LONGEST = 4
"""Words of an n-gram at most (PMI-Masking has 2 to 5)."""
FEWEST = 10
"""An n-gram counts when it was seen so often: of rarer ones chance makes the highest PMI (PMI-Masking: 10)."""
ENTRIES = 2_000_000
"""n-grams held while counting, some 400 MB: what was seen once is forgotten when there are more."""


@dataclass(frozen=True)
class Lexicon:
    """Weights of words; a word that is not in it has 0."""

    weights: dict[str, float]

    def __call__(self, documents: Sequence[Document]) -> Importances:
        """The weight of each word."""
        return [self._of(document.words) for document in documents]

    def _of(self, words: Words) -> np.ndarray:
        return np.array([self.weights.get(word.lower(), 0.0) for word in words], dtype=np.float32)


def log_odds(texts: Iterable[tuple[Words, str]]) -> Lexicon:
    """How surely a word is said more in one class than in all others; of texts with their class.

    The z-score of the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi and Quinn 2008), for the
    class where it is largest; KE-MLM (Kawintiranon and Singh 2021) masks by it. The prior is how often a word was said
    in all classes together, so that nothing has to be chosen. A word said alike everywhere has about 0.
    """
    counts: dict[str, Counter] = {}
    for words, label in texts:
        counts.setdefault(label, Counter()).update(map(str.lower, words))
    if len(counts) < 2:
        raise InputError("scorer = log_odds compares classes, and the task text has one: choose another scorer")
    prior = sum(counts.values(), Counter())
    scores = [_z_scores(own, prior) for own in counts.values()]
    return Lexicon({word: max(of_class[word] for of_class in scores) for word in prior})


def _z_scores(own: Counter, prior: Counter) -> dict[str, float]:
    """Of each word, the class against all others: difference of the log-odds over its standard deviation."""
    mass, ours = prior.total(), own.total()
    result = {}
    for word, alpha in prior.items():
        here, there = own[word] + alpha, alpha - own[word] + alpha
        gap = math.log(here / (ours + mass - here)) - math.log(there / (mass - ours + mass - there))
        result[word] = gap / math.sqrt(1 / here + 1 / there)
    return result


def tfidf(domain: Iterable[Words], general: Iterable[Words]) -> Lexicon:
    """How much a word is of the domain: (1 + log n) log(f / g), said n times there, its share f, g in general text.

    Term frequency times inverse *corpus* frequency, the idea by which Difference-Masking (Wilf et al. 2023) finds its
    anchors. Frequency is sublinear (Manning et al. 2008, 6.4.1): linear, the commonest word would weigh most for a
    slight difference; left out, the rarest for a chance one. One is added to every count of a share, so that a word
    unknown to general text has a finite weight. Positive: more of the domain.
    """
    here, there = (Counter(word.lower() for words in texts for word in words) for texts in (domain, general))
    vocabulary = len(here.keys() | there.keys())
    ours, theirs = here.total() + vocabulary, there.total() + vocabulary
    ratio = lambda word: ((here[word] + 1) / ours) / ((there[word] + 1) / theirs)
    return Lexicon({word: (1 + math.log(count)) * math.log(ratio(word)) for word, count in here.items()})


@dataclass(frozen=True)
class Collocations:
    """n-grams whose words belong together, and how much."""

    weights: dict[tuple[str, ...], float]

    def __call__(self, documents: Sequence[Document]) -> Importances:
        """The highest weight of an n-gram that a word is part of, 0 where there is none."""
        return [self._of([word.lower() for word in document.words]) for document in documents]

    def _of(self, words: Words) -> np.ndarray:
        best = np.zeros(len(words), dtype=np.float32)
        for start, ngram in _ngrams(words, 2):
            weight = self.weights.get(ngram, 0.0)
            if weight > 0:
                best[start : start + len(ngram)] = np.maximum(best[start : start + len(ngram)], weight)
        return best


def pmi(texts: Iterable[Words]) -> Collocations:
    """Pointwise mutual information of the n-grams of 2 to `LONGEST` words (PMI-Masking, Levine et al. 2021).

    Of longer n-grams it is the smallest over all ways to cut them: "New York is" is no collocation because "New York"
    is one. Only what was seen `FEWEST` times counts. Where there are more than `ENTRIES` n-grams, counts are a little
    too low: rare ones are forgotten on the way.
    """
    counts = _count_ngrams(texts)
    totals = Counter()
    for ngram, count in counts.items():
        totals[len(ngram)] += count
    logs = {n: math.log(c / totals[len(n)]) for n, c in counts.items() if len(n) == 1 or c >= FEWEST}
    return Collocations({n: logs[n] - _best_cut(n, logs) for n in logs if len(n) > 1})


def _count_ngrams(texts: Iterable[Words]) -> Counter:
    counts: Counter = Counter()
    for words in texts:
        counts.update(ngram for _, ngram in _ngrams([word.lower() for word in words], 1))
        if len(counts) > ENTRIES:
            counts = Counter({ngram: count for ngram, count in counts.items() if count > 1 or len(ngram) == 1})
    return counts


def _ngrams(words: Words, shortest: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """(place, n-gram) of all n-grams of `shortest` to `LONGEST` words."""
    for start in range(len(words)):
        for end in range(start + shortest, min(start + LONGEST, len(words)) + 1):
            yield start, tuple(words[start:end])


def _best_cut(ngram: tuple[str, ...], logs: dict[tuple[str, ...], float]) -> float:
    """The highest log-probability of an n-gram as independent parts, two or more."""
    part = lambda words: max(logs.get(words, -math.inf), _best_cut(words, logs) if len(words) > 1 else -math.inf)
    return max(part(ngram[:cut]) + part(ngram[cut:]) for cut in range(1, len(ngram)))
