"""The sections of a report that need no more than the arms and the manifests of their runs."""

import json
from collections.abc import Sequence
from functools import partial
from math import isfinite
from pathlib import Path

from pipeline.finetuning.pages import class_table, confusions, elsewhere_table, measures_table, title_of
from pipeline.metrics import mean_sd
from pipeline.pages.intervals import intervals_svg
from pipeline.pages.parts import Part, Picture, Points, Said, Section, Table
from pipeline.pages.plots import dots_svg, lines_svg, paths_svg, reliability_svg
from pipeline.pages.tables import plus_minus
from pipeline.results.arms import GENERAL, Arm, base_of, is_control
from pipeline.results.comparison import Compared, p_shown, size_shown
from pipeline.run.artifact import MANIFEST, read_manifest
from pipeline.run.progress import clock
from pipeline.vocabulary.pages import vocabulary_line

GENERAL_LINE = "dev/general_loss"
"""Loss on general text, in the log of a training."""
RELIABILITY = "reliability.json"
CLASSES = 20
"""Of a task that are shown where there are more."""


def results_table(arms: Sequence[Arm], found: Sequence[Compared]) -> Table:
    """A row an arm: what it reached, against base, and what it cost."""
    shown = [title_of(arms[0].metric), title_of(arms[0].beside)]
    general = any(GENERAL in arm.pretrained["metrics"] for arm in arms)
    head = [Said("arm", "模型"), *shown, Said("against base", "与 base 之差"), Said("steps", "步数")]
    head += [Said("tokens", "词元"), Said("time", "用时"), Said("dev loss", "开发集损失")]
    against = {(one.arm, one.control): one.shown for one in found}
    return Table(
        [*head, *([Said("general", "通用文本损失")] if general else [])],
        [
            [
                *_row(arm, against.get((arm.name, base_of(arm, arms).name), "")),
                *([_lost(arm, GENERAL)] if general else []),
            ]
            for arm in arms
        ],
    )


def _row(arm: Arm, against: str) -> list[str]:
    made = arm.pretrained["metrics"]
    return [
        arm.shown,
        *(plus_minus(*arm.measured(name)) for name in (arm.metric, arm.beside)),
        against,
        f"{made.get('steps', 0):,}",
        f"{made.get('tokens', 0) / 1e6:.1f} M",
        clock(arm.pretrained["provenance"]["seconds"]),
        _lost(arm, "dev_loss"),
    ]


def _lost(arm: Arm, name: str) -> str:
    """A loss on dev text before and after, the mean of all pretrainings, where it was measured."""
    made = [one.pretrained["metrics"] for one in arm.pretrainings]
    if name not in made[0]:
        return ""
    before, after = (mean_sd([one[which] for one in made])[0] for which in (f"{name}_before", name))
    return f"{before:.2f} → {after:.2f}"


def comparisons(found: Sequence[Compared]) -> Section:
    """Everything that was computed of every comparison."""
    head = ["", Said("difference", "差异"), Said("p, alone", "p（单独）"), Said("p, Holm", "p（Holm）")]
    head += [Said("p, flips", "p（置换）"), Said("effect", "效应量"), Said("detectable", "可检出")]
    rows = [
        [
            Said(f"{one.arm} against {one.control}", f"{one.arm} 对 {one.control}"),
            one.shown,
            *map(p_shown, (one.found.p, one.p, one.found.flips)),
            f"{one.found.effect:+.1f}" if isfinite(one.found.effect) else "–",
            size_shown(one.detectable),
        ]
        for one in found
    ]
    shown = {f"{one.arm} − {one.control}": one.interval for one in found}
    known = {name: interval for name, interval in shown.items() if isfinite(interval.low)}
    title = Said(
        "differences with their intervals, each alone; in colour if one was found",
        "差异及其单独的置信区间，发现差异者着色",
    )
    picture = [Picture("differences", title, partial(intervals_svg, known))] if known else []
    return Section(Said("Statistics", "统计"), [Table(head, rows), *picture, STATISTICS] if rows else [])


