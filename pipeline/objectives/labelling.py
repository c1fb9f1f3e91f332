"""Learning from labels, of sequences or of tokens."""

from collections.abc import Callable

from torch import Tensor, nn

from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.objectives.objective import Objective

Loss = Callable[[Tensor, Tensor], Tensor]
"""(float32 logits, labels) -> the loss, summed over the targets (`batches.targets_in` counts them)."""


class Labelling(Objective):
    """Whatever is learned from labels, by any loss: classes of sequences [B] or of tokens [B, L], and more."""

    def __init__(self, model: nn.Module, loss: Loss | None = None) -> None:
        super().__init__(model)
        self.loss = loss or summed_cross_entropy

    def forward(self, labels: Tensor, token_keys: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Summed loss of what has a label."""
        self.begin(token_keys, inputs)
        return self.loss(self.model(**inputs).logits.float(), labels)

    def begin(self, token_keys: Tensor | None, inputs: dict[str, Tensor]) -> None:
        """A new batch: the keys [B, L] of its tokens, for dropout."""
        self.token_keys.begin(token_keys)
        if token_keys is not None:
            self.token_keys.add(token_keys[:, 0])  # of a sequence as a whole
