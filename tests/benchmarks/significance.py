"""how often noise is called a gain

Worlds in which the truth is known: two arms answer the same rows with several seeds each; rows are of different
difficulty, also for the arm, and runs are of different luck. In one kind of world there is no difference; a way to
tell should find one in 5 % of them, at most. In the other there is one, of 4 points, and the more often it is found
the better (by a way that is honest in the first). 400 worlds a line: a rate of 5 % is good to ± 2.

- *Keymask*: the error over seeds and rows together (`pipeline/results/significance.py`), p below 0.05.
- *t-test over seeds*: of the paired differences. Knows nothing of the rows: another test set would say otherwise.
- *Bootstrap over seeds*: whether its 95 % percentile interval leaves out 0.
- *Rows exchanged*: the randomisation test of paired outputs (Noreen 1989), all seeds together. Knows nothing of seeds.
"""

import numpy as np

from pipeline.results import significance
from pipeline.results.significance import Sample, difference
from tests.benchmarks.timing import Found, Rows
from tests.worlds import exchanged, percentile, simulated

WORLDS, GAIN = 400, 0.04
SIZES = ((3, 250), (5, 250), (10, 250), (5, 2000))
"""Seeds and rows."""
WAYS = ("Keymask", "t-test over seeds", "bootstrap over seeds", "rows exchanged")


def measure(quick: bool) -> Found:
    """A line for each number of seeds and rows."""
    significance.REPLICATES, usual = 200, significance.REPLICATES
    lines: Rows = []
    for seeds, rows in SIZES[: 1 if quick else None]:
        for gain in (0.0, GAIN):
            found = zip(WAYS, rates(seeds, rows, gain, 20 if quick else WORLDS), strict=True)
            told = {"seeds": str(seeds), "rows": f"{rows:,}", "true gain": f"{100 * gain:.0f}"}
            lines.append(told | {way: f"{rate:.0%}" for way, rate in found})
    significance.REPLICATES = usual
    return [lines]


def rates(seeds: int, rows: int, gain: float, worlds: int) -> np.ndarray:
    """How often each way finds a difference."""
    rng, found = np.random.default_rng(seeds + rows), []
    for _ in range(worlds):
        arm, control = simulated(rng, seeds, rows, gain=gain)
        alone = difference(Sample(arm.scores), Sample(control.scores))
        found.append([difference(arm, control).p < 0.05, alone.p < 0.05, percentile(rng, arm, control),
                      exchanged(rng, arm, control)])  # fmt: skip
    return np.mean(found, axis=0)
