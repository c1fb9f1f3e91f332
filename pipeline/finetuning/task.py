"""What every kind of task answers: what is learned of a row, what logits say, and how good answers are.

A row is a target, whatever its kind, and a tagged token is one: a loss is summed over targets, and the trainer divides
by their number (`batches.targets_in`).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from pipeline.batches import LabelledBatches
from pipeline.prediction import logits_of
from pipeline.run.errors import InputError

Row = Mapping[str, object]
Counts = dict[str, tuple[int, int, int]]
"""Class -> how often it was found rightly, found, there to be found."""


@dataclass(frozen=True)
class Answers:
    """What a model says of all rows, end to end: [T] rows, or their tokens for tags, their characters for spelling."""

    scores: np.ndarray  # float32 [T, C]: probabilities; [T, 1]: a value; of spelling see there
    predicted: np.ndarray  # [T] place in the task's names, a value, a code point; bool [T, C] where there are several


@dataclass(frozen=True)
class Task(ABC):
    """A kind of task with its names: classes, labels, tags."""

    names: tuple[str, ...]

    kind: ClassVar[str]
    column: ClassVar[str]
    """Of the corpus: where labels stand."""
    metrics: ClassVar[tuple[str, ...]]
    """What is measured, more being better; the first chooses the best epoch unless a recipe says otherwise."""
    has_thresholds: ClassVar[bool] = False
    """Whether `tuned` has something to tune."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Task":
        """From the training rows."""
        return cls(tuple(sorted({row[cls.column] for row in rows})))

    @property
    def outputs(self) -> list[str]:
        """A name for every logit."""
        return list(self.names)

    @cached_property
    def places(self) -> dict[str, int]:
        """Name -> its place."""
        return {name: i for i, name in enumerate(self.names)}

    def place(self, name: str) -> int:
        """Of a class, or an InputError where the model cannot know it."""
        if name not in self.places:
            raise InputError(f"{self.column} {name!r} never occurs in task train: correct the files, or add such rows")
        return self.places[name]

    @abstractmethod
    def target(self, row: Row) -> object:
        """What is learned of a row, as `LabelledBatches` holds it."""

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """All that is to be predicted, in the form of `Answers.predicted`."""
        return np.array([self.target(row) for row in rows])

    @abstractmethod
    def decide(self, scores: np.ndarray) -> np.ndarray:
        """`Answers.predicted` of scores."""

    @abstractmethod
    def answers(self, model: nn.Module, batches: LabelledBatches) -> Answers:
        """What a model says of all rows."""

    def tuned(self, truth: np.ndarray, scores: np.ndarray, lengths: np.ndarray, one_for_all: bool) -> "Task":
        """With the thresholds that are best on these rows, one for all or each its own."""
        raise InputError(f"a task of {self.kind} has no thresholds: leave them out")

    @abstractmethod
    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """`metrics` and more, in percent where there is a scale to it."""

    def counts(self, truth: np.ndarray, answers: Answers, lengths: np.ndarray) -> Counts:
        """Of every class; lengths int [rows]: answers of each row, which are tokens for tags."""
        guess, true = self._marks(answers.predicted), self._marks(truth)
        columns = np.stack([(guess & true).sum(0), guess.sum(0), true.sum(0)], axis=1)
        return {name: tuple(row) for name, row in zip(self.names, columns.tolist(), strict=True)}

    def _marks(self, predicted: np.ndarray) -> np.ndarray:
        """bool [T, C]."""
        return predicted[:, None] == np.arange(len(self.names))

    def confusion(self, truth: np.ndarray, answers: Answers) -> list[list[int]]:
        """Rows: true class, columns: predicted; empty where a row has no class."""
        return []

    def degenerate(self, answers: Answers) -> bool:
        """Whether all rows got one answer: a run that learned nothing (Mosbach et al. 2021 call it failed)."""
        return bool((answers.predicted == answers.predicted[0]).all())

    @abstractmethod
    def told(self, answers: Answers, lengths: np.ndarray) -> list[Row]:
        """What is predicted of each row, in words: `predicted`, and its probabilities."""

    def described(self) -> dict[str, object]:
        """What `task_from` makes the same task of."""
        return {"kind": self.kind, **asdict(self)}


class LogitTask(Task):
    """A task whose model gives logits of rows, or of tokens, and whose loss is a function of these."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The task's own loss, summed over targets."""

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """[B, C] logits -> [B, C] of `Answers`."""

    def answers(self, model: nn.Module, batches: LabelledBatches) -> Answers:
        """What a model says of all rows."""
        rows: list[np.ndarray] = [np.array([])] * len(batches)
        for indices, logits, _ in logits_of(model, batches):
            for i, row in zip(indices, self.scores(logits).cpu().numpy(), strict=True):
                rows[i] = row
        scores = np.stack(rows)
        return Answers(scores, self.decide(scores))
