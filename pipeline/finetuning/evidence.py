"""What fine-tuning over several seeds shows: every seed, their spread, and what is confused with what.

No seed is dropped. A run whose answers are all the same learned nothing; it stays in the mean, and is counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pipeline.metrics import mean_sd, named_mean, precision_recall_f1

if TYPE_CHECKING:  # who only reads evidence, as `make ablate` does, waits for no torch
    from pipeline.finetuning.split import Split
    from pipeline.finetuning.task import Answers, Counts, Task

FILE = "evidence.json"
"""In a fine-tuned artifact: `Result.told` of every seed."""


@dataclass(frozen=True)
class Result:
    """What one seed came to."""

    seed: int
    dev: float
    """The measure that chose the epoch, where it was best."""
    steps: int
    measured: dict[str, float]
    """On the test rows."""
    counts: "Counts"
    confusion: list[list[int]]
    """Rows: true class, columns: predicted; empty where a row has no class."""
    degenerate: bool
    elsewhere: dict[str, dict[str, float]] = field(default_factory=dict)
    """The same measures on the rows of other sources, by card."""


def result_of(seed: int, dev: float, steps: int, task: "Task", test: "Split", answers: "Answers") -> Result:
    """From what the model of a seed says of the test rows."""
    counts = task.counts(test.truth, answers, test.lengths)
    measured = task.measure(test.truth, answers, counts)
    confusion = task.confusion(test.truth, answers)
    return Result(seed, dev, steps, measured, counts, confusion, task.degenerate(answers))


def summary(task: "Task", metric: str, results: Sequence[Result]) -> dict[str, float]:
    """Mean and deviation, of several seeds, of all that is measured; of what counts the lowest, the highest and that
    of every seed; runs that failed."""
    found: dict[str, float] = {}
    for name in dict.fromkeys((*task.metrics, *results[0].measured)):
        found |= named_mean(name, [result.measured[name] for result in results])
    found |= named_mean("dev", [result.dev for result in results])
    scores = {result.seed: result.measured[metric] for result in results}
    found |= {f"{metric}_min": min(scores.values()), f"{metric}_max": max(scores.values())}
    for name in results[0].elsewhere:
        found |= named_mean(f"{metric}_on_{name}", [result.elsewhere[name][metric] for result in results])
    found["degenerate"] = sum(result.degenerate for result in results)
    return found | {f"{metric}_seed_{seed}": score for seed, score in scores.items()}


MeanSd = tuple[float, float | None]
"""A mean, and the deviation of what it is of; a single value has none."""


def at_home_and_elsewhere(seeds: Sequence[Mapping[str, object]], metric: str) -> dict[str, tuple[MeanSd, MeanSd]]:
    """Other source -> (mean, deviation) of a measure there over seeds, and of what is lost on the way."""
    found = {}
    for name in seeds[0]["elsewhere"] if seeds and "elsewhere" in seeds[0] else ():
        there = [one["elsewhere"][name][metric] for one in seeds]
        lost = [one["measured"][metric] - value for one, value in zip(seeds, there, strict=True)]
        found[name] = (mean_sd(there), mean_sd(lost))
    return found


def most_confused(shares: np.ndarray, count: int = 10) -> list[tuple[int, int, float]]:
    """(true class, class given, share of the class): the largest confusions [K, K] there are, at most `count`."""
    wrong = np.where(np.eye(len(shares), dtype=bool), 0, shares)
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = zip(*np.unravel_index(order, shares.shape), strict=True)
    return [(int(i), int(j), float(wrong[i, j])) for i, j in places if wrong[i, j] > 0]


def class_rows(results: Sequence[dict[str, object]]) -> dict[str, tuple[float | None, ...]]:
    """Class -> precision, recall, F1 (means over seeds), deviation of F1, how often it is there; in percent."""
    found = {}
    for name in sorted({name for result in results for name in result["counts"]}):
        counts = [result["counts"].get(name, (0, 0, 0)) for result in results]
        scores = [precision_recall_f1(*one) for one in counts]
        means = {part: mean_sd([score[part] for score in scores]) for part in ("precision", "recall", "f1")}
        found[name] = (*(mean for mean, _ in means.values()), means["f1"][1], max(count[2] for count in counts))
    return found


def confused(results: Sequence[dict[str, object]]) -> np.ndarray:
    """float64 [K, K]: of the rows of a class, the share that was given each class; over all seeds. Or [0, 0]."""
    tables = [np.array(result["confusion"], dtype=np.float64) for result in results]
    total = np.sum([table.reshape(len(table), len(table)) for table in tables], axis=0)
    return total / np.maximum(total.sum(1, keepdims=True), 1)
