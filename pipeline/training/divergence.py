"""Steps that go wrong, told with the documents they were read from: no finite gradient, or a loss that stands out."""

import numpy as np
from torch import Tensor

from pipeline.batches import Batches
from pipeline.run.errors import Diverged
from pipeline.run.processes import gathered
from pipeline.run.progress import say
from pipeline.training.config import TrainerConfig
from pipeline.training.journal import Journal
from pipeline.training.loading import Load

STOP_AFTER = 20
"""So many steps in a row without a finite gradient end the training."""


class Watch:
    """Looks at every step of a training. Every process calls."""

    def __init__(self, batches: Batches, config: TrainerConfig, journal: Journal, skipped: int) -> None:
        self.batches, self.config, self.journal = batches, config, journal
        self.skipped = skipped
        """Steps left out because the gradient was not finite."""
        self.in_a_row = 0
        """The last ones of them, one after the other."""

    def gradient(self, load: Load, losses: Tensor, norm: float) -> None:
        """Count a step that was left out; Diverged where it was one too many.

        losses [n, K] are those of each micro-batch of this process; the norm is one for all processes.
        """
        if np.isfinite(norm):
            self.in_a_row = 0
            return
        self.in_a_row, self.skipped = self.in_a_row + 1, self.skipped + 1
        documents = self._suspects(load, losses)
        say(f"! step {load.step}: the gradient is not finite; step left out (documents in logs/events.jsonl)")
        self.journal.odd(load.step, "the gradient is not finite", documents)
        if self.in_a_row == STOP_AFTER:
            shown = ", ".join(documents[:5]) + (f" and {len(documents) - 5} more" if len(documents) > 5 else "")
            raise Diverged(
                f"{STOP_AFTER} steps in a row had no finite gradient (last: {load.step}, documents {shown}): "
                "lower learning_rate, or look at these documents"
            )

    def loss(self, step: int, loss: float) -> None:
        """Say and write down where the loss of a step stands far above the last ones."""
        if self.journal.is_spike(loss):
            say(f"! step {step}: loss {loss:.3f} stands out (documents in logs/events.jsonl)")
            self.journal.odd(step, f"loss {loss:.3f}", self._documents(step))

    def _suspects(self, load: Load, losses: Tensor) -> list[str]:
        """Documents whose micro-batch has no finite loss, over all processes; where each has one, all of the step."""
        finite = losses.isfinite().all(1).tolist() if len(losses) == len(load.indices) else [False] * len(load.indices)
        mine = [i for part, good in zip(load.indices, finite, strict=True) if not good for i in part]
        return gathered(self.batches.names(np.array(mine, dtype=np.int64))) or self._documents(load.step)

    def _documents(self, step: int) -> list[str]:
        """Ids of all documents of a step."""
        return self.batches.names(self.batches.visits(self.config.seed, step, self.config.batch_size)[0])
