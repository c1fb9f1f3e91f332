"""Weights between two checkpoints: what an adapted model has learned and what its base knew, in one model.

    w = (1 - alpha) x base + alpha x adapted

(WiSE-FT, Wortsman et al. 2022). It costs no training. Two models of which one began at the other mostly lie in one
valley, and between them there is no bump; whether that is so here is what a sweep shows.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from pipeline.run.errors import InputError


class Between:
    """A model that can stand anywhere between its own weights and those of another one.

    Weights that are tied are one parameter, and are moved once. At 0 and at 1 they are those of either, to the bit.
    """

    def __init__(self, model: PreTrainedModel, other: PreTrainedModel) -> None:
        self.model = model
        self.start = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.end = {name: p.detach() for name, p in other.named_parameters()}
        if apart := _unlike(self.start, self.end):
            raise InputError(
                f"these are not two checkpoints of one model ({apart}): interpolate an adapted one with the base that "
                "it began at"
            )

    @torch.no_grad()
    def at(self, alpha: float) -> PreTrainedModel:
        """The model, `alpha` of the way to the other; the same one every time."""
        for name, p in self.model.named_parameters():
            p.copy_(torch.lerp(self.start[name].float(), self.end[name].to(p.device).float(), alpha))
        return self.model


def _unlike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> str:
    """The first weight that only one of them has, or has in another shape."""
    if alone := sorted(one.keys() ^ other.keys()):
        return f"{alone[0]} is in one alone"
    differ = [name for name in one if one[name].shape != other[name].shape]
    return f"{differ[0]} is {[*one[differ[0]].shape]} and {[*other[differ[0]].shape]}" if differ else ""


def front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of (loss, other loss) which are on the Pareto front: none is as low in both, and lower in one."""
    beats = lambda a, b: a[0] <= b[0] and a[1] <= b[1] and a != b
    return [not any(beats(other, point) for other in points) for point in points]
