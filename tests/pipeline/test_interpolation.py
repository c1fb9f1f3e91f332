"""Between two checkpoints: every weight on the straight line, the ends to the bit."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.interpolation import Between, front
from pipeline.run.errors import InputError

LOSSES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_every_weight_is_on_the_line_and_the_ends_are_exact(new_model, kind):
    one, other = (dict(new_model(kind, seed=seed).named_parameters()) for seed in (0, 1))
    between = Between(new_model(kind, seed=0), new_model(kind, seed=1))
    for alpha in (0.3, 1.0, 0.0):  # in any order
        for name, p in between.at(alpha).named_parameters():
            wanted = (1 - alpha) * one[name] + alpha * other[name]
            assert torch.equal(p, wanted) if alpha in (0, 1) else torch.allclose(p, wanted, atol=1e-6)


def test_tied_weights_stay_tied_and_are_moved_once(new_model):
    between = Between(new_model(seed=0), new_model(seed=1))
    ends = [new_model(seed=seed).get_input_embeddings().weight for seed in (0, 1)]
    model = between.at(0.5)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert torch.allclose(model.get_input_embeddings().weight, (ends[0] + ends[1]) / 2)


def test_half_precision_is_mixed_in_full(new_model):
    one, other = (new_model(seed=seed).to(torch.bfloat16) for seed in (0, 1))
    wanted = {n: ((p.float() + q.float()) / 2).to(torch.bfloat16)
              for (n, p), q in zip(one.named_parameters(), other.parameters(), strict=True)}  # fmt: skip
    assert all(torch.equal(p, wanted[n]) for n, p in Between(one, other).at(0.5).named_parameters())


def test_checkpoints_of_different_models_are_refused_with_the_weight_that_tells(new_model):
    with pytest.raises(InputError, match=r"is in one alone.*interpolate an adapted one with the base"):
        Between(new_model("bert"), new_model("roberta"))
    larger = new_model()
    larger.resize_token_embeddings(50)
    with pytest.raises(InputError, match=r"bias is \[46\] and \[50\]|weight is \[46, 16\] and \[50, 16\]"):
        Between(new_model(), larger)


@given(LOSSES)
def test_on_the_front_is_what_nothing_beats(points):
    for point, on in zip(points, front(points), strict=True):
        worse = [
            other for other in points if all(a <= b for a, b in zip(other, point, strict=True)) and other != point
        ]
        assert on == (not worse)
