"""What a model is trained to do: each objective returns summed losses, and the trainer divides each once.

An objective is a module around a transformers model: `forward(**arranged(batch)) -> losses summed over their targets`.
How many targets each has is read off the batch (`targets`) before anything is computed, so that the trainer can count
them over all processes and micro-batches: an objective of several losses is the weighted sum of several means, each
over targets of its own, however a batch is split. `token_keys` in a batch, if there, say what dropout drops
(`dropout.py`).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.batches import targets_in
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.training.dropout import key_dropout
from pipeline.training.ordered import order_embeddings
from pipeline.training.unpadding import batch_on_device


def head_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The modules of a model beside its encoder: what a task adds, in the order in which they are used."""
    return [module for module in model.children() if module is not model.base_model]


class Objective(nn.Module):
    """A model and what it learns: `forward(**arranged(batch))` is the loss, summed over the targets.

    A number, or of several losses a vector [K] of the sums, in the order of `losses`.
    """

    losses: Mapping[str, float] = {"loss": 1.0}
    """Name of each loss -> its weight in the sum of their means."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.token_keys = key_dropout(model)
        order_embeddings(model)

    def targets(self, batch: dict[str, Tensor]) -> list[int]:
        """How many targets each loss has in a batch as it comes from the host."""
        return [targets_in(batch["labels"])]

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """A batch from the host as `forward` takes it, on this process's device."""
        return batch_on_device(batch, processes().device)

    def checkpoint_activations(self) -> None:
        """Compute activations again in backward instead of keeping them."""
        if not getattr(self.model, "supports_gradient_checkpointing", True):
            kind = type(self.model).__name__
            raise InputError(
                f"transformers cannot compute the layers of {kind} again: set gradient_checkpointing = false"
            )
        again = lambda: (nullcontext(), self._computing_again())
        self.model.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": again})

    def _computing_again(self) -> AbstractContextManager[None]:
        """What must hold while a layer is computed again in backward as it held in forward."""
        return self.token_keys.remembered()
