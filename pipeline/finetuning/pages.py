"""What several arms found, as tables and a picture for a report."""

from collections.abc import Mapping, Sequence

from pipeline.finetuning.evidence import at_home_and_elsewhere, class_rows, confused, most_confused
from pipeline.metrics import mean_sd
from pipeline.reports import markdown_table, matrix_svg, plus_minus

TITLES = {"macro_f1": "macro-F1", "micro_f1": "micro-F1", "f1": "F1", "mcc": "MCC", "auc": "AUC"} | {
    "detection_f1": "detection F1",
    "character_f1": "F1 of characters",
    "character_detection_f1": "detection F1 of characters",
    "pycorrector_f1": "F1 (pycorrector)",
    "pycorrector_character_f1": "F1 of characters (pycorrector)",
}
"""Of measures whose name is not their title."""

PICTURED = 20
"""Classes up to which a matrix of confusions can be read."""

Seeds = Sequence[Mapping[str, object]]
"""Of one arm: `evidence.Result` of every seed, as it was written."""


def title_of(measure: str) -> str:
    """As people write it."""
    return TITLES.get(measure, measure.replace("_", " "))


def measures_table(found: Mapping[str, Mapping[str, float]], measures: Sequence[str], metric: str) -> str:
    """A row an arm: mean ± deviation of every measure, and the range over seeds of the one that counts."""
    head = ["arm", *map(title_of, measures), f"{title_of(metric)}, range"]
    rows = []
    for arm, values in found.items():
        cells = [plus_minus(values[name], values[f"{name}_sd"]) for name in measures]
        rows.append([arm, *cells, f"{values[f'{metric}_min']:.1f} – {values[f'{metric}_max']:.1f}"])
    return markdown_table(head, rows)


def elsewhere_table(found: Mapping[str, Seeds], metric: str) -> str:
    """A row an arm: its measure on the test rows, on those of other sources, and what is lost on the way."""
    others = at_home_and_elsewhere(next(iter(found.values())), metric)
    if not others:
        return ""
    head = ["arm", "test", *(part for name in others for part in (f"on {name}", "lost"))]
    rows = []
    for arm, seeds in found.items():
        home = mean_sd([one["measured"][metric] for one in seeds])
        there = at_home_and_elsewhere(seeds, metric)
        rows.append([arm, plus_minus(*home), *(plus_minus(*pair) for name in others for pair in there[name])])
    return markdown_table(head, rows)


def class_table(found: Mapping[str, Seeds], best: str) -> str:
    """A row a class: its F1 in every arm, precision and recall in the best one; "" where there are no classes."""
    arms = {name: class_rows(seeds) for name, seeds in found.items()}
    if not arms[best]:
        return ""
    head = ["class", "test rows", *(f"F1 {arm}" for arm in arms), f"precision {best}", f"recall {best}"]
    rows = []
    for name, (precision, recall, _, _, count) in arms[best].items():
        scores = [plus_minus(*classes[name][2:4]) if name in classes else "" for classes in arms.values()]
        rows.append([name, f"{count:,}", *scores, f"{precision:.1f}", f"{recall:.1f}"])
    return markdown_table(head, rows)


def confusions(arm: str, seeds: Seeds, names: Sequence[str]) -> tuple[list[str], str]:
    """What an arm confuses most, in words, and its whole matrix as a picture where that can be read."""
    shares = confused(seeds)
    if not shares.size:
        return [], ""
    lines = [f"- {names[i]} taken for {names[j]}: {share:.0%}" for i, j, share in most_confused(shares)]
    words = [f"What {arm} confuses most, in percent of the true class, over all seeds:\n\n" + "\n".join(lines)]
    title = f"{arm}: share of a true class (row) that was given each class (column)"
    picture = matrix_svg(names, shares.tolist(), title) if len(names) <= PICTURED else ""
    return words if lines else [], picture
