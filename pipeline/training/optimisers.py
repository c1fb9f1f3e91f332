"""Optimisers that hold on to what was: decay towards the first weights, averages of weights; Adam as BERT had it.

What they do is said by the groups of parameters (`retaining` of a pretraining, `finetuning/optimisation.py` of a task
model), and what they know lies in their state beside the moments: it is saved with them, divided among processes and
resumed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from pipeline.objectives.objective import Objective
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import MakeOptimizer

Group = dict[str, object]


@dataclass(frozen=True)
class RetentionConfig:
    """What holds a model to the weights it began with, and what is kept of the way."""

    prior_decay: float = 0.0
    """Decay of pre-trained weights to what they were instead of to 0, decoupled: w - lr x decay x (w - pre-trained)
    (Wiese et al. 2017; Zhang et al. 2021). Of a task model: of its encoder; head, pooler and layers set back have no
    such weights and decay to 0."""
    averaging: Literal["none", "ema", "mean"] = "none"
    """What is measured and exported: the weights; an average that forgets (ema); the mean over the last steps (mean,
    Izmailov et al. 2018)."""
    average_decay: float = 0.99
    """What ema keeps of itself at a step; until it has seen 1 / (1 - this) steps it is their mean."""
    average_from: float = 0.5
    """Share of the training after which mean begins."""

    def __post_init__(self) -> None:
        if self.prior_decay < 0:
            raise ValueError(f"prior_decay = {self.prior_decay} must not be negative")
        for name in ("average_decay", "average_from"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")

    @property
    def averages(self) -> Group:
        """What a group of parameters says of its average."""
        begins = self.average_from if self.averaging == "mean" else 0.0
        return {"averaging": self.averaging, "average_decay": self.average_decay, "average_from": begins}


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


def retaining(config: RetentionConfig, trainer: TrainerConfig) -> MakeOptimizer | None:
    """The optimiser of a pretraining that holds on to its weights; None where it does not, and AdamW will do."""
    return partial(_retaining, config=config, trainer=trainer) if config != RetentionConfig() else None


def _retaining(objective: Objective, config: RetentionConfig, trainer: TrainerConfig) -> Optimizer:
    """All that is trained decays to what it was, or matrices to 0; biases and norms not at all."""
    trained, prior = [p for p in objective.parameters() if p.requires_grad], config.prior_decay
    parts = [(True, [p for p in trained if p.dim() >= 2]), (False, [p for p in trained if p.dim() < 2])]
    groups = [
        {"params": params, "prior_decay": prior, **config.averages,
         "weight_decay": trainer.weight_decay if matrices and not prior else 0.0}
        for matrices, params in parts
    ]  # fmt: skip
    betas = (trainer.adam_betas[0], trainer.adam_betas[1])
    return SteadyAdamW(groups, trainer.learning_rate, betas, trainer.adam_epsilon, fused=True)


def _with_gradient(group: Group) -> list[Tensor]:
    return [p for p in group["params"] if p.grad is not None]
