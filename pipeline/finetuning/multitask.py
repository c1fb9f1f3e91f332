"""Several tasks at once: one encoder, a head for each, every step of the training on rows of one of them.

What the encoder learns there is kept, its heads are not: the task that matters is fine-tuned from it afterwards (Sun
et al. 2019; MT-DNN, Liu et al. 2019). Tasks may be of any kind, and differ in kind.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.batches import Batches, LabelledBatches
from pipeline.draws import visits
from pipeline.finetuning.classifier import TaskModel, drawing_from, loss_of
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.task import Task
from pipeline.objectives.labelling import Labelling


class Mixture(Batches):
    """Rows of several tasks, a step of one of them, as often as `shares` says and as evenly as that can be.

    A task's share is rows ** (1 / temperature), over the sum of all: 1 is by size, and the higher the more even. Which
    task has a step depends on the number of the step alone: the one that is furthest behind its share.
    """

    def __init__(self, parts: Sequence[LabelledBatches], names: Sequence[str], temperature: float) -> None:
        self.parts, self.titles = list(parts), list(names)
        sizes = np.array([len(part) for part in parts])
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        weights = sizes ** (1 / temperature)
        self.shares: np.ndarray = weights / weights.sum()
        means = np.array([part.tokens / len(part) for part in parts])
        self.tokens = round(float((self.shares * means).sum()) * len(self))
        """Of as many rows as there are, drawn by shares: the mean row is that of the mixture."""
        self._had = np.zeros(len(parts), dtype=np.int64)
        self._turns: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return int(self.starts[-1])

    def turn(self, step: int) -> tuple[int, int]:
        """The task of a step, and how many steps it had before."""
        for number in range(len(self._turns), step + 1):
            task = int(np.argmax(self.shares * (number + 1) - self._had))
            self._turns.append((task, int(self._had[task])))
            self._had[task] += 1
        return self._turns[step]

    def visits(self, seed: int, step: int, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """(index, epoch) of each sequence of a step, int64 [batch_size]: all of one task, each task in an order."""
        task, before = self.turn(step)
        indices, epochs = visits(seed, before, batch_size, len(self.parts[task]))
        return indices + self.starts[task], epochs

    def lengths(self, indices: np.ndarray) -> np.ndarray:
        """int [B]: tokens of these sequences."""
        task, own = self._own(indices)
        return self.parts[task].lengths(own)

    def names(self, indices: np.ndarray) -> list[str]:
        """Their tasks and numbers."""
        task, own = self._own(indices)
        return [f"{self.titles[task]} {name}" for name in self.parts[task].names(own)]

    def keys(self, indices: np.ndarray) -> np.ndarray:
        """uint64 [B]: their numbers among all rows."""
        return np.asarray(indices).astype(np.uint64)

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """That of their task, and `task` [B]: its number."""
        task, own = self._own(indices)
        batch = self.parts[task].batch(own, epochs, elapsed)
        return batch | {"task": batch["input_ids"].new_full((len(own),), task)}

    def _own(self, indices: np.ndarray) -> tuple[int, np.ndarray]:
        """The task of sequences that are all of one, and their numbers within it."""
        task = int(np.searchsorted(self.starts, indices[0], side="right")) - 1 if len(indices) else 0
        return task, np.asarray(indices) - self.starts[task]


class SharedModel(nn.Module):
    """An encoder, and for every task a linear head on [CLS], or on every token."""

    def __init__(self, encoder: PreTrainedModel, tasks: Sequence[Task], seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        with drawing_from(seed):
            self.views = tuple(TaskModel(encoder, HeadConfig(), task) for task in tasks)
        """Each task's model; a tuple, so that the encoder counts once among the modules."""
        self.heads = nn.ModuleList(view.head for view in self.views)
        self.config = encoder.config

    def forward(self, task: int, **inputs: Tensor) -> SimpleNamespace:
        """`logits` of a task."""
        return self.views[task](**inputs)

    def gradient_checkpointing_enable(self, how: dict[str, object]) -> None:
        """Of the encoder's layers."""
        self.encoder.gradient_checkpointing_enable(how)


class Together(Labelling):
    """The loss of whichever task a batch is of."""

    model: SharedModel

    def __init__(self, model: SharedModel, tasks: Sequence[Task]) -> None:
        super().__init__(model)
        self.task_losses = [loss_of(view, task) for view, task in zip(model.views, tasks, strict=True)]

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """A batch on this process's device; `task` as a number, known before anything is computed."""
        rest = {name: x for name, x in batch.items() if name != "task"}
        return super().arranged(rest) | {"task": int(batch["task"][0])}

    def forward(self, task: int, labels: Tensor, token_keys: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Summed loss of what has a label.

        The other heads are in it, times 0: processes that exchange gradients wait for all of them.
        """
        self.begin(token_keys, inputs)
        loss = self.task_losses[task](self.model(task, **inputs).logits.float(), labels)
        others = (p for number, head in enumerate(self.model.heads) if number != task for p in head.parameters())
        return loss + 0 * sum(p.sum() for p in others)


class OneHead:
    """Leaves the heads of other tasks alone in a step, as if they were not there: no gradient, no decay."""

    def __init__(self, model: SharedModel, mixture: Mixture) -> None:
        self.model, self.mixture, self.task = model, mixture, -1

    def begin(self, step: int, elapsed: float) -> None:
        """Which task this step is of."""
        self.task, _ = self.mixture.turn(step)

    def after_backward(self) -> None:
        """Forget the gradients of the other heads."""
        for number, head in enumerate(self.model.heads):
            for p in head.parameters() if number != self.task else ():
                p.grad = None
