"""What several arms found, as tables and a picture for a report."""

from collections.abc import Mapping, Sequence
from functools import partial

from pipeline.finetuning.evidence import at_home_and_elsewhere, class_rows, confused, most_confused
from pipeline.metrics import mean_sd
from pipeline.pages.parts import Part, Picture, Points, Said, Table
from pipeline.pages.plots import matrix_svg
from pipeline.pages.tables import plus_minus

TITLES = {
    "accuracy": Said("accuracy", "准确率"),
    "macro_f1": Said("macro-F1", "宏平均 F1"),
    "micro_f1": Said("micro-F1", "微平均 F1"),
    "f1": Said("F1", "F1"),
    "mcc": Said("MCC", "MCC"),
    "auc": Said("AUC", "AUC"),
    "pearson": Said("pearson", "皮尔逊相关"),
    "spearman": Said("spearman", "斯皮尔曼相关"),
    "calibration_error": Said("calibration error", "校准误差"),
    "detection_f1": Said("detection F1", "检错 F1"),
    "character_f1": Said("F1 of characters", "字级 F1"),
    "character_detection_f1": Said("detection F1 of characters", "字级检错 F1"),
    "pycorrector_f1": Said("F1 (pycorrector)", "F1（pycorrector）"),
    "pycorrector_character_f1": Said("F1 of characters (pycorrector)", "字级 F1（pycorrector）"),
}
"""Of measures, as people write them; another's name is its title."""

PICTURED = 20
"""Classes up to which a matrix of confusions can be read."""

Seeds = Sequence[Mapping[str, object]]
"""Of one arm: `evidence.Result` of every seed, as it was written."""


def title_of(measure: str) -> Said:
    """As people write it."""
    words = measure.replace("_", " ")
    return TITLES.get(measure, Said(words, words))


def measures_table(found: Mapping[str, Mapping[str, float]], measures: Sequence[str], metric: str) -> Table:
    """A row an arm: mean ± deviation of every measure, and the range over seeds of the one that counts."""
    counts = title_of(metric)
    head = [Said("arm", "模型"), *map(title_of, measures), Said(f"{counts.en}, range", f"{counts.zh}，范围")]
    rows = []
    for arm, values in found.items():
        cells = [plus_minus(values[name], values.get(f"{name}_sd")) for name in measures]
        rows.append([arm, *cells, f"{values[f'{metric}_min']:.1f} – {values[f'{metric}_max']:.1f}"])
    return Table(head, rows)


def elsewhere_table(found: Mapping[str, Seeds], metric: str) -> Table | None:
    """A row an arm: its measure on the test rows, on those of other sources, and what is lost on the way."""
    others = at_home_and_elsewhere(next(iter(found.values())), metric)
    if not others:
        return None
    head = [Said("arm", "模型"), Said("test", "测试集")]
    for name in others:
        head += [Said(f"on {name}", f"在 {name} 上"), Said("lost", "损失")]
    rows = []
    for arm, seeds in found.items():
        home = mean_sd([one["measured"][metric] for one in seeds])
        there = at_home_and_elsewhere(seeds, metric)
        rows.append([arm, plus_minus(*home), *(plus_minus(*pair) for name in others for pair in there[name])])
    return Table(head, rows)


def class_table(found: Mapping[str, Seeds], best: str) -> Table | None:
    """A row a class: its F1 in every arm, precision and recall in the best one; None where there are no classes."""
    arms = {name: class_rows(seeds) for name, seeds in found.items()}
    if not arms[best]:
        return None
    head = [Said("class", "类别"), Said("test rows", "测试条数"), *(f"F1 {arm}" for arm in arms)]
    head += [Said(f"precision {best}", f"精确率 {best}"), Said(f"recall {best}", f"召回率 {best}")]
    rows = []
    for name, (precision, recall, _, _, count) in arms[best].items():
        scores = [plus_minus(*classes[name][2:4]) if name in classes else "" for classes in arms.values()]
        rows.append([name, f"{count:,}", *scores, f"{precision:.1f}", f"{recall:.1f}"])
    return Table(head, rows)


def confusions(arm: str, seeds: Seeds, names: Sequence[str]) -> list[Part]:
    """What an arm confuses most, in words, and its whole matrix as a picture where that can be read."""
    shares = confused(seeds)
    told = [(names[i], names[j], f"{share:.0%}") for i, j, share in most_confused(shares)] if shares.size else []
    parts: list[Part] = []
    if told:
        parts += [
            Said(
                f"What {arm} confuses most, in percent of the true class, over all seeds:",
                f"{arm} 最常混淆的类别，占真实类别的百分比，所有种子合计：",
            ),
            Points([Said(f"{a} taken for {b}: {share}", f"{a} 被判为 {b}：{share}") for a, b, share in told]),
        ]
    if shares.size and len(names) <= PICTURED:
        title = Said(
            f"{arm}: share of a true class (row) that was given each class (column)",
            f"{arm}：每个真实类别（行）被判为各类别（列）的比例",
        )
        parts.append(Picture("confusion", title, partial(matrix_svg, names, shares.tolist())))
    return parts
