"""Cross-entropies summed over targets, one of them without ever holding all logits."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, linear

from pipeline.batches import IGNORE
from pipeline.scoring.importance import LEVELS

LOGITS_AT_ONCE = 1 << 24
"""Logits held in memory at a time, 64 MB: some 800 targets of a vocabulary of 21,128."""


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """`cross_entropy(linear(hidden, weight, bias), targets, reduction="sum")` without keeping the logits.

    hidden [M, width], weight [V, width], bias [V] or None, targets [M]. The gradients are made in forward, while a
    block of logits is at hand: one exponential for both, and `LOGITS_AT_ONCE` numbers in memory.
    """
    return _LinearCrossEntropy.apply(hidden, weight, bias, targets)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:  # noqa: ANN001
        kind, ctx.kinds = hidden.device.type, [x.dtype for x in (hidden, weight, bias) if x is not None]
        compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        with torch.autocast(kind, enabled=False):
            return _forward(ctx, hidden.to(compute), weight.to(compute), bias, targets)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        made = ctx.saved_tensors
        scaled = [
            part.mul_(grad).to(kind) if wanted else None  # in place: a second backward is refused by autograd
            for part, kind, wanted in zip(made, ctx.kinds, ctx.needs_input_grad, strict=False)
        ]
        return (*scaled, *[None] * (4 - len(scaled)))


@torch.no_grad()
def linear_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """float32 [M]: the cross-entropy of each target, again without keeping the logits; no gradients."""
    kind = hidden.device.type
    compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    found, rows = hidden.new_empty(len(hidden), dtype=torch.float32), max(1, LOGITS_AT_ONCE // len(weight))
    with torch.autocast(kind, enabled=False):
        weight, bias = weight.to(compute), None if bias is None else bias.to(compute)
        for first in range(0, len(hidden), rows):
            block = slice(first, first + rows)
            logits = linear(hidden[block].to(compute), weight, bias).float()
            found[block] = cross_entropy(logits, targets[block], reduction="none")
    return found


def _forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:  # noqa: ANN001
    """The loss; keeps the gradients where any is wanted."""
    wanted = any(ctx.needs_input_grad)
    loss = hidden.new_zeros((), dtype=torch.float32)
    blank = torch.empty_like if weight.dtype == torch.float32 and len(hidden) else torch.zeros_like
    grads = [torch.empty_like(hidden), blank(weight, dtype=torch.float32)] if wanted else []
    grads += [torch.zeros_like(bias, dtype=torch.float32)] if wanted and bias is not None else []
    rows = max(1, LOGITS_AT_ONCE // len(weight))
    for first in range(0, len(hidden), rows):
        block = slice(first, first + rows)
        logits = linear(hidden[block], weight, None if bias is None else bias.to(weight.dtype))
        lost, grad = _softmax_loss(logits, targets[block, None])
        loss += lost
        if wanted:
            _add_gradients(grads, block, grad, hidden, weight)
    ctx.save_for_backward(*grads)
    return loss


def _softmax_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Summed loss of logits [M, V] at targets [M, 1], and its gradient: softmax, minus one at the target."""
    logits = logits.float()
    logits -= logits.amax(1, keepdim=True)
    at_target = logits.gather(1, targets)
    total = logits.exp_().sum(1, keepdim=True)
    grad = logits.div_(total).scatter_add_(1, targets, torch.full_like(targets, -1.0, dtype=logits.dtype))
    return (total.log() - at_target).sum(), grad


def _add_gradients(grads: list[Tensor], block: slice, grad: Tensor, hidden: Tensor, weight: Tensor) -> None:
    if len(grads) > 2:
        grads[2] += grad.sum(0)
    grad = grad.to(weight.dtype)
    grads[0][block] = grad @ weight
    if weight.dtype == torch.float32:  # the first block writes: zeros to add to would be one more pass over [V, width]
        torch.addmm(grads[1], grad.T, hidden[block], beta=float(block.start > 0), out=grads[1])
    else:
        grads[1] += grad.T @ hidden[block]


def summed_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Sequence[float] = (), smoothing: float = 0.0
) -> Tensor:
    """Of classes [B, C] or [B, L, C] against labels [B] or [B, L], IGNORE: none; `weights` [C] of classes.

    `smoothing` is the share of what is asked for that is spread over all classes (Szegedy et al. 2016).
    """
    logits, labels, weight = logits.flatten(0, -2), labels.flatten(), logits.new_tensor(weights) if weights else None
    return cross_entropy(logits, labels, weight, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing)


def soft_cross_entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Of two classes [B, L, 2], of which the second has a probability: labels [B, L] in 255ths of it, or IGNORE.

    What speaks for the second class weighs `weight`. With 0 and 255 it is `summed_cross_entropy`.
    """
    logs = logits.log_softmax(-1)[labels != IGNORE]
    p = labels[labels != IGNORE] / LEVELS
    return -(weight * p * logs[:, 1] + (1 - p) * logs[:, 0]).sum()