STATISTICS = Said(
    "*p, alone*: from the error over pretrainings, where there are several, seeds and test rows, put together from "
    "the spread over the former and a paired bootstrap over rows, counting what they share once. *Flips*: the exact "
    "paired permutation test over pretrainings, or over seeds where there is one; it never goes below 2 / 2^n. "
    "*Effect*: the difference in standard deviations of one run. *Detectable*: the true difference that would be "
    "found four times in five among as many comparisons.",
    "*p（单独）*：误差兼顾预训练（有多次时）、种子与测试样本，由前两者的离散度与样本配对自助法合成，共有部分只计一次。"
    "*置换*：对预训练（只有一次时对种子）的精确配对置换检验，不会低于 2 / 2^n。*效应量*：以单次运行的标准差为单位。"
    "*可检出*：在同样多的比较中，五次有四次能发现的真实差异。",
)


def every_seed(arms: Sequence[Arm]) -> Section:
    """A dot a seed."""
    metric, again = title_of(arms[0].metric), any(arm.repeats for arm in arms)
    scores = {one.name: list(one.seeds.values()) for arm in arms for one in arm.pretrainings}
    row = Said("; a row a pretraining", "；每行一次预训练") if again else Said("", "")
    title = Said(
        f"test {metric.en}, %: a dot a seed, a bar at their mean{row.en}",
        f"测试集{metric.zh}（%）：每点一个种子，竖线为均值{row.zh}",
    )
    colours = [place for place, arm in enumerate(arms) for _ in arm.pretrainings]
    picture = Picture("scores", title, partial(dots_svg, scores, colours=colours))
    return Section(Said("Every seed", "每个种子"), [picture])


def curves(arms: Sequence[Arm]) -> Section:
    """What every continued pretraining measured on dev text on its way: a picture a measure, a line a pretraining."""
    lines = [line for arm in arms for one in arm.pretrainings for line in one.journal]
    names = dict.fromkeys(name for line in lines for name in line if name.startswith("dev/"))
    parts = []
    for name in sorted(names, key=lambda name: (list(CURVES).index(name) if name in CURVES else len(CURVES), name)):
        found = {arm.name: [_curve(one, name) for one in arm.pretrainings] for arm in arms}
        if any(len(points) > 1 for lines in found.values() for points in lines):
            plain = name.rpartition("/")[2].replace("_", " ")
            parts.append(
                Picture(name.replace("/", "_"), CURVES.get(name, Said(plain, plain)), partial(lines_svg, found))
            )
    return Section(Said("While pretraining", "预训练过程"), parts + _ways(arms))


CURVES = {
    "dev/loss": Said("loss by step, on held-out text of its own corpus", "各步的损失，自身语料的留出文本"),
    GENERAL_LINE: Said("loss by step, on general text: what rises is forgotten", "各步的损失，通用文本：上升即为遗忘"),
    "dev/probe_accuracy": Said(
        "linear probe by step, encoder frozen: accuracy on the task's dev rows",
        "线性探针：冻结编码器，任务开发集准确率",
    ),
    "dev/probe_shots": Said(
        "nearest class mean of a few rows by step: accuracy on dev", "少样本类均值最近邻：开发集准确率"
    ),
    "dev/retrieval": Said("halves of documents that find each other by step (R@1)", "文档两半互相检索（R@1）"),
}
"""What is measured on the way, those first that say most; another's name is its title."""


def _curve(arm: Arm, name: str) -> list[tuple[float, float]]:
    """(step, measure) of a continued pretraining, from before the first step where that is known."""
    points = [(line["step"] + 1, line[name]) for line in arm.journal if line.get(name) is not None]
    before = arm.pretrained["metrics"].get(f"{name.replace('/', '_')}_before")
    return [(0, before), *points] if points and before is not None else points


def _ways(arms: Sequence[Arm]) -> list[Part]:
    """What was learned against what was forgotten, step by step: a picture of those that began at one point.

    Others were measured by another base or on another text, and their losses say nothing of each other.
    """
    ways = {arm.name: [way for one in arm.pretrainings if (way := _way(one))] for arm in arms}
    starts = dict.fromkeys(_start(some[0]) for some in ways.values() if some)
    found = [
        {name: some if some and _start(some[0]) == start else [] for name, some in ways.items()} for start in starts
    ]
    title = Said(
        "own loss (right), general loss (up), from ring to large dot: left and below is better",
        "自身语料损失（横轴）与通用文本损失（纵轴），从圆环到大圆点：越靠左下越好",
    )
    return [
        Picture(f"ways_{number}" if number else "ways", title, partial(paths_svg, some, ("dev/loss", GENERAL_LINE)))
        for number, some in enumerate(found)
    ]


