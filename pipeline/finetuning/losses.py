"""What a wrong answer costs: functions `(logits, targets) -> loss summed over the targets`, in float32.

The shape of the targets says what they are, C classes:

    logits [..., C], targets int64 [...]   one class each, IGNORE where there is none
    logits [B, C],   targets 0/1 [B, C]    several classes each (multi-label)
    logits [B] or [B, 1], targets float    a number each

The trainer divides by the number of targets. A row of multi-label targets counts as C of them; losses that are made of
rows (zlpr, concurrent_softmax) are therefore summed times C, and their mean is one over rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.batches import IGNORE

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits, targets) -> the summed loss."""

Divergence = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits, other logits, targets) -> how far the two answers are apart, summed over the targets."""

Term = Literal["cross_entropy", "focal", "bce", "zlpr", "concurrent_softmax", "squared"]

NOTHING = 1e-12
"""A loss that is none."""

FOR_SEVERAL = ("focal", "bce", "zlpr", "concurrent_softmax")
"""Terms that take several classes a row."""


@dataclass(frozen=True)
class LossConfig:
    """What is minimised, beside what `RegularisationConfig` adds to it."""

    terms: tuple[Term, ...] = ()
    """Losses to add up: cross_entropy or focal for one class a row, bce, focal, zlpr or concurrent_softmax for many,
    squared for numbers. Empty = the task's own: cross_entropy, bce, squared."""
    weights: tuple[float, ...] = ()
    """Weight of each term; empty = 1 each."""
    label_smoothing: float = 0.0
    """Share of the probability that cross_entropy asks for that is spread over all classes (Szegedy et al. 2016)."""
    focal_gamma: float = 2.0
    """How far focal turns from what is right already: (1 - p) ** gamma; 0 = cross-entropy (Lin et al. 2017)."""
    focal_alpha: float = 0.0
    """With several classes a row, the weight of a class that is there, 1 - alpha of one that is not (Lin et al. take
    0.25); 0 = both weigh 1."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced = rare classes weigh more: rows / (classes x rows of the class); in bce, what is there weighs as many
    times as rows without it outnumber those with it."""

    def __post_init__(self) -> None:
        if self.weights and len(self.weights) != len(self.terms):
            raise ValueError(f"weights are {len(self.weights)}, but terms {len(self.terms)}: give one weight a term")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing = {self.label_smoothing} must be at least 0 and below 1")
        if self.focal_gamma < 0 or not 0 <= self.focal_alpha < 1:
            raise ValueError("focal_gamma must not be negative, and focal_alpha at least 0 and below 1")
        if self.label_smoothing and self.terms and "cross_entropy" not in self.terms:
            raise ValueError("label_smoothing is of cross_entropy: add that to terms, or leave it out")
        if self.class_weights != "none" and set(self.terms) & {"zlpr", "concurrent_softmax", "squared"}:
            raise ValueError("class_weights are of cross_entropy, focal and bce: leave them out with other terms")


def loss_of(config: LossConfig, own: Term, targets: np.ndarray | None = None) -> Loss:
    """The loss of a task whose own is `own`; `targets` of all training rows, [N], [N, C] or flat, are counted."""
    terms = config.terms or (own,)
    _check(terms, own)
    parts = [_term(term, config, own, targets) for term in terms]
    weights = config.weights or (1.0,) * len(terms)
    if len(parts) == 1 and weights == (1.0,):
        return parts[0]
    return partial(weighted_sum, parts, weights)


def _check(terms: tuple[Term, ...], own: Term) -> None:
    """Terms of this kind of targets alone."""
    fit = {"cross_entropy": ("cross_entropy", "focal"), "bce": FOR_SEVERAL, "squared": ("squared",)}[own]
    if wrong := sorted(set(terms) - set(fit)):
        kind = {"cross_entropy": "one class", "bce": "several classes", "squared": "a number"}[own]
        raise ValueError(f"loss.terms has {', '.join(wrong)}, but the task has {kind} a row: take {', '.join(fit)}")


def _term(term: Term, config: LossConfig, own: Term, targets: np.ndarray | None) -> Loss:
    several, weights = own == "bce", None
    if config.class_weights == "balanced":
        weights = torch.tensor(rarity(targets) if several else balanced(targets), dtype=torch.float32)
    if term == "cross_entropy":
        return partial(cross_entropy, weights=weights, smoothing=config.label_smoothing)
    if term == "focal" and several:
        return partial(binary_focal, gamma=config.focal_gamma, alpha=config.focal_alpha)
    if term == "focal":
        return partial(focal, gamma=config.focal_gamma, weights=weights)
    if term == "bce":
        return partial(bce, weights=weights)
    if term == "concurrent_softmax":
        return partial(concurrent_softmax, together=torch.tensor(co_occurrence(targets), dtype=torch.float32))
    return {"zlpr": zlpr, "squared": squared}[term]


def weighted_sum(losses: list[Loss], weights: tuple[float, ...], logits: Tensor, targets: Tensor) -> Tensor:
    """Several losses of the same answer."""
    return sum(weight * loss(logits, targets) for loss, weight in zip(losses, weights, strict=True))


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
    """-log p of the class; weights [C]. Smoothing takes all classes alike, weighed as torch does."""
    weights = None if weights is None else weights.to(logits.device)
    logits, targets = logits.float().flatten(0, -2), targets.flatten()
    return functional.cross_entropy(
        logits, targets, weights, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing
    )


