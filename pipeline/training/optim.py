"""Optimiser and learning rate.

An optimiser may keep an average of each parameter beside its moments, as `state[parameter]["average"]`
(`optimisers.py`): there it is saved, divided among processes and resumed with them. What is measured and
exported is then the average.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from pipeline.run.errors import InputError

Schedule = Literal["linear", "cosine", "constant", "wsd"]


def rate_factor(schedule: Schedule, elapsed: float, warmup_ratio: float, decay_ratio: float) -> float:
    """Share of the peak learning rate when the share `elapsed` of the training's tokens has been read.

    After a linear warm-up: linear or cosine decay to 0, none, or `wsd`: constant, and over the last `decay_ratio` of
    the training 1 - sqrt (Hägele et al. 2024), so that one long run can be continued from before its decay.
    """
    if elapsed < warmup_ratio:
        return elapsed / warmup_ratio
    done = min((elapsed - warmup_ratio) / max(1 - warmup_ratio, 1e-9), 1.0)
    if schedule == "linear":
        return 1 - done
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if schedule == "wsd":
        return 1 - math.sqrt(min(max(elapsed - (1 - decay_ratio), 0.0) / decay_ratio, 1.0))
    return 1.0


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


@torch.no_grad()
def swap_averages(optimizer: Optimizer) -> None:
    """Exchange every parameter with its average; where none is kept, nothing moves."""
    for parameter, state in optimizer.state.items():
        if "average" in state:
            now = parameter.clone()
            parameter.copy_(state["average"])
            state["average"].copy_(now)


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Within, the parameters are their averages."""
    swap_averages(optimizer)
    try:
        yield
    finally:
        swap_averages(optimizer)
