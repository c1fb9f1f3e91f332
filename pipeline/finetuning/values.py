"""Tasks whose answer is a number."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torch.nn.functional import mse_loss

from pipeline.finetuning.task import Answers, Counts, LogitTask, Row, Task
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class Value(LogitTask):
    """A number; learned in deviations from the mean of the training rows, answered as it was given."""

    mean: float = 0.0
    deviation: float = 1.0

    kind = "value"
    column = "score"
    metrics = ("spearman", "pearson")

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Task":
        """Mean and deviation of the training rows."""
        values = np.array([row["score"] for row in rows])
        if values.std() == 0:
            raise InputError(f"every score of task train is {values[0]:g}: there is nothing to tell apart")
        return cls(("score",), float(values.mean()), float(values.std()))

    def target(self, row: Row) -> np.float32:
        """In deviations from the mean."""
        return np.float32((row["score"] - self.mean) / self.deviation)

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """float64 [N], as given."""
        return np.array([row["score"] for row in rows], dtype=np.float64)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Squared error."""
        return mse_loss(logits[:, 0], labels, reduction="sum")

    def scores(self, logits: Tensor) -> Tensor:
        """[B, 1]: as given."""
        return logits * self.deviation + self.mean

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """The number."""
        return scores[:, 0].astype(np.float64)

    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """Correlations in percent, 0 where every answer is the same; errors in the unit of the scores."""
        from scipy.stats import pearsonr, spearmanr  # half a second, for this kind of task alone

        error = answers.predicted - truth
        alike = np.ptp(answers.predicted) == 0 or np.ptp(truth) == 0
        return {
            "spearman": 0.0 if alike else 100 * float(spearmanr(truth, answers.predicted).statistic),
            "pearson": 0.0 if alike else 100 * float(pearsonr(truth, answers.predicted).statistic),
            "absolute_error": float(np.abs(error).mean()),
            "root_squared_error": float(np.sqrt((error**2).mean())),
        }

    def counts(self, truth: np.ndarray, answers: Answers, lengths: np.ndarray) -> Counts:
        """No classes."""
        return {}

    def told(self, answers: Answers, lengths: np.ndarray) -> list[Row]:
        """The number."""
        return [{"predicted": value} for value in answers.predicted.tolist()]
