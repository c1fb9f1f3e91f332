"""What fine-tuning minimises beside the loss of an answer: two answers that agree, and what stands around them.

Objectives stand around one another, the innermost is the task: `WithMaskedWords(Adversarial(Learning(model, loss)))`.
Each returns a loss summed over the targets of the task, so that the trainer divides once.
"""

from torch import Tensor, nn

from pipeline.draws import DROPOUT, bits
from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.losses import Divergence
from pipeline.objectives.labelling import Loss
from pipeline.objectives.objective import Objective
from pipeline.training.dropout import TokenKeys

SECOND = int(bits(0, DROPOUT, 1 << 40).view("i8"))
"""What makes of the keys of tokens those of their second time."""


class RDrop(Learning):
    """A loss of two answers under two dropouts, which are to agree (R-Drop, Liang et al. 2021).

    Mean of both losses + weight x their divergence, as in the authors' code (in the paper both losses are summed: its
    alpha is twice this weight).
    """

    def __init__(self, model: nn.Module, loss: Loss, weight: float, divergence: Divergence) -> None:
        super().__init__(model, loss)
        self.weight, self.divergence = weight, divergence

    def forward(self, labels: Tensor, token_keys: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Summed loss of what has a label."""
        if not self.training:
            return super().forward(labels, token_keys, **inputs)
        keys = (token_keys, None if token_keys is None else token_keys ^ SECOND)
        one, other = (self._answer(those, inputs) for those in keys)
        apart = self.divergence(one, other, labels)
        return (self.loss(one, labels) + self.loss(other, labels)) / 2 + self.weight * apart

    def _answer(self, token_keys: Tensor | None, inputs: dict[str, Tensor]) -> Tensor:
        self.begin(token_keys, inputs)
        return self.model(**inputs).logits.float()


class Around(Objective):
    """An objective around another one of the same model."""

    def __init__(self, inner: Objective) -> None:
        nn.Module.__init__(self)
        self.inner = inner

    @property
    def model(self) -> nn.Module:
        """The model of the task."""
        return self.inner.model

    @property
    def token_keys(self) -> TokenKeys:
        """What tells its dropout which tokens it sees."""
        return self.inner.token_keys

    def checkpoint_activations(self) -> None:
        """Compute activations again in backward instead of keeping them."""
        self.inner.checkpoint_activations()
