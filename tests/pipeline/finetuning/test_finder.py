"""The learning rate is read off a curve whose turns are known."""

import json

import numpy as np
import pytest
from technique_toys import CONFIG, toy_batches, toy_classifier

from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.finder import HIGHEST, LOWEST, STEPS, Curve, Ramp
from pipeline.training.trainer import train

RATES = LOWEST * (HIGHEST / LOWEST) ** ((np.arange(STEPS) + 0.5) / STEPS)


def curve(falls: float, rises: float, noise: float = 0.0) -> Curve:
    """The loss falls from 1 to 0.2 around one rate, and rises to 5 around the other."""
    x, draw = np.log10(RATES), np.random.default_rng(0)
    step = lambda at: 1 / (1 + np.exp(-8 * (x - np.log10(at))))
    return Curve(RATES, 1 - 0.8 * step(falls) + 4.8 * step(rises) + noise * draw.standard_normal(STEPS))


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_steepest_fall_and_the_lowest_loss_are_found(noise):
    found = curve(3e-4, 1e-2, noise)
    assert abs(np.log10(found.steepest / 3e-4)) < 0.2
    assert 3e-4 < found.lowest < 1e-2
    assert found.suggested == pytest.approx(min(found.steepest, found.lowest / 10))


def test_a_lucky_loss_after_it_has_diverged_does_not_count():
    found = curve(3e-4, 1e-3)
    found.losses[-20:] = 0.0
    assert found.lowest < 1e-3


def test_the_ramp_rises_by_the_same_factor_and_goes_on_by_its_groups(sequences, tmp_path):
    ramp = Ramp.of(CONFIG)
    assert (ramp.batch_size, ramp.steps, ramp.learning_rate) == (CONFIG.batch_size, STEPS, CONFIG.learning_rate)
    train(Learning(toy_classifier()), toy_batches(sequences), ramp, "toy", folder=tmp_path)
    found = Curve.read(tmp_path)
    ratios = found.rates[1:] / found.rates[:-1]
    assert len(found.rates) == STEPS and np.log10(ratios).mean() == pytest.approx(6 / STEPS, rel=0.02)
    assert LOWEST < found.rates[0] < 3 * LOWEST and HIGHEST / 3 < found.rates[-1] <= HIGHEST
    assert 1e-4 < found.lowest < 1e-1  # at which a model of width 16 learns


def test_losses_that_are_no_numbers_are_left_out(tmp_path):
    (tmp_path / "logs").mkdir()
    lines = [
        {"learning_rate": 1e-3, "loss": 1.0},
        {"learning_rate": 1e-2, "loss": None},
        {"learning_rate": 1e-1, "loss": 2.0},
    ]
    (tmp_path / "logs" / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert Curve.read(tmp_path).rates.tolist() == [1e-3, 1e-1]
