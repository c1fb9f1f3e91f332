"""What reads a text with words of a generator in it: an encoder, its embeddings, and a head that answers."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding, linear, logsigmoid
from torch.utils.checkpoint import checkpoint
from transformers import ElectraConfig, PreTrainedModel
from transformers.models.electra.modeling_electra import ElectraGeneratorPredictions

from pipeline.objectives.cross_entropy import LOGITS_AT_ONCE, linear_cross_entropy


class Difference(nn.Module):
    """Embeddings of the discriminator: those of the generator, whose gradient is stopped, and a table beside them."""

    def __init__(self, base: nn.Embedding, own: nn.Embedding) -> None:
        super().__init__()
        self.base, self.delta = base, own
        own.weight.data -= base.weight.data

    def forward(self, ids: Tensor) -> Tensor:
        """ids [...] -> [..., width]."""
        return embedding(ids, self.base.weight.detach()) + self.delta(ids)

    @property
    def whole(self) -> Tensor:
        """The table that it amounts to."""
        return self.base.weight.detach() + self.delta.weight


class WordHead(nn.Module):
    """Says which word was written, with the embeddings as decoder; or that it is the one that stands there."""

    def __init__(self, shape: ElectraConfig, copies: bool) -> None:
        super().__init__()
        self.transform = ElectraGeneratorPredictions(shape)
        self.bias = nn.Parameter(torch.zeros(shape.vocab_size))
        self.copy = nn.Linear(shape.hidden_size, 1) if copies else None

    def named(self, hidden: Tensor, table: Tensor, written: Tensor) -> Tensor:
        """Summed loss of words int64 [N]; hidden [N, width], table [V, width]."""
        return linear_cross_entropy(self.transform(hidden), table, self.bias, written)

    def copied_or_named(self, hidden: Tensor, table: Tensor, shown: Tensor, written: Tensor) -> Tensor:
        """The same where with a probability of its own the word is a copy of the one `shown`, int64 [N]."""
        step = max(1, LOGITS_AT_ONCE // len(table))
        parts = [slice(first, first + step) for first in range(0, len(hidden), step)]
        lost = [checkpoint(self._block, hidden[p], table, shown[p], written[p], use_reentrant=False) for p in parts]
        return torch.stack(lost).sum() if lost else hidden.sum()

    def _block(self, hidden: Tensor, table: Tensor, shown: Tensor, written: Tensor) -> Tensor:
        copied = self.copy(hidden)[:, 0].float()
        logits = linear(self.transform(hidden), table, self.bias).float()
        named = logsigmoid(-copied) - cross_entropy(logits, written, reduction="none")
        return -torch.where(shown == written, torch.logaddexp(logsigmoid(copied), named), named).sum()


class Discriminator(nn.Module):
    """An encoder and a head: a number for each token, that it is not the one that was written, or words."""

    def __init__(self, encoder: PreTrainedModel, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    @property
    def table(self) -> Tensor:
        """[V, width]: the embeddings of tokens."""
        embeddings = self.encoder.embeddings.word_embeddings
        return embeddings.whole if isinstance(embeddings, Difference) else embeddings.weight