def _way(arm: Arm) -> list[tuple[float, float]]:
    """(loss on its own held-out text, on general text) at every measurement; none of one whose own is general."""
    own, general = (dict(_curve(arm, name)) for name in ("dev/loss", GENERAL_LINE))
    points = [(own[step], general[step]) for step in own if step in general]
    return points if len(points) > 1 and any(x != y for x, y in points) else []


def _start(way: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where it began, but for rounding."""
    return round(way[0][0], 4), round(way[0][1], 4)


def measures(arms: Sequence[Arm]) -> Section:
    """Everything that was measured on the test rows."""
    names = list(arms[0].evidence["seeds"][0]["measured"])
    metrics = {one.name: one.result["metrics"] for arm in arms for one in arm.pretrainings}
    table = measures_table(metrics, names, arms[0].metric)
    return Section(Said("All measures", "全部指标"), [table])


def elsewhere(arms: Sequence[Arm]) -> Section:
    """How every arm does on rows of another source, where there are any."""
    table, metric = elsewhere_table({arm.name: arm.evidence["seeds"] for arm in arms}, arms[0].metric), arms[0].metric
    told = Said(
        f"{title_of(metric).en}; *lost*: from the task's own test rows to the others, seed by seed.",
        f"{title_of(metric).zh}；*损失*：从本任务测试集到其他来源，逐种子计算。",
    )
    return Section(Said("On rows of another source", "其他来源的数据"), [table, told] if table else [])


def classes(arms: Sequence[Arm]) -> Section:
    """Every class of every arm, and what the best arm confuses; nothing where there are no classes."""
    found = {arm.name: arm.evidence["seeds"] for arm in arms}
    best = max((arm for arm in arms if not is_control(arm)), key=lambda arm: arm.score)
    table = class_table(found, best.name)
    more = confusions(best.name, found[best.name], list(best.evidence["names"]))
    return Section(Said("Classes", "各类别"), [table, *more] if table else [])


def vocabulary(runs: Sequence[Path]) -> Section:
    """What was added to the vocabulary of the bases; nothing where nothing was."""
    bases = {folder.name: folder / "base" for folder in runs if (folder / "base" / MANIFEST).exists()}
    said = {name: vocabulary_line(read_manifest(base)["metrics"]) for name, base in bases.items()}
    lines = [Said(f"{name}: {line.en}", f"{name}：{line.zh}") for name, line in said.items() if line]
    return Section(Said("Vocabulary", "词表"), [Points(lines)] if lines else [])


def keywords(runs: Sequence[Path]) -> Section:
    """How well scorer and tagger found planted keywords, where the corpus says which they are."""
    told = {
        "scores": Said("scorer, task text", "打分器，任务文本"),
        "masked": Said("tagger, domain and task text", "标注器，领域与任务文本"),
    }
    rows = []
    for folder in runs:
        for name, what in told.items():
            path = folder / name
            metrics = read_manifest(path)["metrics"] if (path / MANIFEST).exists() else {}
            if "truth_f1" in metrics:
                numbers = [f"{metrics[f'truth_{m}']:.1f}" for m in ("precision", "recall", "f1")]
                rows.append([Said(f"{folder.name}: {what.en}", f"{folder.name}：{what.zh}"), *numbers])
    table = Table(["", Said("precision", "精确率"), Said("recall", "召回率"), "F1"], rows)
    return Section(Said("Keywords against planted truth", "关键词与预埋真值对照"), [table] if rows else [])


def reliability(runs: Sequence[Path]) -> Section:
    """What is said of the taggers of the runs, with their picture; nothing where there is none."""
    taggers = {folder.name: folder / "tagger" for folder in runs if (folder / "tagger" / RELIABILITY).exists()}
    series, rows, names = {}, [], ("precision", "recall", "f1", "average_precision", "calibration_error")
    for name, folder in taggers.items():
        bins = json.loads((folder / RELIABILITY).read_text(encoding="utf-8"))
        series[name] = [(one["predicted"], one["true"], one["count"]) for one in bins]
        metrics = read_manifest(folder)["metrics"]
        rows.append([name, *(plus_minus(metrics[m], metrics.get(f"{m}_sd")) for m in names)])
    head = [Said("tagger", "标注器"), Said("precision", "精确率"), Said("recall", "召回率"), "F1"]
    head += [Said("average precision", "平均精确率"), Said("calibration error", "校准误差")]
    title = Said(
        "tagger on dev documents: share of keywords (up) by predicted probability (right)",
        "标注器在开发文档上：关键词的比例（纵轴）与预测概率（横轴）",
    )
    parts: list[Part] = [Table(head, rows), TAGGER, Picture("reliability", title, partial(reliability_svg, series))]
    return Section(Said("Can the tagger be believed?", "标注器可信吗？"), parts if taggers else [])


TAGGER = Said(
    "Against the scorer's keywords, on task documents the tagger did not learn from, in percent of tokens. "
    "*Calibration error*: how far its probabilities are from the share of keywords among tokens of like "
    "probability, on average; below the diagonal it calls more words important than are. *±*: standard deviation "
    "over taggers of other seeds, where `[tagger] seeds` asks for several; the picture is of the first.",
    "以打分器的关键词为准，在标注器没有学过的任务文档上计算，单位为词元的百分比。*校准误差*：其概率与同等概率词元中"
    "关键词比例的平均差距；位于对角线下方时，它把过多的词当成重要。*±*：在 `[tagger] seeds` 要求多个种子时，各种子"
    "标注器的标准差；图为第一个。",
)


PRETRAINED_ONCE = Said(
    "Each checkpoint was pretrained once: what another draw of its order and masks would change is not in the "
    "interval (REPEATS=3 puts it there).",
    "每个检查点只预训练一次：换一次顺序与遮盖的抽样会带来的变化不在区间之内（用 REPEATS=3 可计入）。",
)
PRETRAINED_AGAIN = Said(
    "*× n*: pretrained n times, with other draws of order, dropout and masks; losses are their mean, steps, tokens "
    "and time those of one. Differences between two such arms, and to base, have that noise in their interval; "
    "others, of what was pretrained once, have not.",
    "*× n*：预训练 n 次，顺序、dropout 与遮盖各自重新抽样；损失为各次均值，步数、词元与用时为一次的量。"
    "两个此类模型之间、及其与 base 之间的差异，区间已含这一噪声；只预训练一次的则不含。",
)


def luck(arms: Sequence[Arm]) -> Said:
    """What intervals know of the draws of pretraining."""
    return PRETRAINED_AGAIN if any(arm.repeats for arm in arms) else PRETRAINED_ONCE


def notes(arms: Sequence[Arm], confidence: float) -> Section:
    """How the numbers came about."""
    metric, beside = title_of(arms[0].metric), title_of(arms[0].beside)
    drawn = luck(arms)
    return Section(
        Said("How to read it", "如何阅读"),
        [
            Said(
                f"{metric.en} and {beside.en} on the test rows, mean ± standard deviation over all runs (the seeds of "
                "fine-tuning, of every pretraining), in percent where there is a scale; the best epoch was chosen on "
                "dev, test was looked at once. *Against base*: mean paired difference, with its "
                f"{confidence:.0%} interval over seeds and test rows (of measures that are counts; else over seeds "
                "alone), for this comparison alone. "
                "*p*: of no difference, corrected for all comparisons of the page (Holm 1979); the verdicts go by it. "
                f"{drawn.en} *Dev loss*: held-out text of the arm's own corpus with fixed whole-word masks, the same "
                "for every policy, before → after; *general*: that of general text, where it is masked "
                "(masked.general_documents): what rises is forgotten. Time is wall clock of pretraining. "
                "*Calibration error*: how far probabilities are from the share that comes true, on average.",
                f"{metric.zh}与{beside.zh}在测试集上计算，为全部运行（每次预训练的各微调种子）的均值 ± 标准差，"
                "有量程的以百分比表示；最佳轮次由开发集选出，测试集只看一次。*与 base 之差*：配对之差的均值及其 "
                f"{confidence:.0%} 置信区间，兼顾种子与测试样本（指标由计数得出时；否则只及种子），仅就该项比较而言。"
                "*p*：无差异的概率，按本页全部比较校正（Holm 1979），结论以此为准。"
                f"{drawn.zh}*开发集损失*：该模型自身语料的留出文本，固定整词遮盖，各策略相同，之前 → 之后；"
                "*通用文本损失*：在遮盖了通用文本（masked.general_documents）时给出，上升即为遗忘。用时为预训练的实际时间。"
                "*校准误差*：概率与实际应验比例的平均差距。",
            )
        ],
    )
