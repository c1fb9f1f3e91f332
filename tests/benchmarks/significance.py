"""how often noise is called a gain

Worlds in which the truth is known: two arms answer the same rows with several seeds each; rows are of different
difficulty, also for the arm, and runs are of different luck, in the last lines their pretrainings as well. In one kind
of world there is no difference; a way to tell should find one in 5 % of them, at most. In the other there is one, of 4
points, and the more often it is found the better (by a way that is honest in the first). 400 worlds a line: a rate of
5 % is good to ± 2.

- *Keymask*: the error over pretrainings, seeds and rows together (`pipeline/results/significance.py`), p below 0.05.
- *t-test over seeds*: of the paired differences; of pretrainings and seeds, where there are several. Knows nothing of
  the rows: another test set would say otherwise.
- *Bootstrap over seeds*: whether its 95 % percentile interval leaves out 0.
- *Rows exchanged*: the randomisation test of paired outputs (Noreen 1989), all seeds together. Knows nothing of seeds.
"""

import numpy as np

from pipeline.results import significance
from pipeline.results.significance import Sample, difference
from tests.benchmarks.timing import Found, Rows
from tests.worlds import exchanged, percentile, simulated

WORLDS, GAIN = 400, 0.04
SIZES = (
    (1, 3, 250, 0),
    (1, 5, 250, 0),
    (1, 10, 250, 0),
    (1, 5, 2000, 0),
    (1, 5, 250, 2),
    (3, 5, 250, 2),
    (5, 5, 250, 2),
)
"""Pretrainings, seeds, rows, and by how many points another pretraining differs."""
WAYS = ("Keymask", "t-test over seeds", "bootstrap over seeds", "rows exchanged")


def measure(quick: bool) -> Found:
    """A line for each number of seeds and rows."""
    significance.REPLICATES, usual = 200, significance.REPLICATES
    lines: Rows = []
    for repeats, seeds, rows, luck in SIZES[: 1 if quick else None]:
        for gain in (0.0, GAIN):
            size = {"seeds": seeds, "rows": rows, "repeats": repeats, "of_repeat": luck / 100, "gain": gain}
            found = zip(WAYS, rates(20 if quick else WORLDS, **size), strict=True)
            told = {"pretrainings": str(repeats), "differ by": str(luck), "seeds": str(seeds), "rows": f"{rows:,}"}
            told |= {"true gain": f"{100 * gain:.0f}"}
            lines.append(told | {way: f"{rate:.0%}" for way, rate in found})
    significance.REPLICATES = usual
    return [lines]


def rates(worlds: int, **size: float) -> np.ndarray:
    """How often each way finds a difference."""
    rng, found = np.random.default_rng(size["seeds"] + size["rows"]), []
    for _ in range(worlds):
        arm, control = simulated(rng, **size)
        alone = difference(Sample(arm.scores), Sample(control.scores))
        found.append([difference(arm, control).p < 0.05, alone.p < 0.05, percentile(rng, arm, control),
                      exchanged(rng, arm, control)])  # fmt: skip
    return np.mean(found, axis=0)
