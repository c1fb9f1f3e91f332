"""What a model is trained to do: each objective returns a summed loss, and the trainer divides once.

An objective is a module around a transformers model: `forward(**batch) -> loss summed over the targets`. How many
targets there are is read off the labels (`IGNORE` = none), so that the trainer can count them over all processes
first.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from pipeline.batches import IGNORE


def head_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The modules of a model beside its encoder: what a task adds, in the order in which they are used."""
    return [module for module in model.children() if module is not model.base_model]


class MaskedLM(nn.Module):
    """Masked language modelling whose head and softmax see only the tokens to predict.

    The loss is the same as over all tokens, but [M, vocabulary] numbers are made instead of [B x L, vocabulary]. The
    hidden states are gathered on their way into the model's own head, by a hook, so that every architecture keeps its
    head unchanged.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self._wanted: Tensor | None = None
        head_modules(model)[0].register_forward_pre_hook(self._gather)

    def _gather(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self._wanted is None or inputs[0].dim() != 3:
            return None
        return (inputs[0][self._wanted], *inputs[1:])

    def logits(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """[M, vocabulary] for the M tokens whose label is not IGNORE."""
        self._wanted = labels != IGNORE
        try:
            return self.model(**inputs).logits
        finally:
            self._wanted = None

    def forward(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """Summed loss of the tokens to predict."""
        logits = self.logits(labels, **inputs)
        return cross_entropy(logits.float(), labels[labels != IGNORE], reduction="sum")


class Labelling(nn.Module):
    """Classification of sequences (labels [B]) or of tokens (labels [B, L], IGNORE where there is none)."""

    def __init__(self, model: PreTrainedModel, class_weights: list[float] | None = None) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("weights", torch.tensor(class_weights) if class_weights else None, persistent=False)

    def forward(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """Summed loss of what has a label."""
        logits = self.model(**inputs).logits.float()
        return cross_entropy(
            logits.flatten(0, -2), labels.flatten(), weight=self.weights, ignore_index=IGNORE, reduction="sum"
        )
