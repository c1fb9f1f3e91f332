"""Several tasks at once: what is better on one, is it better on the others?

The tasks are taken as a sample: the error of a mean over them comes from its spread from task to task, which holds
everything that differs between them, another pretraining for each included. So it says what to expect of tasks like
these on average, and not only whether these rows and seeds were lucky; a single one lies further off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import t as student_t

from pipeline.pages.intervals import Interval, intervals_svg
from pipeline.pages.parts import Picture, Said, Section, Table
from pipeline.results.arms import Arm
from pipeline.results.comparison import Compared, p_shown
from pipeline.results.significance import holm

Pair = tuple[str, str]
"""Roles: an arm and what it is compared with, whatever the task."""


@dataclass(frozen=True)
class OverTasks:
    """The mean of one comparison over tasks."""

    differences: Mapping[str, float]
    confidence: float

    @property
    def mean(self) -> float:
        """In points."""
        return float(np.mean([*self.differences.values()]))

    @property
    def error(self) -> float:
        """Its standard error, from the spread over tasks."""
        return float(np.std([*self.differences.values()], ddof=1) / np.sqrt(len(self.differences)))

    @property
    def interval(self) -> Interval:
        """Student's, with one degree of freedom less than there are tasks."""
        reach = float(student_t.ppf((1 + self.confidence) / 2, len(self.differences) - 1)) * self.error
        return Interval(self.mean, self.mean - reach, self.mean + reach, tuple(self.differences.values()))

    @property
    def p(self) -> float:
        """Two-sided, of no difference on tasks like these."""
        if not self.error:
            return float(self.mean == 0)
        return float(2 * student_t.sf(abs(self.mean) / self.error, len(self.differences) - 1))


def overview(tasks: Sequence[Sequence[Arm]], found: Sequence[Sequence[Compared]], confidence: float) -> Section:
    """A row a comparison that at least two tasks have, a column a task; nothing where there are none."""
    pairs = over_tasks(tasks, found, confidence)
    names = [arms[0].folder.name for arms in tasks]
    rows, shown = [], {}
    for (arm, control), one, p in zip(pairs, pairs.values(), holm([one.p for one in pairs.values()]), strict=True):
        each = [f"{one.differences[name]:+.1f}" if name in one.differences else "" for name in names]
        rows.append([Said(f"{arm} against {control}", f"{arm} 对 {control}"), *each, one.interval.shown, p_shown(p)])
        shown[f"{arm} − {control}"] = one.interval._replace(found=p < 1 - confidence)
    title = Said(
        f"points: a dot a task, a bar at the mean, its {confidence:.0%} interval; in colour where found",
        f"差异（百分点）：每点一个任务，竖线为均值，横线为任务间 {confidence:.0%} 置信区间，发现差异者着色",
    )
    parts = [
        Table(["", *names, Said("mean", "均值"), Said("p, Holm", "p（Holm）")], rows),
        Picture("over-tasks", title, partial(intervals_svg, shown)),
        TOLD,
    ]
    return Section(Said("Over all tasks", "所有任务"), parts if pairs else [], leads=True)


TOLD = Said(
    "Differences in points of each task's measure. The interval and *p* come from the spread over tasks, each with a "
    "pretraining of its own: they say what to expect of such tasks on average; a single one lies further off.",
    "差异以各任务指标的百分点计。区间与 *p* 来自任务之间的离散度，每个任务各有一次预训练："
    "说明此类任务平均而言可以期待什么，单个任务偏离更大。",
)


def over_tasks(
    tasks: Sequence[Sequence[Arm]], found: Sequence[Sequence[Compared]], confidence: float
) -> dict[Pair, OverTasks]:
    """Of the first recipe of every task and its variants, each comparison that at least two tasks have."""
    gathered: dict[Pair, dict[str, float]] = {}
    for arms, compared in zip(tasks, found, strict=True):
        first = arms[0].folder.name
        roles = {arm.name: arm.role for arm in arms if arm.folder.name.partition("@")[0] == first.partition("@")[0]}
        for one in compared:
            if one.arm in roles and one.control in roles:
                pair = roles[one.arm], roles[one.control]
                gathered.setdefault(pair, {})[first] = one.found.mean
    return {pair: OverTasks(each, confidence) for pair, each in gathered.items() if len(each) > 1}
