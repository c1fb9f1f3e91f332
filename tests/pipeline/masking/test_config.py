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


@pytest.mark.parametrize(
    ("schedule", "shares"), [("constant", [0.2, 0.2, 0.2]), ("linear", [0.2, 0.5, 0.8]), ("steps", [0.2, 0.5, 0.8])]
)
def test_the_selective_share_changes_as_tokens_are_read_by_a_schedule_of_its_own(schedule, shares):
    config = MaskingConfig(selective_share=0.2, selective_share_schedule=schedule, final_selective_share=0.8)
    assert [config.at(elapsed).selective_share for elapsed in (0, 0.5, 1)] == pytest.approx(shares)
    assert {config.at(elapsed).mask_rate for elapsed in (0, 0.5, 1)} == {0.15}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"threshold": 0}, "importance 0 is never chosen"),
        ({"temperature": 0.0}, "set select = top"),
        ({"policy": "random", "unit": "ngram"}, "policy = random takes tokens"),
        ({"policy": "whole_word", "unit": "token"}, "set policy = random"),
        ({"policy": "whole_word", "control": True}, "whole_word is random already"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        MaskingConfig(**wrong)
