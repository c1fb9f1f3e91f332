"""Probabilities and how often they come true."""

import numpy as np
import pytest
from scipy.special import expit

from pipeline.calibration import Bin, Calibration, calibration_error, reliability


def two(logit: np.ndarray) -> np.ndarray:
    """float32 [N, 2] of a difference of logits [N]."""
    return np.stack([expit(-logit), expit(logit)], -1).astype(np.float32)


def test_scale_and_shift_are_found_again():
    draw = np.random.default_rng(0)
    logit = draw.normal(0, 3, 100_000)
    truth = draw.random(len(logit)) < expit(0.6 * logit - 1.2)
    found = Calibration.fit(two(logit), truth)
    assert (found.scale, found.shift) == (pytest.approx(0.6, abs=0.02), pytest.approx(-1.2, abs=0.03))
    before, after = (reliability(p[:, 1], truth) for p in (two(logit), found(two(logit))))
    assert calibration_error(after) < 1 and calibration_error(before) > 5


def test_scale_one_and_shift_zero_change_nothing_however_sure():
    logit = np.array([-80.0, -3.0, 0.0, 5.0, 80.0])
    np.testing.assert_allclose(Calibration(1, 0)(two(logit)), two(logit), rtol=1e-5)


def test_what_is_told_apart_without_a_fault_has_a_finite_scale():
    logit = np.array([-2.0, -1.0, 1.0, 2.0])
    assert 0 < Calibration.fit(two(logit), logit > 0).scale < 10


def test_calibration_is_kept_beside_the_model(tmp_path):
    assert Calibration.load(tmp_path) is None
    Calibration(0.5, -1.0).save(tmp_path)
    assert Calibration.load(tmp_path) == Calibration(0.5, -1.0)


def test_bins_count_predictions_of_a_tenth_and_the_error_weighs_them():
    predicted = np.array([0.0, 0.02, 0.55, 0.59, 0.51, 1.0])
    truth = np.array([False, False, True, False, True, True])
    bins = reliability(predicted, truth)
    assert bins == [Bin(pytest.approx(0.01), 0.0, 2), Bin(pytest.approx(0.55), pytest.approx(2 / 3), 3), Bin(1, 1, 1)]
    assert calibration_error(bins) == pytest.approx(100 * (2 * 0.01 + 3 * (2 / 3 - 0.55)) / 6)
