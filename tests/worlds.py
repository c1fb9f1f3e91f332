"""Arms whose true difference is known: what statistics are held against."""

import numpy as np
from scipy.sparse import csr_matrix

from pipeline.finetuning.by_row import accuracy
from pipeline.results.significance import ByRow, Sample


def simulated(
    rng: np.random.Generator,
    seeds: int = 5,
    rows: int = 250,
    of_seed: float = 0.02,
    of_row: float = 0.3,
    gain: float = 0.0,
    repeats: int = 1,
    of_repeat: float = 0.0,
) -> list[Sample]:
    """Two arms on the same rows: rows differ in how hard they are, also for the arm; pretrainings and runs in how good
    they are."""
    hard, found = rng.normal(0, of_row, rows), []
    for more in (gain, 0.0):
        own = rng.normal(0, of_row / 3, rows)
        runs = rng.normal(0, of_seed, (repeats, seeds))
        if of_repeat:
            runs += rng.normal(0, of_repeat, (repeats, 1))
        chance = np.clip(0.8 + more + hard + own + runs[..., None], 0, 1)
        right = (rng.random((repeats, seeds, rows)) < chance).astype(float)
        each = {(r + 1, s): right[r, s] for r in range(repeats) for s in range(seeds)}
        counts = {run: csr_matrix(np.stack([one, one, np.ones(rows)], 1)) for run, one in each.items()}
        found.append(Sample({run: 100 * one.mean() for run, one in each.items()}, ByRow(counts, accuracy)))
    return found


def percentile(rng: np.random.Generator, arm: Sample, control: Sample, replicates: int = 400) -> bool:
    """Whether a percentile bootstrap over seeds, 95 %, leaves out 0."""
    differences = np.array([arm.scores[s] - control.scores[s] for s in arm.scores])
    means = differences[rng.integers(len(differences), size=(replicates, len(differences)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return bool(low > 0 or high < 0)


def exchanged(rng: np.random.Generator, arm: Sample, control: Sample, times: int = 400) -> bool:
    """Whether rows exchanged between the arms, those of all seeds together, differ as much less than once in 20."""
    each = [sum(one.rows.counts[s].toarray()[:, 0] for s in one.scores) for one in (arm, control)]
    differences = each[0] - each[1]
    signs = 1 - 2 * rng.integers(0, 2, size=(times, len(differences)))
    return bool((np.abs(signs @ differences) >= abs(differences.sum())).mean() < 0.05)
