"""Optimisers of fine-tuning: decay towards the pre-trained weights, averages of the weights, Adam as BERT had it.

What they do is said by the groups of parameters (`optimisation.py`), and what they know lies in their state beside the
moments: it is saved with them, divided among processes and resumed.
"""

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

Group = dict[str, object]


class BertAdam(Optimizer):
    """Adam as BERT was released with: no correction of the bias of young moments, decoupled weight decay.

    Its steps are too long by (1 - b1 ** t) / sqrt(1 - b2 ** t), up to 6.6 times with the usual betas (Zhang et al.
    2021). An ablation. The gradient is clipped as a whole, by the trainer; BERT's own clipped each parameter's.
    """

    def __init__(
        self, params: list[Group], lr: float, betas: tuple[float, float], eps: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step."""
        for group in self.param_groups:
            first, second = group["betas"]
            for p in _with_gradient(group):
                state = self.state[p]
                if "exp_avg" not in state:
                    state |= {"exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
                mean, square = state["exp_avg"], state["exp_avg_sq"]
                mean.mul_(first).add_(p.grad, alpha=1 - first)
                square.mul_(second).addcmul_(p.grad, p.grad, value=1 - second)
                update = mean / square.sqrt().add_(group["eps"])
                p.sub_(update.add_(p, alpha=group["weight_decay"]), alpha=group["lr"])


class _Steadied:
    """What a step does beside: before it the decay to the weights at the first step, after it the average."""

    steadied: ClassVar[Group] = {"prior_decay": 0.0, "averaging": "none", "average_from": 0.0, "average_decay": 0.0}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step."""
        if self._overflowed():
            return super().step()
        first = [self._decay(p, group) for group in self.param_groups for p in _with_gradient(group)]
        super().step()
        for p, prior in first:
            if prior is not None:  # only now: AdamW takes a state that has anything in it for a finished one
                self.state[p]["prior"] = prior
        for group in self.param_groups:
            if group.get("averaging", "none") != "none" and group["elapsed"] >= group["average_from"]:
                self._average(group)
        return None

    def _overflowed(self) -> bool:
        """Whether fp16 gradients have made this step one to leave out, which fused AdamW does by itself."""
        return bool(getattr(self, "found_inf", None) or False)

    def _decay(self, p: Tensor, group: Group) -> tuple[Tensor, Tensor | None]:
        """p <- p - lr x decay x (p - prior); the prior to remember where this is the first step."""
        decay = group.get("prior_decay", 0.0)
        if not decay:
            return p, None
        if "prior" not in self.state.get(p, {}):
            return p, p.clone()
        p.add_(self.state[p]["prior"] - p, alpha=group["lr"] * decay)
        return p, None

    def _average(self, group: Group) -> None:
        """The mean of all weights since `average_from`; of `ema`, the older ones fade when there are enough."""
        group["averaged"] = group.get("averaged", 0) + 1
        share = 1 / group["averaged"]
        if group["averaging"] == "ema":
            share = max(share, 1 - group["average_decay"])
        for p in group["params"]:
            state = self.state.get(p)
            if not state:  # never stepped: it is its average
                continue
            if "average" not in state:
                state["average"] = p.clone()
            else:
                state["average"].add_(p - state["average"], alpha=share)


class SteadyAdamW(_Steadied, AdamW):
    """Bias-corrected AdamW with what `_Steadied` adds."""


class SteadyBertAdam(_Steadied, BertAdam):
    """`BertAdam` with what `_Steadied` adds."""


def _with_gradient(group: Group) -> list[Tensor]:
    return [p for p in group["params"] if p.grad is not None]
