"""Optimiser and learning rate."""

from torch import nn
from torch.optim import AdamW

from pipeline.run.errors import InputError


def learning_rate_at(step: int, steps: int, peak: float, warmup_ratio: float) -> float:
    """Linear warm-up over the first `warmup_ratio` of the steps, then linear decay to 0; steps count from 0.

    Step 0 already learns (peak / warm-up), the last step still does: no update is spent on a rate of 0.
    """
    warmup = round(steps * warmup_ratio)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / max(steps - warmup, 1)


def adamw(
    model: nn.Module, learning_rate: float, betas: tuple[float, ...], epsilon: float, weight_decay: float
) -> AdamW:
    """Fused AdamW, bias-corrected (Zhang et al. 2021); biases and norms are not decayed."""
    if len(betas) != 2:
        raise InputError(f"adam_betas = {list(betas)} must be two numbers, as in [0.9, 0.98]")
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for _, p in trained if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for _, p in trained if p.dim() < 2], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=learning_rate, betas=(betas[0], betas[1]), eps=epsilon, fused=True)
