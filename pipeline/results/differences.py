"""Is one arm better than another? Every comparison of a page, and the sentences that say what was found.

A gain is told beside its control: what as much training brings without what is to be shown.
"""

from collections.abc import Sequence
from itertools import islice

from pipeline.finetuning.pages import title_of
from pipeline.pages.parts import Said
from pipeline.results.arms import TEXT_CONTROL, WORDS_CONTROL, Arm, Predictions, base_of, is_control
from pipeline.results.comparison import Compared, Named, compared, p_shown, size_shown
from pipeline.results.significance import Difference
from pipeline.run.artifact import MANIFEST, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import flat

MANY = 8
"""Comparisons of a task from which on those without a difference are told in one sentence."""


def differences(
    tasks: Sequence[Sequence[Arm]], rows: Predictions, confidence: float, against: Sequence[str] = ()
) -> list[list[Compared]]:
    """Of the arms of each task: every arm against its base, against its controls, and of several recipes those of the
    first against their like, or what is varied of a recipe against the recipe and the variants `against`; corrected
    together, over all tasks."""
    every = [arm for arms in tasks for arm in arms]
    known = sorted({arm.variant for arm in every} - {""})
    strange = [name for name in against if name not in known]
    if strange and len({arm.folder for arm in every}) > 1:  # make compare reports each run alone as well
        raise InputError(f"report.against: no run is the variant {strange[0]}; there are {', '.join(known) or 'none'}")
    pairs = []
    for arms in tasks:
        named = {arm.name: Named(arm.name, arm.sample(rows)) for arm in arms}
        pairs.append([(named[one], named[other]) for one, other in _pairs(arms, against)])
    found = iter(compared([pair for some in pairs for pair in some], confidence))
    return [list(islice(found, len(some))) for some in pairs]


def _pairs(arms: Sequence[Arm], against: Sequence[str]) -> list[tuple[str, str]]:
    pairs = [(arm.name, base_of(arm, arms).name) for arm in arms[1:]]
    pairs += [(arm.name, control.name) for arm in arms for control in _controls(arm, arms)]
    for arm in (one for one in arms if one.folder == arms[0].folder and not is_control(one)):
        like = [other for other in arms if other.folder != arm.folder and other.last == arm.last]
        pairs += [(other.name, arm.name) if other.variant else (arm.name, other.name) for other in like]
    for control in (one for name in against for one in arms if one.variant == name and one.last != "base"):
        like = [other for other in arms if other.folder != control.folder and other.last == control.last]
        pairs += [(other.name, control.name) for other in like]
    once: dict[frozenset[str], tuple[str, str]] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())


def _controls(arm: Arm, arms: Sequence[Arm]) -> list[Arm]:
    names = (f"{arm.last}{WORDS_CONTROL}", *([TEXT_CONTROL] if arm.last == "dapt" else []))
    return [other for other in arms if other.folder == arm.folder and other.last in names]


def verdicts(found: Sequence[Compared], arms: Sequence[Arm]) -> list[Said]:
    """A sentence for each, and a line for each gain that stands without a control.

    Of many comparisons those without a difference share one: what was found is not to be looked for among them.
    """
    metric = title_of(arms[0].metric)
    told = [one for one in found if len(found) <= MANY or one.verdict != "same" or one.found.runs < 2]
    return (
        [verdict(one, metric) for one in told] + _same([one for one in found if one not in told]) + _alone(found, arms)
    )


def _same(found: Sequence[Compared]) -> list[Said]:
    if not found:
        return []
    sizes = [one.detectable for one in found]
    told = "–".join(dict.fromkeys(map(size_shown, (min(sizes), max(sizes)))))
    against: dict[str, list[str]] = {}
    for one in found:
        against.setdefault(one.control, []).append(one.arm)
    en = "; ".join(f"{', '.join(arms)} against {control}" for control, arms in against.items())
    zh = "；".join(f"{'、'.join(arms)} 对 {control}" for control, arms in against.items())
    return [
        Said(
            f"**No difference found** in {len(found)} comparisons; one of {told} would be found four times in five: "
            f"{en}.",
            f"{len(found)} 项比较**未发现差异**（若真实差异为 {told}，五次中有四次能发现）：{zh}。",
        )
    ]


