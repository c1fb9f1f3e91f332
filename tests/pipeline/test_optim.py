"""The learning rate in closed form, and what is decayed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.optim import adamw, learning_rate_at
from pipeline.run.errors import InputError


def test_the_rate_climbs_to_its_peak_and_falls_in_straight_lines():
    rates = [learning_rate_at(step, 10, 1.0, 0.4) for step in range(10)]
    assert rates == pytest.approx([1 / 4, 2 / 4, 3 / 4, 4 / 4, 6 / 6, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])


@given(st.integers(1, 500), st.floats(0, 1), st.floats(1e-6, 1))
def test_every_step_learns_and_none_faster_than_the_peak(steps, ratio, peak):
    rates = [learning_rate_at(step, steps, peak, ratio) for step in range(steps)]
    assert all(0 < rate <= peak * (1 + 1e-9) for rate in rates) and max(rates) == pytest.approx(peak)


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