def focal(logits: Tensor, targets: Tensor, gamma: float, weights: Tensor | None = None) -> Tensor:
    """-(1 - p) ** gamma log p of the class (Lin et al. 2017); from logits, so that a sure error keeps its gradient."""
    targets = targets.flatten()
    there = targets != IGNORE
    logs = logits.float().flatten(0, -2)[there].log_softmax(-1)
    at_target = logs.gather(1, targets[there, None])[:, 0]
    losses = _hardness(-at_target, gamma) * -at_target
    return (losses if weights is None else losses * weights.to(logits.device)[targets[there]]).sum()


def binary_focal(logits: Tensor, targets: Tensor, gamma: float, alpha: float = 0.0) -> Tensor:
    """Focal loss of each class by itself."""
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    losses = _hardness(losses, gamma) * losses
    return (losses if not alpha else losses * torch.where(targets > 0, alpha, 1 - alpha)).sum()


def _hardness(losses: Tensor, gamma: float) -> Tensor:
    """(1 - p) ** gamma of losses -log p.

    expm1 has all the digits that 1 - p has not near p = 1; below NOTHING a root has no finite slope.
    """
    return (-torch.expm1(-losses.clamp(min=NOTHING))) ** gamma if gamma else torch.ones_like(losses)


def bce(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """-log of the probability of each class being there, or not; weights [C] of being there."""
    weights = None if weights is None else weights.to(logits.device)
    return functional.binary_cross_entropy_with_logits(
        logits.float(), targets.float(), pos_weight=weights, reduction="sum"
    )


def zlpr(logits: Tensor, targets: Tensor) -> Tensor:
    """log(1 + sum exp(s) of absent classes) + log(1 + sum exp(-s) of present ones) (Su et al. 2022).

    Every present class is to score above 0 and every absent one below; what is above 0 is predicted.
    """
    logits, there = logits.float(), targets > 0
    signed = torch.where(there, -logits, logits)
    parts = [signed.masked_fill(~chosen, -torch.inf) for chosen in (there, ~there)]
    zero = torch.zeros_like(logits[:, :1])
    return logits.shape[1] * sum(torch.cat([part, zero], 1).logsumexp(1).sum() for part in parts)


def concurrent_softmax(logits: Tensor, targets: Tensor, together: Tensor) -> Tensor:
    """-log of exp(z_i) / (exp(z_i) + sum over absent j of (1 - r_ij) exp(z_j)), for each present i (Peng et al. 2020).

    together [C, C] is r: the share of the rows with i that also have j, so that what often goes with i is not pushed
    down by it. A row without a class costs nothing.
    """
    logits = logits.float()
    rows, classes = (targets > 0).nonzero(as_tuple=True)
    free = (1 - together.to(logits.device))[classes] * (targets[rows] == 0)
    free[torch.arange(len(rows), device=logits.device), classes] = 1.0
    totals = (logits[rows] + free.log()).logsumexp(1)
    return logits.shape[1] * (totals - logits[rows, classes]).sum()


def concurrent_probabilities(logits: Tensor, together: Tensor) -> Tensor:
    """[B, C]: what concurrent softmax says of each class when nothing is known of the others."""
    free = (1 - together.to(logits.device)).fill_diagonal_(1.0)
    return (logits - (logits[:, None] + free.log()).logsumexp(2)).exp()


def squared(logits: Tensor, targets: Tensor) -> Tensor:
    """Squared differences."""
    return (logits.float().reshape(targets.shape) - targets.float()).square().sum()


def balanced(targets: np.ndarray) -> np.ndarray:
    """float64 [C]: rows / (classes x rows of the class), 0 where a class has none; targets int, IGNORE left out."""
    counts = np.bincount(targets[targets != IGNORE])
    return np.divide(counts.sum(), len(counts) * counts, out=np.zeros(len(counts)), where=counts > 0)


def rarity(targets: np.ndarray) -> np.ndarray:
    """float64 [C]: rows without a class for each with it; targets 0/1 [N, C]."""
    there = targets.sum(0)
    return (len(targets) - there) / np.maximum(there, 1)


def co_occurrence(targets: np.ndarray) -> np.ndarray:
    """float64 [C, C]: the share of the rows with class i that also have class j; 0 where none has i."""
    both = targets.T.astype(np.float64) @ targets
    return both / np.maximum(np.diag(both), 1)[:, None]


def divergence_of(own: Term) -> Divergence:
    """How far two answers of a task whose own loss is `own` are apart."""
    return {"cross_entropy": categorical_divergence, "bce": bernoulli_divergence, "squared": squared_difference}[own]


def categorical_divergence(one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
    """(KL(p, q) + KL(q, p)) / 2, summed over what has a target."""
    there = targets != IGNORE
    one, other = (logits.float()[there].log_softmax(-1) for logits in (one, other))
    return ((one.exp() - other.exp()) * (one - other)).sum() / 2


def bernoulli_divergence(one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
    """The same where every class is there or not by itself, summed over rows and classes."""
    one, other = one.float(), other.float()
    return ((one.sigmoid() - other.sigmoid()) * (one - other)).sum() / 2


def squared_difference(one: Tensor, other: Tensor, targets: Tensor) -> Tensor:
    """Of numbers."""
    return (one.float() - other.float()).square().sum()
