"""How far a probability can be believed: reliability in bins, and Platt scaling.

Of a classifier of two classes: probabilities [..., 2], the second class is the one asked for.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

FILE = "calibration.json"
"""Beside a model, where it is calibrated."""

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """P = sigmoid(scale x difference of the logits + shift) (Platt 1999)."""

    scale: float
    shift: float

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """float32 [..., 2] of float32 [..., 2]."""
        logit = self.scale * _difference(probabilities) + self.shift
        return np.stack([expit(-logit), expit(logit)], axis=-1).astype(np.float32)

    @classmethod
    def fit(cls, probabilities: np.ndarray, truth: np.ndarray) -> "Calibration":
        """The likeliest scale and shift; probabilities float32 [N, 2], truth bool [N].

        Platt's targets stand a little inside 0 and 1, as after one more of each class: what is told apart without a
        fault has a finite scale too.
        """
        x, true, false = _difference(probabilities), truth.sum(), (~truth).sum()
        aims = np.where(truth, (true + 1) / (true + 2), 1 / (false + 2))

        def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
            logit = at[0] * x + at[1]
            error = expit(logit) - aims
            return (np.logaddexp(0, logit) - aims * logit).mean(), np.array([(error * x).mean(), error.mean()])

        scale, shift = minimize(loss, [1.0, 0.0], jac=True, method="BFGS").x
        return cls(float(scale), float(shift))

    @classmethod
    def load(cls, folder: Path) -> "Calibration | None":
        """Of the model in a folder; None where it speaks for itself."""
        path = folder / FILE
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None

    def save(self, folder: Path) -> None:
        """Beside the model."""
        (folder / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")


def _difference(probabilities: np.ndarray) -> np.ndarray:
    """float64 [...]: of the logits."""
    logs = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny))
    return logs[..., 1] - logs[..., 0]


@dataclass(frozen=True)
class Bin:
    """Predictions between two tenths: their mean, the share of them that came true, and how many there are."""

    predicted: float
    true: float
    count: int


def reliability(predicted: np.ndarray, truth: np.ndarray) -> list[Bin]:
    """The bins that hold anything, equally wide (DeGroot and Fienberg 1983); predicted [N], truth bool [N]."""
    places = np.minimum((predicted * BINS).astype(int), BINS - 1)
    groups = [places == place for place in np.unique(places)]
    return [Bin(float(predicted[g].mean(dtype=np.float64)), float(truth[g].mean()), int(g.sum())) for g in groups]


def calibration_error(bins: list[Bin]) -> float:
    """In percent: how far predictions are from what comes true, mean over predictions (ECE, Naeini et al. 2015)."""
    total = sum(one.count for one in bins)
    return 100 * sum(one.count * abs(one.predicted - one.true) for one in bins) / max(total, 1)
