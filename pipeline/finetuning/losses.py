"""What a wrong answer costs: functions `(logits, labels) -> loss summed over the targets`, of float32 logits.

    logits [..., C], labels int64 [...]     one class each, IGNORE where there is none: each is a target
    logits [B, C],   labels float32 [B, C]  several classes each, 1 where a class is there: a row is a target

The trainer divides by the number of targets (`batches.targets_in`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipeline.batches import IGNORE
from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.objectives.labelling import Loss
from pipeline.run.errors import InputError

Divergence = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(logits, other logits, labels) -> how far the two answers are apart, summed over the targets."""

Term = Literal["cross_entropy", "focal", "bce", "binary_focal", "zlpr", "concurrent_softmax"]

OF_ONE, OF_SEVERAL = ("cross_entropy", "focal"), ("bce", "binary_focal", "zlpr", "concurrent_softmax")
"""Terms for one class a target, and for several."""

NOTHING = 1e-12
"""A loss that is none."""


@dataclass(frozen=True)
class LossConfig:
    """What is minimised."""

    terms: tuple[Term, ...] = ()
    """Losses to add up: cross_entropy and focal for classes and tags; bce, binary_focal, zlpr, concurrent_softmax for
    labels. Empty = the task's own."""
    weights: tuple[float, ...] = ()
    """Weight of each term; empty = 1 each."""
    label_smoothing: float = 0.0
    """Share of the probability that cross_entropy asks for that is spread over all classes (Szegedy et al. 2016)."""
    focal_gamma: float = 2.0
    """How far focal turns from what is right already: (1 - p) ** gamma; 0 = cross-entropy (Lin et al. 2017)."""
    focal_alpha: float = 0.0
    """In binary_focal, the weight of a class that is there, 1 - alpha of one that is not (Lin et al. take 0.25); 0 =
    both weigh 1."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced = rare classes weigh more: rows / (classes x rows of the class); in bce, what is there weighs as many
    times as rows without it outnumber those with it."""
    agreement: float = 0.0
    """Weight of the divergence of two answers under two dropouts (R-Drop, Liang et al. 2021: 1 to 5), for twice the
    cost; 0 = one answer."""
    masked_words: float = 0.0
    """Weight of the loss of masked words of the same text, which keeps the encoder knowing language, for about twice
    the cost; 0.5 is usual, 0 = none."""

    def __post_init__(self) -> None:
        if min(self.agreement, self.masked_words) < 0:
            raise ValueError("agreement and masked_words must not be negative")
        if self.weights and len(self.weights) != len(self.terms):
            raise ValueError(f"weights are {len(self.weights)}, but terms {len(self.terms)}: give one weight a term")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing = {self.label_smoothing} must be at least 0 and below 1")
        if self.focal_gamma < 0 or not 0 <= self.focal_alpha < 1:
            raise ValueError("focal_gamma must not be negative, and focal_alpha at least 0 and below 1")
        if mixed := set(self.terms) & set(OF_ONE) and set(self.terms) & set(OF_SEVERAL):
            raise ValueError(f"terms has {', '.join(sorted(mixed))}, which is for labels, beside one for classes")
        if self.label_smoothing and self.terms and "cross_entropy" not in self.terms:
            raise ValueError("label_smoothing is of cross_entropy: add that to terms, or leave it out")
        if self.class_weights != "none" and self.terms and not {"cross_entropy", "focal", "bce"} & set(self.terms):
            raise ValueError("class_weights are of cross_entropy, focal and bce: add one to terms, or leave them out")

    @property
    def is_own(self) -> bool:
        """Whether nothing is asked for but the task's own loss."""
        return not self.terms and not self.label_smoothing and self.class_weights == "none"


def chosen(config: LossConfig, own: Term, labels: np.ndarray, classes: int) -> Loss:
    """The loss asked for, of a task whose own is `own`; labels of all training rows, int flat or 0/1 [N, classes]."""
    terms = config.terms or (own,)
    fit = OF_ONE if own in OF_ONE else OF_SEVERAL
    if wrong := sorted(set(terms) - set(fit)):
        raise InputError(f"loss.terms has {', '.join(wrong)}, and this task takes {' and '.join(fit)}")
    losses = [_term(term, config, labels, classes) for term in terms]
    return partial(weighted_sum, losses, config.weights or (1.0,) * len(terms))


def _term(term: Term, config: LossConfig, labels: np.ndarray, classes: int) -> Loss:
    weights = ()
    if config.class_weights == "balanced":
        weights = tuple(balanced(labels, classes) if term in OF_ONE else rarity(labels))
    if term == "cross_entropy":
        return partial(summed_cross_entropy, weights=weights, smoothing=config.label_smoothing)
    if term == "focal":
        return partial(focal, gamma=config.focal_gamma, weights=weights)
    if term == "bce":
        return partial(bce, weights=weights)
    if term == "binary_focal":
        return partial(binary_focal, gamma=config.focal_gamma, alpha=config.focal_alpha)
    if term == "concurrent_softmax":
        return partial(concurrent_softmax, together=torch.tensor(co_occurrence(labels), dtype=torch.float32))
    return zlpr


