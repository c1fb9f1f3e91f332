"""What may be set, and how it changes as tokens are read."""

import pytest

from pipeline.masking.config import MaskingConfig


@pytest.mark.parametrize(
    "settings",
    [{"mask_rate": 0}, {"mask_rate": 1.0}, {"selective_share": 1.5}, {"mask_share": 0.95}, {"random_share": -0.1}],
)
def test_shares_that_are_none_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        MaskingConfig(**settings)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.3] * 6),
        ("linear", [0.3, 0.27, 0.225, 0.18, 0.165, 0.15]),
        ("steps", [0.3, 0.2625, 0.225, 0.1875, 0.15, 0.15]),
    ],
)
def test_the_mask_rate_goes_down_as_tokens_are_read(schedule, rates):
    config = MaskingConfig("random", 0.3, mask_rate_schedule=schedule, final_mask_rate=0.15)
    found = [config.at(elapsed).mask_rate for elapsed in (0, 0.2, 0.5, 0.79 if schedule == "steps" else 0.8, 0.9, 1)]
    assert found == pytest.approx(rates)
