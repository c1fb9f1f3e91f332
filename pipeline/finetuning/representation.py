"""What a head sees of an encoder: which of its layers, and how the tokens of a text become one vector.

Padding never counts, whatever the operation: a text is represented the same alone and beside a longer one.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Choice = Literal["last", "one", "concat", "mean", "max", "mix"]
"""Of layers: the last, another one, the last few side by side, their mean or maximum, or a learned mixture of all."""

Pooling = Literal["cls", "mean", "max", "min", "attention"]


class ScalarMix(nn.Module):
    """gamma * sum of softmax(weights)_k * layer_k (Peters et al. 2018), over embeddings and every layer.

    Starts as their mean. The weights hardly move at an encoder's learning rate: give them one of their own.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights, self.gamma = nn.Parameter(torch.zeros(layers)), nn.Parameter(torch.ones(1))  # FSDP: no scalars

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """Layers [B, L, width] -> [B, L, width]."""
        shares = self.weights.softmax(0)
        return self.gamma * sum(share * layer for share, layer in zip(shares, layers, strict=True))


class Layers(nn.Module):
    """The layers a head sees, as one; `hidden` [B, L, width] of the embeddings and every layer."""

    def __init__(self, choice: Choice, layer: int, last: int, count: int) -> None:
        super().__init__()
        self.choice, self.layer, self.last = choice, layer, last
        self.mix = ScalarMix(count + 1) if choice == "mix" else None
        self.times_wider = last if choice == "concat" else 1

    def forward(self, hidden: Sequence[Tensor], final: Tensor) -> Tensor:
        """[B, L, width], or `last` times as wide; `final` is the encoder's own last state, normed where it does so."""
        if self.choice == "last":
            return final
        hidden = (*hidden[:-1], final)
        if self.mix:
            return self.mix(hidden)
        if self.choice == "one":
            return hidden[self.layer] + 0 * final  # so that no weight is without a gradient: processes wait for all
        few = hidden[-self.last :]
        if self.choice == "concat":
            return torch.cat(few, dim=-1)
        stacked = torch.stack(few)
        return stacked.mean(0) if self.choice == "mean" else stacked.amax(0)


class AttentionPooling(nn.Module):
    """A mean of tokens weighted by a learned look at each; as it starts, their plain mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = nn.Linear(width, 1)
        nn.init.zeros_(self.look.weight)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """[B, L, width], mask bool [B, L] -> [B, width]."""
        scores = self.look(tokens).squeeze(-1).masked_fill(~mask, torch.finfo(tokens.dtype).min)
        return (scores.softmax(-1)[..., None] * tokens).sum(1)


def pooled(how: Pooling, tokens: Tensor, mask: Tensor) -> Tensor:
    """[B, width] of tokens [B, L, width], those that mask bool [B, L] shows; special tokens count as tokens."""
    if how == "cls":
        return tokens[:, 0]
    if how == "mean":
        return (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    outside = torch.finfo(tokens.dtype).min if how == "max" else torch.finfo(tokens.dtype).max
    inside = tokens.masked_fill(~mask[..., None], outside)
    return inside.amax(1) if how == "max" else inside.amin(1)
