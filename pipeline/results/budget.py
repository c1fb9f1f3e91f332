"""What more steps bring: arms that were pretrained alike, but for how long.

Each is a training of its own, warmed up and decayed over its own length: a checkpoint on the way of a longer one has
not been decayed, and would be worse than its steps are worth.
"""

import json
from collections.abc import Sequence
from functools import partial

from pipeline.finetuning.pages import title_of
from pipeline.metrics import mean_sd
from pipeline.pages.parts import Picture, Said, Section, Table
from pipeline.pages.plots import Points, lines_svg
from pipeline.pages.tables import plus_minus
from pipeline.results.arms import OF_THE_MACHINE, Arm
from pipeline.run.key import flat

LENGTH = {"trainer.steps", "trainer.epochs"}
APART = 0.008
"""Of the width, between the lines of two names: their deviations would hide each other."""


def by_steps(arms: Sequence[Arm]) -> Section:
    """What every policy reached by its number of steps; nothing where no two arms differ in that alone."""
    base, metric = arms[0], title_of(arms[0].metric)
    found = {some[0].name: {_steps(arm): arm for arm in (base, *some)} for some in _alike_but_for_length(arms[1:])}
    steps = sorted({number for reached in found.values() for number in reached})
    cell = lambda reached, number: _reached(reached[number]) if number in reached else ""
    rows = [[f"{number:,}", *(cell(reached, number) for reached in found.values())] for number in steps]
    title = Said(
        f"test {metric.en} by steps of pretraining: mean ± standard deviation over all runs",
        f"测试集{metric.zh}随预训练步数的变化：全部运行的均值 ± 标准差",
    )
    draw = partial(lines_svg, _lines(found, steps[-1] if steps else 0), marks=steps)
    parts = [Table([Said("steps", "步数"), *found], rows), Picture("steps", title, draw), TOLD]
    return Section(Said("By steps", "步数的影响"), parts if found else [])


TOLD = Said(
    "Arms that were pretrained alike but for their number of steps, each a training of its own with its own warm-up "
    "and decay. Read across: does one reach with fewer steps what another reaches with more?",
    "除步数外预训练方式相同的模型：每个都是独立的训练，各有自己的预热与衰减。横向阅读：是否有一种方式用更少的步数"
    "达到另一种方式更多步数的结果？",
)


def _steps(arm: Arm) -> int:
    """How long it was adapted."""
    return int(arm.pretrained["metrics"].get("steps", 0)) if arm.pretrained["stage"] == "pretrain" else 0


def _alike_but_for_length(arms: Sequence[Arm]) -> list[list[Arm]]:
    """Groups of at least two of different length, the arm of the shortest name, which they go by, first."""
    groups: dict[str, list[Arm]] = {}
    for arm in (one for one in arms if one.pretrained["stage"] == "pretrain"):
        groups.setdefault(_but_for_length(arm), []).append(arm)
    named = [sorted(some, key=lambda arm: len(arm.name)) for some in groups.values()]
    return [some for some in named if len({_steps(arm) for arm in some}) > 1]


def _but_for_length(arm: Arm) -> str:
    """Everything that went into a pretraining, without its length and what its machine could hold."""
    config = flat(arm.pretrained["config"])
    kept = {name: value for name, value in config.items() if name not in LENGTH | OF_THE_MACHINE}
    return json.dumps([kept, arm.pretrained["inputs"]], sort_keys=True)


def _reached(arm: Arm) -> str:
    again = f" × {len(arm.pretrainings)}" if arm.repeats else ""
    return plus_minus(*mean_sd([*arm.scores.values()])) + again


def _lines(found: dict[str, dict[int, Arm]], last: int) -> dict[str, list[Points]]:
    """Of each name a line through its means, and one up and down through each as long as its deviation."""
    lines: dict[str, list[Points]] = {}
    for place, (name, reached) in enumerate(found.items()):
        aside = (place - (len(found) - 1) / 2) * APART * last
        means = [(number + aside, *mean_sd([*reached[number].scores.values()])) for number in sorted(reached)]
        bars = [[(x, mean - sd), (x, mean + sd)] for x, mean, sd in means if sd]
        lines[name] = [[(x, mean) for x, mean, _ in means], *bars]
    return lines