def weighted_sum(losses: Sequence[Loss], weights: Sequence[float], logits: Tensor, labels: Tensor) -> Tensor:
    """Several losses of the same answer."""
    return sum(weight * loss(logits, labels) for loss, weight in zip(losses, weights, strict=True))


def focal(logits: Tensor, labels: Tensor, gamma: float, weights: Sequence[float] = ()) -> Tensor:
    """-(1 - p) ** gamma log p of the class (Lin et al. 2017); from logits, so that a sure error keeps its gradient."""
    labels = labels.flatten()
    there = labels != IGNORE
    labels = labels[there]
    losses = -logits.flatten(0, -2)[there].log_softmax(-1).gather(1, labels[:, None])[:, 0]
    losses = _hardness(losses, gamma) * losses
    return (losses * logits.new_tensor(weights)[labels] if weights else losses).sum()


def binary_focal(logits: Tensor, labels: Tensor, gamma: float, alpha: float = 0.0) -> Tensor:
    """Focal loss of each class by itself; of a row, the mean over classes."""
    losses = functional.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    losses = _hardness(losses, gamma) * losses
    return (losses if not alpha else losses * torch.where(labels > 0, alpha, 1 - alpha)).mean(1).sum()


def _hardness(losses: Tensor, gamma: float) -> Tensor:
    """(1 - p) ** gamma of losses -log p.

    expm1 has all the digits that 1 - p has not near p = 1; below NOTHING a root has no finite slope.
    """
    return (-torch.expm1(-losses.clamp(min=NOTHING))) ** gamma if gamma else torch.ones_like(losses)


def bce(logits: Tensor, labels: Tensor, weights: Sequence[float] = ()) -> Tensor:
    """-log of the probability of each class being there, or not; weights [C] of being there. Of a row, the mean."""
    weight = logits.new_tensor(weights) if weights else None
    losses = functional.binary_cross_entropy_with_logits(logits, labels, pos_weight=weight, reduction="none")
    return losses.mean(1).sum()


def zlpr(logits: Tensor, labels: Tensor) -> Tensor:
    """log(1 + sum exp(s) of absent classes) + log(1 + sum exp(-s) of present ones) (Su et al. 2022).

    Every present class is to score above 0 and every absent one below: a sigmoid above one half predicts it.
    """
    there = labels > 0
    signed = torch.where(there, -logits, logits)
    zero = torch.zeros_like(logits[:, :1])
    parts = [torch.cat([signed.masked_fill(~part, -torch.inf), zero], 1) for part in (there, ~there)]
    return sum(part.logsumexp(1).sum() for part in parts)


def concurrent_softmax(logits: Tensor, labels: Tensor, together: Tensor) -> Tensor:
    """-log of exp(z_i) / (exp(z_i) + sum over absent j of (1 - r_ij) exp(z_j)), for each present i (Peng et al. 2020).

    together [C, C] is r: the share of the rows with i that also have j, so that what often goes with i is not pushed
    down by it. A row without a class costs nothing.
    """
    rows, classes = (labels > 0).nonzero(as_tuple=True)
    free = (1 - together.to(logits.device))[classes] * (labels[rows] == 0)
    free[torch.arange(len(rows), device=logits.device), classes] = 1.0
    totals = (logits[rows] + free.log()).logsumexp(1)
    return (totals - logits[rows, classes]).sum()


def balanced(labels: np.ndarray, classes: int) -> np.ndarray:
    """float64 [classes]: rows / (classes that occur x rows of the class), 0 for one that does not; IGNORE left out."""
    counts = np.bincount(labels[labels != IGNORE], minlength=classes)
    return np.divide(counts.sum(), (counts > 0).sum() * counts, out=np.zeros(classes), where=counts > 0)


def rarity(labels: np.ndarray) -> np.ndarray:
    """float64 [C]: rows without a class for each row with it; labels 0/1 [N, C]."""
    there = labels.sum(0)
    return (len(labels) - there) / np.maximum(there, 1)


def co_occurrence(labels: np.ndarray) -> np.ndarray:
    """float64 [C, C]: the share of the rows with class i that also have class j; 0 where none has i."""
    both = labels.T.astype(np.float64) @ labels
    return both / np.maximum(np.diag(both), 1)[:, None]


def categorical_divergence(one: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    """(KL(p, q) + KL(q, p)) / 2 of one class a target."""
    there = labels != IGNORE
    one, other = (logits[there].log_softmax(-1) for logits in (one, other))
    return ((one.exp() - other.exp()) * (one - other)).sum() / 2


def bernoulli_divergence(one: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    """The same where every class is there or not by itself; of a row, the mean over classes."""
    return ((one.sigmoid() - other.sigmoid()) * (one - other)).mean(-1).sum() / 2


def squared_difference(one: Tensor, other: Tensor, labels: Tensor) -> Tensor:
    """Of numbers."""
    return (one - other).square().sum()