def _alone(found: Sequence[Compared], arms: Sequence[Arm]) -> list[Said]:
    """A line on the gains that nothing of their budget stands beside."""
    named = {arm.name: arm for arm in arms}
    gained = {one.arm for one in found if named[one.control].last == "base" and one.verdict == "better"}
    beside = {name: [named[other] for pair in found for other in _other(pair, name)] for name in gained}
    gains = [arm for arm in arms if arm.name in gained and not is_control(arm) and arm.last != "base"]
    alone = [arm for arm in gains if not any(_of_one_budget(arm, other, arms) for other in beside[arm.name])]
    if not alone:
        return []
    names, known = ", ".join(arm.name for arm in alone), all(map(_controllable, alone))
    how = Said("; make controls finds out.", "；运行 make controls 查明。") if known else Said(".", "。")
    return [
        Said(
            f"Without a control of equal budget ({names}): as many steps on any words may bring some of it{how.en}",
            f"没有同等预算的对照（{names}）：同样步数训练任意词也可能带来部分收益{how.zh}",
        )
    ]


def _controllable(arm: Arm) -> bool:
    """Whether `make controls` makes one of it: of `dapt` always, of what reads task text where words are chosen."""
    masked = arm.folder / "masked"
    chosen = (masked / MANIFEST).exists() and read_manifest(masked)["config"].get("policy") == "selective"
    return arm.last == "dapt" or (arm.last in ("tapt", "dapt-tapt") and chosen)


def _other(pair: Compared, name: str) -> list[str]:
    """What an arm is compared with by a pair; nothing where it is not of it."""
    return [pair.control] if name == pair.arm else [pair.arm] if name == pair.control else []


def _of_one_budget(arm: Arm, other: Arm, arms: Sequence[Arm]) -> bool:
    """Whether both began from one base and read as much."""
    batch = lambda one: flat(one.pretrained["config"]).get("trainer.batch_size")
    read = lambda one: (base_of(one, arms).name, one.pretrained["metrics"].get("steps"), batch(one))
    return other.last != "base" and read(arm) == read(other)


def verdict(one: Compared, metric: Said) -> Said:
    """A sentence bound to what was found; that none was found is not that there is none."""
    found = one.found
    gained = Said(f"{found.mean:+.1f} {metric.en}", f"{metric.zh} {found.mean:+.1f}")
    if found.runs < 2:
        return Said(
            f"**{one.arm} against {one.control}**: {gained.en}; one seed says nothing about noise (finetuned.seeds).",
            f"**{one.arm} 与 {one.control} 相比**：{gained.zh}；单个种子无法判断噪声（finetuned.seeds）。",
        )
    interval, p = f"[{found.low:+.1f}, {found.high:+.1f}]", f"p {p_shown(one.p)}"
    over = _over(found)
    told = Said(
        f"{gained.en}, {found.confidence:.0%} interval {interval} over {over.en}, {p}",
        f"{gained.zh}，{found.confidence:.0%} 置信区间 {interval}，{over.zh}，{p}",
    )
    if one.verdict == "same":
        size = size_shown(one.detectable)
        power = Said(
            f"; one of {size} would be found four times in five.",
            f"；若真实差异为 {size}，五次中有四次能发现。",
        )
        more = power if found.error else Said(": their runs are all alike.", "：各次运行完全相同。")
        return Said(
            f"**No difference found between {one.arm} and {one.control}**: {told.en}{more.en}",
            f"**{one.arm} 与 {one.control} 之间未发现差异**：{told.zh}{more.zh}",
        )
    how = {"better": Said("better than", "优于"), "worse": Said("worse than", "差于")}[one.verdict]
    return Said(
        f"**{one.arm} is {how.en} {one.control}**: {told.en}.", f"**{one.arm} {how.zh} {one.control}**：{told.zh}。"
    )


def _over(found: Difference) -> Said:
    """What the error knows of."""
    parts = [Said(f"{found.repeats} pretrainings", f"{found.repeats} 次预训练")] if found.repeats > 1 else []
    parts += [Said(f"{found.seeds} seeds", f"{found.seeds} 个种子")]
    parts += [Said(f"{found.rows:,} rows", f"{found.rows:,} 条测试样本")] if found.rows else []
    *most, last = (part.en for part in parts)
    return Said(f"{', '.join(most)} and {last}" if most else last, "、".join(part.zh for part in parts))


def failed(arms: Sequence[Arm]) -> list[Said]:
    """A line for each arm of which seeds gave every row one answer."""
    lines = []
    for arm in arms:
        if count := sum(int(one.result["metrics"]["degenerate"]) for one in arm.pretrainings):
            runs = Said("runs", "次运行") if arm.repeats else Said("seeds", "个种子")
            lines.append(
                Said(
                    f"{count} of {len(arm.scores)} {runs.en} of {arm.name} gave every row the same answer; "
                    "they are in the mean.",
                    f"{arm.name} 的 {len(arm.scores)} {runs.zh}中有 {count} {runs.zh[0]}对所有样本给出同一答案；"
                    "它们计入均值。",
                )
            )
    return lines
