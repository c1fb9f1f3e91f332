"""Tasks of one label a row: classes, and classes in an order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from pipeline.calibration import calibration_error, reliability
from pipeline.finetuning.task import Answers, Counts, LogitTask, Row, Task
from pipeline.metrics import classification, mean_auc
from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Classes(LogitTask):
    """One label a row."""

    kind = "classes"
    column = "label"
    metrics = ("accuracy", "macro_f1", "mcc", "auc")

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise InputError(f"only one class in task train ({', '.join(self.names)}): there is nothing to tell apart")

    def target(self, row: Row) -> int:
        """Its class."""
        return self.place(row["label"])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return summed_cross_entropy(logits, labels)

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities."""
        return logits.softmax(-1)

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """The likeliest class."""
        return scores.argmax(1)

    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """Accuracy, macro-F1, Matthews' correlation, AUC of each class against the rest, calibration error."""
        from sklearn.metrics import matthews_corrcoef

        right, confidence = answers.predicted == truth, answers.scores[np.arange(len(truth)), answers.predicted]
        return classification(truth, answers.predicted) | {
            "mcc": 100 * float(matthews_corrcoef(truth, answers.predicted)),
            "auc": mean_auc(self._marks(truth), answers.scores),
            "calibration_error": calibration_error(reliability(confidence, right)),
        }

    def confusion(self, truth: np.ndarray, answers: Answers) -> list[list[int]]:
        """[K][K]: how often a true class was given each."""
        size = len(self.names)
        return np.bincount(truth * size + answers.predicted, minlength=size**2).reshape(size, size).tolist()

    def told(self, answers: Answers, lengths: np.ndarray) -> list[Row]:
        """The class and its probability."""
        return [
            {"predicted": self.names[guess], "probability": row[guess], "probabilities": row}
            for guess, row in zip(answers.predicted, answers.scores, strict=True)
        ]


@dataclass(frozen=True)
class Ordered(Classes):
    """One label of an order, as stars are: K - 1 logits, the k-th for P(more than k | at least k).

    The loss is the exact -log P(label) of this continuation-ratio model (Tutz 1991), which is what CORN (Shi et al.
    2021) minimises but for its weighting. Cumulative probabilities cannot contradict each other.
    """

    kind = "ordered"
    metrics = ("kappa", "accuracy", "macro_f1")

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Task":
        """The labels are whole numbers, and ordered as such."""
        names = {row["label"] for row in rows}
        if strange := sorted(name for name in names if not name.lstrip("-").isdigit()):
            raise InputError(f"label {strange[0]!r} is no whole number: ordered = true needs labels like 1, 2, 3")
        return cls(tuple(sorted(names, key=int)))

    @property
    def outputs(self) -> list[str]:
        """`> 1`, `> 2`, …"""
        return [f"> {name}" for name in self.names[:-1]]

    def _logs(self, logits: Tensor) -> Tensor:
        """log P(label) [B, K] of logits [B, K - 1]."""
        none = logits.new_zeros(len(logits), 1)
        more = torch.cat([none, logsigmoid(logits).cumsum(-1)], -1)
        return more + torch.cat([logsigmoid(-logits), none], -1)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """-log P(label)."""
        return -self._logs(logits).gather(1, labels[:, None]).sum()

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities of the labels."""
        return self._logs(logits).exp()

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """The median label: the least wrong one on average."""
        return (scores.cumsum(1) < 0.5).sum(1).clip(max=len(self.names) - 1)

    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """Quadratically weighted kappa, accuracy, macro-F1, mean absolute error in labels."""
        from sklearn.metrics import cohen_kappa_score

        classes = list(range(len(self.names)))
        kappa = cohen_kappa_score(truth, answers.predicted, labels=classes, weights="quadratic")
        return {
            "kappa": 100 * float(np.nan_to_num(kappa)),
            **classification(truth, answers.predicted),
            "absolute_error": float(np.abs(truth - answers.predicted).mean()),
        }
