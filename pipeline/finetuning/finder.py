"""A learning rate to begin with, from one short training whose rate rises at every step (Smith 2017).

The loss of a batch says little, so it is smoothed, by neighbours on both sides: an average over the past alone would
show every turn late. Two rates are read off the curve: where the loss falls fastest, and a tenth of where it is lowest
before it rises. The smaller one is the suggestion: fine-tuning fails above a good rate, and only learns slower below.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from pipeline.run.artifact import LOGS
from pipeline.training.config import TrainerConfig

STEPS, LOWEST, HIGHEST = 120, 1e-7, 1e-1
"""Steps of the ramp, twenty a decade, and its ends."""

SPREAD = 4.0
"""Standard deviation, in steps, of the weights of neighbours."""

DIVERGED = 1.5
"""Losses so many times as high as the lowest before them are past what can be learned with."""


@dataclass(frozen=True)
class Ramp(TrainerConfig):
    """A training whose learning rate rises by the same factor at every step, from LOWEST to HIGHEST."""

    @classmethod
    def of(cls, trainer: TrainerConfig) -> "Ramp":
        """With the batches and the optimiser of a training. Groups keep their share of its learning rate."""
        same = {field.name: getattr(trainer, field.name) for field in fields(trainer)}
        return cls(**same | {"steps": STEPS, "evaluations": 0})

    def learning_rate_at(self, elapsed: float) -> float:
        """The learning rate when the share `elapsed` of the ramp is done."""
        return LOWEST * (HIGHEST / LOWEST) ** elapsed


@dataclass(frozen=True)
class Curve:
    """The loss at each learning rate, float64 [steps] both, to where it ceases to be one that learns."""

    rates: np.ndarray
    losses: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "Curve":
        """From the log of a training under a `Ramp`."""
        lines = [json.loads(line) for line in (folder / LOGS / "metrics.jsonl").read_text().splitlines()]
        known = [(line["learning_rate"], line["loss"]) for line in lines if line.get("loss") is not None]
        return cls(*np.array(known).T)

    @property
    def smooth(self) -> np.ndarray:
        """float64 [steps]: the loss, each the mean of its neighbours by nearness (a Gaussian)."""
        steps = np.arange(len(self.losses))
        weights = np.exp(-(((steps[:, None] - steps) / SPREAD) ** 2) / 2)
        return weights @ self.losses / weights.sum(1)

    @property
    def learns(self) -> int:
        """Steps before the loss stands DIVERGED times as high as at its lowest."""
        above = self.smooth > DIVERGED * np.minimum.accumulate(self.smooth)
        return int(above.argmax()) if above.any() else len(above)

    @property
    def steepest(self) -> float:
        """Where the loss falls fastest, by the logarithm of the rate, on its way to the lowest."""
        falls = np.gradient(self.smooth[: self.learns])[: self.bottom + 1]
        return float(self.rates[falls.argmin()])

    @property
    def bottom(self) -> int:
        """The step at which the loss is lowest."""
        return int(self.smooth[: self.learns].argmin())

    @property
    def lowest(self) -> float:
        """Where the loss is lowest."""
        return float(self.rates[self.bottom])

    @property
    def suggested(self) -> float:
        """A peak learning rate to begin with."""
        return min(self.steepest, self.lowest / 10)
