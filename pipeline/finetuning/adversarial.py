"""Training against the worst small change of the embeddings, or against noise on them.

An objective around an objective: within one forward it asks the gradient of the loss with respect to what stands
beside the embeddings (`torch.autograd.grad`: no parameter's gradient is touched), moves that way, and asks again. One
loss comes out, a mean over the points that count, so accumulation, several processes and mixed precision need to know
nothing of it. Gradients, norms and random starts are of one sequence each, its padding left out: what a sequence meets
does not depend on the batch it stands in. Dropout drops the same at every point.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pipeline.draws import NOISE, bits
from pipeline.finetuning.classifier import Windowed, encoder_of
from pipeline.finetuning.objective import Around
from pipeline.objectives.objective import Objective
from pipeline.run.errors import InputError
from pipeline.run.processes import processes

_STEP, _MIX = -0x61C8864680B583EB, (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
"""The increment and the factors of SplitMix64, as signed numbers."""


@dataclass(frozen=True)
class RobustnessConfig:
    """Changes of what it reads that the model is to stand."""

    attack: Literal["none", "fgm", "pgd", "freelb"] = "none"
    """fgm: one step along the gradient (Miyato et al. 2017); pgd: several from the sequence itself, back into a ball
    (Madry et al. 2018); freelb: several from a random place, all of which count (Zhu et al. 2020). With k steps a
    training step costs about 1 + k of its passes (fgm 2, freelb k), and as many activations where points count."""
    radius: float = 1.0
    """Norm of the change of a sequence: that of fgm's step, the most that pgd and freelb go (0 = no bound). The word
    embedding of a token of BERT has a norm near 1.4."""
    steps: int = 3
    """Steps of pgd, points of freelb."""
    step_size: float = 0.3
    """Norm of each such step (freelb's authors take 0.1)."""
    start: float = 0.02
    """Where freelb starts: uniform noise in a cube of this half diagonal."""
    share: float = 0.5
    """Share of the changed sequence in the loss of fgm and pgd; the rest is that as it is. 0.5 is the usual sum
    of both, over 2."""
    noise: float = 0.0
    """NEFTune's alpha: uniform noise of alpha / sqrt(tokens x width) on every embedding (Jain et al. 2024)."""
    hidden: float = 0.0
    """Share of the tokens hidden from a classifier, those that decide first, at the beginning of each cycle of a
    curriculum from hard to easy (TIACBM, Jarca et al. 2025); it falls to one token. 0 = none."""
    cycles: int = 3
    """Cycles of this curriculum."""

    def __post_init__(self) -> None:
        if not 0 <= self.hidden < 1 or self.cycles < 1:
            raise ValueError("hidden must be at least 0 and below 1, cycles at least 1")
        if min(self.radius, self.start, self.noise) < 0 or self.steps < 1 or self.step_size <= 0:
            raise ValueError("radius, start and noise must not be negative, steps at least 1, step_size positive")
        if not 0 < self.share <= 1:
            raise ValueError(f"share = {self.share} must be above 0 and at most 1")
        if self.attack == "fgm" and not self.radius:
            raise ValueError("radius = 0 leaves fgm no step to make: give it a norm, such as 1.0")

    def weights(self) -> list[float]:
        """The weight of the loss at each point, from the first; every step leads to another point."""
        if self.attack == "freelb":
            return [1 / self.steps] * self.steps
        between = 0 if self.attack == "fgm" else self.steps - 1
        return [1 - self.share, *[0.0] * between, self.share]


def robust(objective: Objective, config: RobustnessConfig) -> Objective:
    """The objective under the attack and the noise asked for, if any."""
    attacked = objective if config.attack == "none" else Adversarial(objective, config)
    return Noisy(attacked, config.noise) if config.noise else attacked


class _Shifting(Around):
    """Adds to the output of the word embeddings, [B, L, width], where there is something to add."""

    def __init__(self, inner: Objective) -> None:
        super().__init__(inner)
        self._shift: Tensor | None = None
        words = encoder_of(self.model).get_input_embeddings()
        self.width = words.embedding_dim
        words.register_forward_hook(self._add)

    def _add(self, module: nn.Module, inputs: tuple[Tensor, ...], embedded: Tensor) -> Tensor:
        return embedded if self._shift is None else embedded + self._shift.to(embedded.dtype)

    @contextmanager
    def _shifted(self, shift: Tensor, inside: Tensor) -> Iterator[None]:
        self._shift = self._as_read(shift, inside)
        try:
            yield
        finally:
            self._shift = None

    def _as_read(self, shift: Tensor, inside: Tensor) -> Tensor:
        """[B, L, width], or in windows [windows of all, size, width] where the model reads them."""
        if not isinstance(self.model, Windowed):
            return shift
        there = self.model.cut(inside).any(-1)
        return self.model.cut(shift.movedim(-1, 0)).movedim(0, -1)[there]


class Noisy(_Shifting):
    """NEFTune: the same noise for a document's visit in any batch; its length is that without padding."""

    def __init__(self, inner: Objective, alpha: float) -> None:
        super().__init__(inner)
        self.alpha = alpha

    def forward(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """Summed loss."""
        if not self.training:
            return self.inner(labels=labels, **inputs)
        inside = inputs["attention_mask"]
        noise = self.alpha * cube(inputs["token_keys"] ^ _key(1), inside, self.width)
        with self._shifted(noise, inside):
            return self.inner(labels=labels, **inputs)


class Adversarial(_Shifting):
    """FGM, PGD and FreeLB: the weighted loss over a walk up the gradient."""

    def __init__(self, inner: Objective, config: RobustnessConfig) -> None:
        super().__init__(inner)
        self.config = config
        if processes().is_fsdp2:
            raise InputError(f"attack = {config.attack} asks for gradients within a forward pass: launch without FSDP")

    def forward(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """Summed loss, weighted over the points."""
        if not self.training:
            return self.inner(labels=labels, **inputs)
        point, weights, losses = self._start(inputs), self.config.weights(), []
        inside = inputs["attention_mask"]
        for weight in weights[:-1]:
            with _same_draws_again(point.device), self._shifted(point.requires_grad_(), inside):
                loss = self.inner(labels=labels, **inputs)
            (gradient,) = torch.autograd.grad(loss, point, retain_graph=weight > 0)
            losses.append(weight * (loss if weight else loss.detach()))
            point = self._further(point.detach(), gradient * inside[..., None])
        with self._shifted(point, inside):
            return sum(losses) + weights[-1] * self.inner(labels=labels, **inputs)

    def _start(self, inputs: dict[str, Tensor]) -> Tensor:
        """[B, L, width]: at the sequence itself, or for freelb near it."""
        inside = inputs["attention_mask"]
        if self.config.attack != "freelb":
            return torch.zeros(*inside.shape, self.width, device=inside.device)
        return self.config.start * cube(inputs["token_keys"] ^ _key(0), inside, self.width)

    def _further(self, point: Tensor, gradient: Tensor) -> Tensor:
        """A step up the gradient of each sequence, then back into the ball; where there is no gradient, none."""
        fgm, radius = self.config.attack == "fgm", self.config.radius
        step = (radius if fgm else self.config.step_size) / norms(gradient)
        point = point + torch.where(step.isfinite(), gradient * step, 0.0)
        return point * (radius / norms(point)).clamp(max=1.0) if radius and not fgm else point


def norms(x: Tensor) -> Tensor:
    """[B, 1, 1]: the Euclidean norm of each sequence of [B, L, width]."""
    return x.flatten(1).norm(dim=1)[:, None, None]


def cube(keys: Tensor, inside: Tensor, width: int) -> Tensor:
    """float32 [B, L, width]: uniform in a cube with half diagonal 1 for each sequence; keys and inside [B, L]."""
    tokens = inside.sum(1).clamp(min=1)[:, None, None]
    return uniform(keys, width) * inside[..., None] / (tokens * width) ** 0.5


def uniform(keys: Tensor, width: int) -> Tensor:
    """float32 [*keys, width] in [-1, 1): a function of each key and channel (SplitMix64)."""
    x = keys[..., None] + torch.arange(1, width + 1, device=keys.device) * _STEP
    x = (x ^ (x >> 30)) * _MIX[0]
    x = (x ^ (x >> 27)) * _MIX[1]
    return (x >> 40).float() / (1 << 23)


def _key(number: int) -> int:
    """What makes of the keys of tokens those of a draw."""
    return int(bits(0, NOISE, number).view("i8"))


@contextmanager
def _same_draws_again(device: torch.device) -> Iterator[None]:
    """Within, torch draws what it will draw again afterwards: dropout that is not keyed."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield
