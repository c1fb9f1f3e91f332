"""What fine-tuning minimises: a loss of one answer, or of two that are to agree.

Objectives stand around one another, the innermost is the task: `WithMaskedWords(Adversarial(Learning(model, loss)))`.
Each returns a loss summed over the targets of the task, so that the trainer divides once.
"""

from torch import Tensor, nn

from pipeline.draws import DROPOUT, bits
from pipeline.dropout import TokenKeys
from pipeline.finetuning.losses import Divergence, Loss
from pipeline.objectives import Objective

SECOND = int(bits(0, DROPOUT, 1 << 40).view("i8"))
"""What makes of the keys of tokens those of their second time."""


class RDrop(Objective):
    """The labels of a task, under a loss; with `agreement`, R-Drop (Liang et al. 2021).

    R-Drop answers twice, under two dropouts: loss = mean of both losses + agreement x their divergence, as in the
    authors' code (in the paper, both losses are summed: its alpha is twice this one).
    """

    def __init__(
        self, model: nn.Module, loss: Loss, agreement: float = 0.0, divergence: Divergence | None = None
    ) -> None:
        super().__init__(model)
        self.loss, self.agreement, self.divergence = loss, agreement, divergence

    def logits(self, token_keys: Tensor | None, **inputs: Tensor) -> Tensor:
        """float32 [B, C] or [B, L, C]."""
        self.token_keys.begin(token_keys)
        if token_keys is not None:
            self.token_keys.add(token_keys[:, 0])  # of a sequence as a whole
        return self.model(**inputs).logits.float()

    def forward(self, labels: Tensor, token_keys: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Summed loss of what has a label."""
        logits = self.logits(token_keys, **inputs)
        loss = self.loss(logits, labels)
        if not self.agreement or not self.training:
            return loss
        again = self.logits(None if token_keys is None else token_keys ^ SECOND, **inputs)
        apart = self.divergence(logits, again, labels)
        return (loss + self.loss(again, labels)) / 2 + self.agreement * apart


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
