"""Is a difference between two arms more than noise: of fine-tuning seeds and of test rows, both.

Seeds and rows are crossed: every seed answers the same rows. The error of a mean difference is put together from its
spread over seeds and from a paired bootstrap over rows, what both contain counted once; the quantiles are Student's,
with the degrees of freedom of the whole (Satterthwaite 1946). With three to five seeds that keeps its promise, which
a percentile bootstrap over seeds does not (it takes noise for a gain two to three times too often:
tests/pipeline/results/test_significance.py simulates it).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.sparse import csr_matrix
from scipy.stats import nct
from scipy.stats import t as student_t

from pipeline.draws import RESAMPLE, bits, uniform

REPLICATES, AT_ONCE = 1000, 50
"""Bootstrap samples of the test rows, and how many are held at a time."""
POWER = 0.8
"""Of the smallest difference that is called detectable."""
EXACT = 12
"""Seeds up to which every flip of signs is tried; beyond, FLIPS of them."""
FLIPS = 10_000

Measure = Callable[[np.ndarray], np.ndarray]
"""Of counts [..., C, 3], found rightly, found, there to be found: a measure [...] in percent."""


@dataclass(frozen=True)
class ByRow:
    """What every test row adds to the counts of every class, for each seed, and what is measured of their sums."""

    counts: dict[int, csr_matrix]  # seed -> [N, 3 C]: found rightly, found, there to be found, class by class
    measure: Measure

    @property
    def rows(self) -> int:
        """How many."""
        return next(iter(self.counts.values())).shape[0]

    def of_samples(self, seeds: Sequence[int]) -> np.ndarray:
        """float64 [REPLICATES, S]: measured on rows drawn with replacement, the same ones for every arm and seed."""
        return np.stack([self._samples[seed] for seed in seeds], axis=1)

    @cached_property
    def _samples(self) -> dict[int, np.ndarray]:
        """Of every seed, once for all comparisons an arm stands in."""
        found = [self._of(weights) for weights in _weights(self.rows)]
        return {seed: np.concatenate([one[seed] for one in found]) for seed in self.counts}

    def _of(self, weights: np.ndarray) -> dict[int, np.ndarray]:
        sums = {seed: (counts.T @ weights.T).T for seed, counts in self.counts.items()}
        return {seed: self.measure(one.reshape(len(one), -1, 3)) for seed, one in sums.items()}


def _weights(rows: int) -> Iterator[np.ndarray]:
    """[AT_ONCE, N] again and again: how often each row is in a bootstrap sample."""
    for first in range(0, REPLICATES, AT_ONCE):
        drawn = uniform(0, RESAMPLE, np.arange(first, first + AT_ONCE)[:, None], np.arange(rows)[None])
        yield np.stack([np.bincount(one, minlength=rows) for one in (drawn * rows).astype(np.int64)]).astype(float)


@dataclass(frozen=True)
class Sample:
    """What an arm reached: seed -> measure on the test rows; and row by row, where the measure is one of counts."""

    scores: Mapping[int, float]
    rows: ByRow | None = None


@dataclass(frozen=True)
class Difference:
    """Mean of arm - control over the seeds both have, with everything that says how sure it is."""

    mean: float
    error: float
    """Standard error, over seeds and rows."""
    freedom: float
    """Degrees of freedom of that error."""
    confidence: float
    seeds: int
    rows: int
    """Test rows that were resampled; 0: the error is over seeds alone."""
    effect: float
    """In standard deviations of one run."""
    flips: float
    """p of the exact paired permutation test over seeds; never below 2 / 2^seeds."""

    @property
    def _reach(self) -> float:
        return float(student_t.ppf((1 + self.confidence) / 2, self.freedom) * self.error)

    @property
    def low(self) -> float:
        """Lower end of the interval; without limit for a single seed."""
        return self.mean - self._reach if self.seeds > 1 else -np.inf

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self._reach if self.seeds > 1 else np.inf

    @property
    def p(self) -> float:
        """Two-sided p of no difference; 1 for a single seed."""
        if self.seeds < 2 or self.mean == 0:
            return 1.0
        return float(2 * student_t.sf(abs(self.mean) / self.error, self.freedom)) if self.error else 0.0

    @cached_property
    def detectable(self) -> float:
        """The smallest true difference that would be found in `POWER` of all such comparisons; of one seed none."""
        if self.seeds < 2:
            return np.inf
        if not self.error:
            return 0.0
        limit = student_t.ppf((1 + self.confidence) / 2, self.freedom)
        power = lambda size: nct.sf(limit, self.freedom, size)  # beyond the other limit is next to nothing
        return float(brentq(lambda size: power(size) - POWER, 0.0, 2 * limit + 5) * self.error)


def difference(arm: Sample, control: Sample, confidence: float = 0.95) -> Difference:
    """Of an arm to another, paired by seed and row."""
    seeds = sorted(arm.scores.keys() & control.scores.keys())
    values, others = (np.array([one.scores[seed] for seed in seeds], dtype=float) for one in (arm, control))
    rows = arm.rows.rows if arm.rows and control.rows else 0
    if rows and control.rows.rows != rows:
        raise ValueError(f"{rows} test rows cannot be paired with {control.rows.rows}")
    drawn = arm.rows.of_samples(seeds) - control.rows.of_samples(seeds) if rows else np.zeros((2, len(seeds)))
    error, freedom = _error(values - others, drawn, rows)
    return Difference(
        mean=float((values - others).mean()),
        error=error,
        freedom=freedom,
        confidence=confidence,
        seeds=len(seeds),
        rows=rows,
        effect=_effect(values, others),
        flips=_flipped(values - others),
    )


def _error(differences: np.ndarray, drawn: np.ndarray, rows: int) -> tuple[float, float]:
    """Standard error of the mean of differences [S], and its degrees of freedom; drawn [B, S]: of rows resampled.

    Both parts contain the noise of single answers, which is of a row and a seed together: it is taken out of the
    second.
    """
    seeds = len(differences)
    if seeds < 2:
        return float(np.inf), 1.0
    of_seeds = differences.var(ddof=1) / seeds
    mean = drawn.mean(1)
    of_both = (drawn - mean[:, None]).var(0, ddof=1).mean() / (seeds - 1)
    of_rows = max(mean.var(ddof=1) - of_both, 0.0)
    variance = of_seeds + of_rows
    if not variance:
        return 0.0, seeds - 1.0
    share = of_seeds / variance
    return float(np.sqrt(variance)), float(1 / (share**2 / (seeds - 1) + (1 - share) ** 2 / max(rows - 1, 1)))


def _effect(values: np.ndarray, others: np.ndarray) -> float:
    """Cohen's d: the difference in standard deviations of a run, both arms pooled; 0 without any difference."""
    if len(values) < 2:
        return float("nan")
    deviation, mean = np.sqrt((values.var(ddof=1) + others.var(ddof=1)) / 2), (values - others).mean()
    return float(mean / deviation) if deviation else float(np.sign(mean) * np.inf) if mean else 0.0


def _flipped(differences: np.ndarray) -> float:
    """Share of all flips of their signs of which the sum is as far from 0 (Fisher's paired permutation test)."""
    seeds = len(differences)
    if seeds <= EXACT:
        signs = np.array(list(product((1, -1), repeat=seeds)))
    else:
        drawn = bits(1, RESAMPLE, np.arange(FLIPS - 1)[:, None], np.arange(seeds)[None]) >> np.uint64(63)
        signs = np.concatenate([np.ones((1, seeds)), 1 - 2 * drawn.astype(np.int64)])
    sums = np.abs(signs @ differences)
    return float((sums >= abs(differences.sum()) - 1e-9).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for being many (Holm 1979): the k-th smallest of m times m - k + 1, never falling."""
    order, corrected, highest = np.argsort(ps), [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min((len(ps) - rank) * ps[place], 1.0))
        corrected[place] = highest
    return corrected
