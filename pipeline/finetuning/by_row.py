"""What every test row adds to the counts that a measure is of: for a bootstrap over rows."""

from collections.abc import Iterable, Mapping

import numpy as np
from scipy.sparse import csr_matrix

from pipeline.finetuning.spans import count_spans
from pipeline.results.significance import EVERY, ByRow, Measure

Added = dict[str, tuple[int, int, int]]
"""Of one row, class -> found rightly, found, there to be found."""


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Of single labels: the share of what is there that was found rightly, in percent; [..., C, 3] -> [...]."""
    hits, _, there = np.moveaxis(counts.sum(-2), -1, 0)
    return 100 * hits / np.maximum(there, 1)


def micro_f1(counts: np.ndarray) -> np.ndarray:
    """F1 of all counts together, in percent."""
    return _f1(counts.sum(-2))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Mean of F1 over the classes that are found or there, in percent."""
    seen = counts[..., 1:].sum(-1) > 0
    return (_f1(counts) * seen).sum(-1) / np.maximum(seen.sum(-1), 1)


def macro_f1_of_all(counts: np.ndarray) -> np.ndarray:
    """Mean of F1 over all classes, one that is neither found nor there counting as 0, in percent."""
    return _f1(counts).mean(-1)


def _f1(counts: np.ndarray) -> np.ndarray:
    return 200 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1)


MEASURES: dict[str, dict[str, Measure]] = {
    "classes": {"accuracy": accuracy, "macro_f1": macro_f1},
    "ordered": {"accuracy": accuracy, "macro_f1": macro_f1},
    "labels": {"micro_f1": micro_f1, "macro_f1": macro_f1_of_all},
    "tags": {"f1": micro_f1, "macro_f1": macro_f1},
}
"""Kind of task -> the measures that are of counts."""

TRUTH = {"classes": "label", "ordered": "label", "labels": "labels", "tags": "tags", "spelling": "target"}
"""Kind of task -> where the truth stands in its predictions; a number is never quite right."""


def by_row(
    kind: str, metric: str, predictions: Iterable[Mapping[str, object]], classes: Iterable[str] = ()
) -> ByRow | None:
    """From `predictions/` of a fine-tuned artifact, or of several with the `repeat` of each; None where the measure is
    not one of counts. `classes`: those of the task, whether a row has them or not."""
    if metric not in MEASURES.get(kind, {}):
        return None
    column, said = TRUTH[kind], {}
    for row in predictions:
        run = row.get("repeat", EVERY), row["seed"]
        said.setdefault(run, {})[row["id"]] = _added(kind, row[column], row["predicted"])
    names = sorted({*classes} | {name for rows in said.values() for one in rows.values() for name in one})
    places = {name: i for i, name in enumerate(names)}
    return ByRow({run: _matrix(rows, places) for run, rows in said.items()}, MEASURES[kind][metric])


def _added(kind: str, truth: object, predicted: object) -> Added:
    if kind == "tags":
        return count_spans([truth], [predicted])
    there, found = ({truth}, {predicted}) if isinstance(truth, str) else (set(truth), set(predicted))
    return {name: (int(name in there and name in found), int(name in found), int(name in there))
            for name in there | found}  # fmt: skip


def _matrix(rows: Mapping[str, Added], places: Mapping[str, int]) -> csr_matrix:
    """[N, 3 C], rows in the order of their ids, so that those of two arms are the same."""
    cells = [(i, 3 * places[name] + k, value) for i, row in enumerate(sorted(rows)) for name, one in rows[row].items()
             for k, value in enumerate(one) if value]  # fmt: skip
    at, columns, values = (np.array(part) for part in zip(*cells, strict=True)) if cells else (np.zeros(0, int),) * 3
    return csr_matrix((values.astype(float), (at, columns)), shape=(len(rows), 3 * len(places)))
