"""How fast each part of a model learns, towards what it decays, and what is exported of the way.

One convention of layer-wise decay: the top layer has the learning rate of the training, each layer below it
`layer_decay` times that of the one above, the embeddings the lowest; the head is above all of them and has one of its
own. The factor is one of the learning rate: a factor of the gradient would do next to nothing, as Adam divides it out.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.finetuning.classifier import encoder_of, head_of
from pipeline.objectives.objective import Objective
from pipeline.training.config import TrainerConfig
from pipeline.training.layers import layers_of
from pipeline.training.optimisers import Group, RetentionConfig, SteadyAdamW, SteadyBertAdam
from pipeline.training.thawing import Thawing
from pipeline.training.trainer import MakeOptimizer


@dataclass(frozen=True)
class OptimisationConfig(RetentionConfig):
    """How the weights move, beside what `trainer` says of length and pace."""

    optimizer: Literal["adamw", "bertadam"] = "adamw"
    """adamw: bias-corrected, which few labels need (Zhang et al. 2021); bertadam: without, as BERT was, to see what it
    costs."""
    layer_decay: float = 1.0
    """Learning rate of a layer over that of the one above it (0.95 in Sun et al. 2019, 0.8 to 0.9 in ELECTRA)."""
    head_learning_rate: float = 0.0
    """Learning rate of what the task adds, pooler included; 0 = that of the body. 1e-3 beside 2e-5 for a CRF."""
    frozen: bool = False
    """Train the head and the pooler alone."""
    unfreeze_ratio: float = 0.0
    """Share of the training over which the encoder thaws, a layer at a time from the top, the embeddings last (Howard
    and Ruder 2018); 0 = all learn from the first step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay = {self.layer_decay} must be above 0 and at most 1")
        if self.head_learning_rate < 0:
            raise ValueError(f"head_learning_rate = {self.head_learning_rate} must not be negative")
        if not 0 <= self.unfreeze_ratio <= 1:
            raise ValueError(f"unfreeze_ratio = {self.unfreeze_ratio} must lie between 0 and 1")
        idle = [n for n, on in (("layer_decay", self.layer_decay < 1), ("prior_decay", self.prior_decay > 0),
                                ("unfreeze_ratio", self.unfreeze_ratio > 0)) if on]  # fmt: skip
        if self.frozen and idle:
            raise ValueError(f"frozen leaves {', '.join(idle)} nothing to do: the encoder does not learn at all")


def optimizer_of(config: OptimisationConfig, trainer: TrainerConfig, fresh: Collection[Tensor] = ()) -> MakeOptimizer:
    """What the trainer makes its optimiser with; `fresh` parameters have no pre-trained weights."""
    return partial(_optimizer, config=config, trainer=trainer, fresh=fresh)


def _optimizer(
    objective: Objective, config: OptimisationConfig, trainer: TrainerConfig, fresh: Collection[Tensor]
) -> Optimizer:
    groups = parameter_groups(objective, config, trainer, fresh)
    betas = (trainer.adam_betas[0], trainer.adam_betas[1])
    if config.optimizer == "bertadam":
        return SteadyBertAdam(groups, trainer.learning_rate, betas, trainer.adam_epsilon)
    return SteadyAdamW(groups, trainer.learning_rate, betas, trainer.adam_epsilon, fused=True)


def parameter_groups(
    objective: Objective, config: OptimisationConfig, trainer: TrainerConfig, fresh: Collection[Tensor]
) -> list[Group]:
    """The trained parameters, those of one learning rate and decay together; biases and norms do not decay to 0."""
    depths, layers = depths_of(objective.model), len(layers_of(encoder_of(objective.model)))
    head = config.head_learning_rate / trainer.learning_rate or 1.0
    groups: dict[tuple[float, float, float], list[Tensor]] = defaultdict(list)
    for p in objective.parameters():
        if not p.requires_grad:
            continue
        depth = depths.get(p, layers)  # what a second objective adds stands on the top layer
        factor = head if depth > layers else config.layer_decay ** (layers - depth)
        prior = config.prior_decay if p in depths and depth <= layers and p not in fresh else 0.0
        decay = trainer.weight_decay if p.dim() >= 2 and not prior else 0.0
        groups[factor, decay, prior].append(p)
    return [
        {"params": params, "rate_factor": factor, "weight_decay": decay, "prior_decay": prior, **config.averages}
        for (factor, decay, prior), params in groups.items()
    ]


def depths_of(model: nn.Module) -> dict[Tensor, int]:
    """How deep each parameter of a task model stands: embeddings 0, layers 1 to L, head and pooler L + 1.

    What an encoder has after its layers, such as a last norm, belongs to the top one.
    """
    encoder = encoder_of(model)
    layers = layers_of(encoder)
    place = {p: number for number, layer in enumerate(layers, 1) for p in layer.parameters()}
    depths, seen = {}, 0
    for p in encoder.parameters():
        seen = max(seen, place.get(p, 0))
        depths[p] = place.get(p, len(layers) if seen else 0)
    return depths | {p: len(layers) + 1 for module in head_of(model) for p in module.parameters()}


def freeze_encoder(model: nn.Module) -> None:
    """Leave only what the task adds to learn."""
    depths = depths_of(model)
    top = max(depths.values())
    for p, depth in depths.items():
        p.requires_grad_(depth == top)


def thawing_from_top(model: nn.Module, ratio: float) -> Thawing:
    """Gradual unfreezing: of L layers and the embeddings, number u from the top (0, 1, …, L) learns from
    ratio x (u + 1) / (L + 1) of the training on."""
    layers = len(layers_of(encoder_of(model)))
    later = {p: layers - depth for p, depth in depths_of(model).items() if depth <= layers}
    return Thawing({p: ratio * (u + 1) / (layers + 1) for p, u in later.items()})
