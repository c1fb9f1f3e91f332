"""Is one arm better than another? The one place that asks the statistics, and words what they say."""

from collections.abc import Sequence

from pipeline.finetuning.pages import title_of
from pipeline.metrics import paired_difference
from pipeline.pages.parts import Said
from pipeline.results.arms import Arm


def difference(arm: Arm, base: Arm, confidence: float) -> tuple[float, float, float]:
    """Mean difference on the test rows, and the ends of its interval."""
    return paired_difference(arm.seeds, base.seeds, confidence)


def verdict(arm: Arm, base: Arm, confidence: float) -> Said:
    """A sentence whose wording is bound to the interval."""
    mean, low, high = difference(arm, base, confidence)
    found = (
        Said("better than", "优于")
        if low > 0
        else Said("worse than", "差于")
        if high < 0
        else Said("no different beyond noise from", "在噪声范围内无异于")
    )
    metric, interval = title_of(arm.metric), f"[{low:+.1f}, {high:+.1f}]"
    return Said(
        f"**{arm.name} is {found.en} {base.name}**: {mean:+.1f} {metric.en}, "
        f"{confidence:.0%} interval {interval} over {len(arm.seeds)} seeds.",
        f"**{arm.name} {found.zh} {base.name}**：{metric.zh} {mean:+.1f}，"
        f"{confidence:.0%} 置信区间 {interval}，{len(arm.seeds)} 个种子。",
    )


def verdicts(arms: Sequence[Arm], confidence: float) -> list[Said]:
    """Every arm against base; of several recipes, the arms of the first also against their like in the others."""
    lines = [verdict(arm, arms[0], confidence) for arm in arms[1:]]
    for arm in arms:
        if arm.folder == arms[0].folder:
            twins = [other for other in arms if other.folder != arm.folder and other.last == arm.last]
            lines += [verdict(arm, twin, confidence) for twin in twins]
    return lines


def failed(arms: Sequence[Arm]) -> list[Said]:
    """A line for each arm of which seeds gave every row one answer."""
    lines = []
    for arm in arms:
        if count := int(arm.result["metrics"]["degenerate"]):
            lines.append(
                Said(
                    f"{count} of {len(arm.seeds)} seeds of {arm.name} gave every row the same answer; "
                    "they are in the mean.",
                    f"{arm.name} 的 {len(arm.seeds)} 个种子中有 {count} 个对所有样本给出同一答案；它们计入均值。",
                )
            )
    return lines
