"""The learning rate in closed form, and what is decayed."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.run.errors import InputError
from pipeline.training.optim import adamw, rate_factor

MIDDLES = [(step + 0.5) / 10 for step in range(10)]
"""Where ten steps of equal size stand, by their middle."""


@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        ("linear", [1 - (x - 0.4) / 0.6 for x in MIDDLES[4:]]),
        ("cosine", [(1 + math.cos(math.pi * (x - 0.4) / 0.6)) / 2 for x in MIDDLES[4:]]),
        ("constant", [1.0] * 6),
        ("wsd", [1.0] * 4 + [1 - math.sqrt(0.25), 1 - math.sqrt(0.75)]),
    ],
)
def test_a_schedule_is_its_closed_form(schedule, after):
    rates = [rate_factor(schedule, x, 0.4, 0.2) for x in MIDDLES]
    assert rates == pytest.approx([x / 0.4 for x in MIDDLES[:4]] + after)


@given(
    st.sampled_from(["linear", "cosine", "constant", "wsd"]), st.integers(1, 500), st.floats(0, 1), st.floats(0.01, 1)
)
def test_every_step_learns_and_none_faster_than_the_peak(schedule, steps, warmup, decay):
    rates = [rate_factor(schedule, (step + 0.5) / steps, warmup, decay) for step in range(steps)]
    assert all(0 < rate <= 1 + 1e-9 for rate in rates)


def test_biases_and_norms_are_not_decayed(new_model):
    model = new_model()
    decayed, free = adamw(model, 1e-3, (0.9, 0.98), 1e-6, 0.01).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.01, 0.0)
    assert {names[id(p)] for p in free["params"]} == {
        n for n in names.values() if n.endswith("bias") or "LayerNorm" in n
    }


def test_betas_are_two(new_model):
    with pytest.raises(InputError, match="adam_betas"):
        adamw(new_model(), 1e-3, (0.9,), 1e-6, 0.01)
