"""Numbers that say how good something is.

scikit-learn takes half a second to import: it is where it is asked, as only some stages do.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def classification(labels: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy and macro-F1 in percent. Both int [N]."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": 100 * float(accuracy_score(labels, predicted)),
        "macro_f1": 100 * float(f1_score(labels, predicted, average="macro", zero_division=0)),
    }


def precision_recall_f1(hits: float, predicted: float, true: float) -> dict[str, float]:
    """In percent, from counts: found rightly, found, there to be found. Nothing found has precision 0, not a NaN."""
    precision, recall = 100 * hits / max(predicted, 1), 100 * hits / max(true, 1)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return {"precision": precision, "recall": recall, "f1": f1}


def mean_f1(counts: Iterable[tuple[float, float, float]]) -> dict[str, float]:
    """Micro- and macro-F1 in percent, of classes' counts: found rightly, found, there to be found.

    Micro adds the counts up first; macro is the mean over classes, one that is neither there nor found counting as 0.
    """
    counts = list(counts)
    macro = np.mean([precision_recall_f1(*one)["f1"] for one in counts]) if counts else 0.0
    return {"micro_f1": precision_recall_f1(*np.sum(counts or [(0, 0, 0)], axis=0))["f1"], "macro_f1": float(macro)}


def mean_auc(truth: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve in percent, mean over the classes that some rows have and some have not.

    truth bool [N, C], scores [N, C]; of classes each against the rest. 50 where there is no such class.
    """
    from sklearn.metrics import roc_auc_score

    areas = [roc_auc_score(t, s) for t, s in zip(truth.T, scores.T, strict=True) if t.any() and not t.all()]
    return 100 * float(np.mean(areas)) if areas else 50.0


def mean_sd(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation (n - 1); a single value has none."""
    values = np.asarray(values, dtype=float)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else None


def over_seeds(results: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric; of several seeds also `<name>_sd`."""
    found: dict[str, float] = {}
    for name in results[0]:
        found |= named_mean(name, [result[name] for result in results])
    return found


def named_mean(name: str, values: Sequence[float]) -> dict[str, float]:
    """The mean by its name; of several values also `<name>_sd`."""
    mean, deviation = mean_sd(values)
    return {name: mean} | ({} if deviation is None else {f"{name}_sd": deviation})


def telling(counts: Counter[Item], beside: Counter[Item]) -> list[Item]:
    """What is counted, the most telling first: p log(p / q), with its share p of `counts` and q of `beside`.

    Half is added to every count.
    """
    share = lambda of, item: (of[item] + 0.5) / (of.total() + 1)
    weight = lambda item: share(counts, item) * math.log(share(counts, item) / share(beside, item))
    return sorted((item for item in counts if counts[item]), key=lambda item: (-weight(item), item))
