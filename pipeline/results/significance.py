"""Is a difference between two arms more than noise: of pretraining, of fine-tuning seeds and of test rows, all three.

They are crossed: every repeat of a pretraining is fine-tuned with every seed, and every run answers the same rows.
The error of a mean difference is put together from its spread over repeats, over seeds, and a paired bootstrap over
rows, what several contain counted once; the quantiles are Student's, with the degrees of freedom of the whole
(Satterthwaite 1946). With three to five of a kind that keeps its promise, which a percentile bootstrap over seeds does
not (it takes noise for a gain two to three times too often: tests/pipeline/results/test_significance.py simulates
it); the Multi-Bootstrap over pretrainings and rows (Sellam et al. 2021) has twenty-five pretrainings.
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
"""Differences up to which every flip of signs is tried; beyond, FLIPS of them."""
FLIPS = 10_000

Measure = Callable[[np.ndarray], np.ndarray]
"""Of counts [..., C, 3], found rightly, found, there to be found: a measure [...] in percent."""

Run = tuple[int, int]
"""Which repeat of a pretraining, and which seed of fine-tuning."""
EVERY = 0
"""The repeat of what is not pretrained again, as a base: it stands beside every repeat of another arm."""


@dataclass(frozen=True)
class ByRow:
    """What every test row adds to the counts of every class, for each run, and what is measured of their sums."""

    counts: dict[Run, csr_matrix]  # [N, 3 C]: found rightly, found, there to be found, class by class
    measure: Measure

    @property
    def rows(self) -> int:
        """How many."""
        return next(iter(self.counts.values())).shape[0]

    @cached_property
    def of_samples(self) -> dict[Run, np.ndarray]:
        """float64 [REPLICATES] of every run: measured on rows drawn with replacement, the same for all of them."""
        found = [self._of(weights) for weights in _weights(self.rows)]
        return {run: np.concatenate([one[run] for one in found]) for run in self.counts}

    def _of(self, weights: np.ndarray) -> dict[Run, np.ndarray]:
        sums = {run: (counts.T @ weights.T).T for run, counts in self.counts.items()}
        return {run: self.measure(one.reshape(len(one), -1, 3)) for run, one in sums.items()}


def _weights(rows: int) -> Iterator[np.ndarray]:
    """[AT_ONCE, N] again and again: how often each row is in a bootstrap sample."""
    for first in range(0, REPLICATES, AT_ONCE):
        drawn = uniform(0, RESAMPLE, np.arange(first, first + AT_ONCE)[:, None], np.arange(rows)[None])
        yield np.stack([np.bincount(one, minlength=rows) for one in (drawn * rows).astype(np.int64)]).astype(float)


@dataclass(frozen=True)
class Sample:
    """What every run of an arm reached on the test rows; and row by row, where the measure is one of counts."""

    scores: Mapping[Run, float]
    rows: ByRow | None = None

    @property
    def repeats(self) -> set[int]:
        """Of its pretraining; `EVERY` alone where it has none of its own."""
        return {repeat for repeat, _ in self.scores}

    def of(self, repeat: int, seed: int) -> Run:
        """The run that stands beside that of another arm."""
        return (EVERY if self.repeats == {EVERY} else repeat, seed)


@dataclass(frozen=True)
class Difference:
    """Mean of arm - control over the runs both have, with everything that says how sure it is."""

    mean: float
    error: float
    """Standard error, over repeats, seeds and rows."""
    freedom: float
    """Degrees of freedom of that error."""
    confidence: float
    repeats: int
    """Pretrainings; of one alone the error knows nothing of their noise."""
    seeds: int
    rows: int
    """Test rows that were resampled; 0: the error is over repeats and seeds alone."""
    effect: float
    """In standard deviations of one run."""
    flips: float
    """p of the exact paired permutation test, over repeats, or seeds where there is one; never below 2 / 2^flipped."""

    @property
    def runs(self) -> int:
        """Of either arm."""
        return self.repeats * self.seeds

    @property
    def _reach(self) -> float:
        return float(student_t.ppf((1 + self.confidence) / 2, self.freedom) * self.error)

    @property
    def low(self) -> float:
        """Lower end of the interval; without limit for a single run."""
        return self.mean - self._reach if self.runs > 1 else -np.inf

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self._reach if self.runs > 1 else np.inf

    @property
    def p(self) -> float:
        """Two-sided p of no difference; 1 for a single run."""
        if self.runs < 2 or self.mean == 0:
            return 1.0
        return float(2 * student_t.sf(abs(self.mean) / self.error, self.freedom)) if self.error else 0.0

    def detectable(self, many: int = 1) -> float:
        """The smallest true difference that would be found in `POWER` of all such comparisons; of one run none.

        `many`: among which it is the smallest p: found is what is below (1 - confidence) / many (Holm).
        """
        if self.runs < 2:
            return np.inf
        if not self.error:
            return 0.0
        limit = student_t.ppf(1 - (1 - self.confidence) / (2 * many), self.freedom)
        power = lambda size: nct.sf(limit, self.freedom, size)  # beyond the other limit is next to nothing
        return float(brentq(lambda size: power(size) - POWER, 0.0, 2 * limit + 5) * self.error)


def difference(arm: Sample, control: Sample, confidence: float = 0.95) -> Difference:
    """Of an arm to another, paired by repeat, seed and row."""
    repeats, seeds = _common(arm, control)
    table = lambda one, values: np.array([[values[one.of(r, s)] for s in seeds] for r in repeats], dtype=float)
    values, others = (table(one, one.scores) for one in (arm, control))
    rows = arm.rows.rows if arm.rows and control.rows else 0
    if rows and control.rows.rows != rows:
        raise ValueError(f"{rows} test rows cannot be paired with {control.rows.rows}")
    of_rows = lambda one: table(one, one.rows.of_samples) if rows else np.zeros((*values.shape, 2))
    drawn = of_rows(arm) - of_rows(control)
    own = lambda one: [one.scores[run] for run in dict.fromkeys(one.of(r, s) for r in repeats for s in seeds)]
    error, freedom = _error(values - others, np.moveaxis(drawn, -1, 0), rows)
    return Difference(
        mean=float((values - others).mean()),
        error=error,
        freedom=freedom,
        confidence=confidence,
        repeats=len(repeats),
        seeds=len(seeds),
        rows=rows,
        effect=_effect(own(arm), own(control)),
        flips=_flipped((values - others).mean(1) if len(repeats) > 1 else (values - others)[0]),
    )


def _common(arm: Sample, control: Sample) -> tuple[list[int], list[int]]:
    """Repeats and seeds that both have."""
    one, other = arm.repeats, control.repeats
    repeats = one if other == {EVERY} else other if one == {EVERY} else one & other
    has = lambda sample, seed: all(sample.of(repeat, seed) in sample.scores for repeat in repeats)
    seeds = {seed for _, seed in arm.scores}
    return sorted(repeats), sorted(seed for seed in seeds if has(arm, seed) and has(control, seed))


def _error(differences: np.ndarray, drawn: np.ndarray, rows: int) -> tuple[float, float]:
    """Standard error of the mean of differences [R, S], and its degrees of freedom; drawn [B, R, S]: rows resampled.

    What repeats or seeds have in common with rows, the noise of single answers included, is in both parts, and is
    taken out of the second.
    """
    repeats, seeds = differences.shape
    if differences.size < 2:
        return float(np.inf), 1.0
    parts, freedoms = _spread(differences), (repeats - 1, seeds - 1, (repeats - 1) * (seeds - 1))
    of_runs = max(parts[0] + parts[1] - parts[2], parts[2])
    mean = drawn.mean((1, 2))
    of_repeats, of_seeds, of_both = _spread(drawn - drawn.mean(0))
    of_rows = max(mean.var(ddof=1) - (of_repeats + of_seeds - of_both), 0.0)
    variance = of_runs + of_rows
    if not variance:
        return 0.0, max(sum(freedoms), 1.0)
    squares = [(part, freedom) for part, freedom in zip((*parts, of_rows), (*freedoms, rows - 1), strict=True) if part]
    # of what is taken out of a sum there would be less than one: no part is known by less
    known = variance**2 / sum(part**2 / max(freedom, 1) for part, freedom in squares)
    return float(np.sqrt(variance)), max(float(known), 1.0)


def _spread(table: np.ndarray) -> tuple[float, float, float]:
    """What repeats, seeds, and their being together add to the variance of the mean of [..., R, S], the mean over ...

    The first two contain the third (a crossed analysis of variance without replication).
    """
    repeats, seeds = table.shape[-2:]
    of_repeat, of_seed = table.mean(-1, keepdims=True), table.mean(-2, keepdims=True)
    mean = of_repeat.mean(-2, keepdims=True)
    share = lambda deviations, freedom: float((deviations**2).sum((-2, -1)).mean() / max(freedom, 1))
    return (
        share(of_repeat - mean, (repeats - 1) * repeats),
        share(of_seed - mean, (seeds - 1) * seeds),
        share(table - of_repeat - of_seed + mean, (repeats - 1) * (seeds - 1) * repeats * seeds),
    )


def _effect(values: Sequence[float], others: Sequence[float]) -> float:
    """Cohen's d: the difference in standard deviations of a run, both arms' averaged; 0 without any difference."""
    if len(values) < 2 or len(others) < 2:
        return float("nan")
    mean = np.mean(values) - np.mean(others)
    deviation = np.sqrt((np.var(values, ddof=1) + np.var(others, ddof=1)) / 2)
    return float(mean / deviation) if deviation else float(np.sign(mean) * np.inf) if mean else 0.0


def _flipped(differences: np.ndarray) -> float:
    """Share of all flips of their signs of which the sum is as far from 0 (Fisher's paired permutation test)."""
    count = len(differences)
    if count <= EXACT:
        signs = np.array(list(product((1, -1), repeat=count)))
    else:
        drawn = bits(1, RESAMPLE, np.arange(FLIPS - 1)[:, None], np.arange(count)[None]) >> np.uint64(63)
        signs = np.concatenate([np.ones((1, count)), 1 - 2 * drawn.astype(np.int64)])
    sums = np.abs(signs @ differences)
    return float((sums >= abs(differences.sum()) - 1e-9).mean())


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for being many (Holm 1979): the k-th smallest of m times m - k + 1, never falling."""
    order, corrected, highest = np.argsort(ps), [0.0] * len(ps), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min((len(ps) - rank) * ps[place], 1.0))
        corrected[place] = highest
    return corrected
