"""Tasks of any number of labels a row, and the thresholds from which on a label is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pipeline.calibration import calibration_error, reliability
from pipeline.finetuning.task import Answers, Counts, LogitTask, Row, Task
from pipeline.metrics import mean_auc, mean_f1


@dataclass(frozen=True)
class Labels(LogitTask):
    """Any number of labels a row."""

    thresholds: tuple[float, ...] = ()
    """Probability from which on a label is given; none: one half."""

    kind = "labels"
    column = "labels"
    metrics = ("micro_f1", "macro_f1", "accuracy", "auc")
    has_thresholds = True

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Task":
        """The labels of all rows."""
        return cls(tuple(sorted({label for row in rows for label in row["labels"]})))

    def target(self, row: Row) -> np.ndarray:
        """float32 [C]: 1 where the row has the label."""
        marks = np.zeros(len(self.names), dtype=np.float32)
        marks[[self.place(label) for label in row["labels"]]] = 1
        return marks

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """bool [N, C]."""
        return np.stack([self.target(row) for row in rows]) > 0

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Binary cross-entropy, mean over labels: a row is one target."""
        return binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1).sum()

    def scores(self, logits: Tensor) -> Tensor:
        """A probability a label."""
        return logits.sigmoid()

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """Every label that is likely enough."""
        return scores >= (np.array(self.thresholds, dtype=np.float32) if self.thresholds else 0.5)

    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """Micro- and macro-F1, rows with exactly their labels, AUC and calibration error of all decisions."""
        return mean_f1(counts.values()) | {
            "accuracy": 100 * float((answers.predicted == truth).all(1).mean()),
            "auc": mean_auc(truth, answers.scores),
            "calibration_error": calibration_error(reliability(answers.scores.ravel(), truth.ravel())),
        }

    def _marks(self, predicted: np.ndarray) -> np.ndarray:
        return predicted

    def told(self, answers: Answers, lengths: np.ndarray) -> list[Row]:
        """The labels, and the probability of every one there is."""
        return [
            {"predicted": [self.names[i] for i in np.flatnonzero(marks)], "probabilities": row}
            for marks, row in zip(answers.predicted, answers.scores, strict=True)
        ]

    def tuned(self, truth: np.ndarray, scores: np.ndarray, lengths: np.ndarray, one_for_all: bool) -> "Task":
        """With the thresholds of the best F1 on these rows: one for all labels (micro), or one each."""
        if one_for_all:
            return replace(self, thresholds=(best_threshold(truth.ravel(), scores.ravel()),) * len(self.names))
        return replace(self, thresholds=tuple(map(best_threshold, truth.T, scores.T)))


def best_threshold(truth: np.ndarray, scores: np.ndarray) -> float:
    """Between the two scores where F1 is best, of equals the one nearest to one half; bool [N], float [N].

    One half where nothing is true.
    """
    order = np.argsort(-scores, kind="stable")
    values, hits = scores[order].astype(np.float64), np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + max(hits[-1], 1))
    cuts = (values + np.append(values[1:], 0.0)) / 2
    f1[np.append(values[1:] == values[:-1], False)] = -1  # equal scores are given or refused together
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]]) if hits[-1] else 0.5
