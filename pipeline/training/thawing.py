"""What learns only from a share of a training on: layers from the top, or all but the embeddings of new words."""

from collections.abc import Mapping

from torch import Tensor
from transformers import PreTrainedModel

from pipeline.vocabulary.extending import vocabulary_weights


class Thawing:
    """A companion of the trainer: what is still frozen has no gradient, neither moves nor is clipped with the rest."""

    def __init__(self, starts: Mapping[Tensor, float]) -> None:
        """Of each parameter the share of the training over which it is frozen."""
        self.starts, self.frozen = starts, list(starts)

    def begin(self, step: int, elapsed: float) -> None:
        """What is frozen in this step."""
        self.frozen = [p for p, start in self.starts.items() if elapsed < start - 1e-9]

    def after_backward(self) -> None:
        """Forget the gradients of what is frozen."""
        for p in self.frozen:
            p.grad = None


def embeddings_first(model: PreTrainedModel, ratio: float) -> Thawing:
    """Only what has a row for every entry of the vocabulary learns over this share of the training."""
    warm = set(vocabulary_weights(model))
    return Thawing({p: ratio for p in model.parameters() if p not in warm})
