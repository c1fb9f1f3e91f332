"""Dropout is a function of (seed, epoch, document, position, module), and costs next to nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.objectives.masked_lm import MaskedLM
from pipeline.training.dropout import TAPE, Dropout, DroppedAttention, TokenKeys, kept, key_dropout, places, token_keys

KINDS = ["bert", "roberta", "modernbert"]


def keys_of(documents: int = 40, length: int = 50, epoch: int = 0) -> torch.Tensor:
    epochs = np.full(documents, epoch)
    return token_keys(7, epochs, np.arange(documents).astype(np.uint64), length)


def dropped(x: torch.Tensor, keys: torch.Tensor | None, place: int = 3, p: float = 0.1) -> torch.Tensor:
    seen = TokenKeys()
    seen.begin(keys)
    return Dropout(p, place, seen).train()(x)


def test_the_asked_share_is_dropped_and_the_mean_kept():
    out = dropped(torch.ones(40, 50, 64), keys_of())
    assert out.eq(0).float().mean() == pytest.approx(0.1, abs=0.002)
    assert out.mean() == pytest.approx(1, abs=0.002)
    assert out.unique().tolist() == pytest.approx([0, 1 / 0.9])


def test_the_tape_holds_exactly_the_asked_share():
    every = kept(torch.arange(TAPE), 1, 0.1, torch.float32)
    assert int((every == 0).sum()) == round(0.1 * TAPE)


def test_a_draw_depends_on_document_position_epoch_and_module_alone():
    x, keys = torch.ones(40, 50, 64), keys_of()
    whole = dropped(x, keys)
    assert torch.equal(dropped(x[5:9, :20], keys[5:9, :20]), whole[5:9, :20])
    for other in (dropped(x, keys, place=4), dropped(x, keys_of(epoch=1)), whole.roll(1, 0), whole.roll(1, 1)):
        alike = (other.eq(0) & whole.eq(0)).float().mean()
        assert alike == pytest.approx(0.01, abs=0.002)  # as two independent draws of one tenth


def test_places_are_spread_evenly_over_the_tape():
    found = torch.histc((places(keys_of(400, 100), 5) % 64).float(), 64)
    assert found.std() < 3 * found.mean().sqrt()


def test_the_gradient_goes_where_the_value_went():
    x = torch.randn(4, 6, 8, requires_grad=True)
    out = dropped(x, keys_of(4, 6), p=0.5)
    out.sum().backward()
    torch.testing.assert_close(x.grad * x.detach(), out.detach())


def test_nothing_is_dropped_in_evaluation_and_torch_draws_where_there_are_no_keys():
    x = torch.ones(4, 6, 8)
    assert torch.equal(Dropout(0.5, 0, TokenKeys()).eval()(x), x)
    torch.manual_seed(0)
    wanted = nn.functional.dropout(x, 0.5)
    torch.manual_seed(0)
    assert torch.equal(dropped(x, None, p=0.5), wanted)


@pytest.mark.parametrize("padded", [False, True])
def test_attention_with_dropout_is_its_formula(padded):
    q, k, v = (torch.randn(3, 2, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    seen = (torch.arange(5) < torch.tensor([[5], [3], [4]]))[:, None, None] if padded else None
    rows = places(torch.randint(-(2**62), 2**62, (3, 2, 5)), 1)
    scores = q @ k.transpose(-1, -2)
    shares = (scores if seen is None else scores.masked_fill(~seen, -1e300)).softmax(-1)
    wanted = (shares * kept(rows, 5, 0.3, torch.float64)) @ v
    weights = torch.randn_like(wanted)
    gradients = torch.autograd.grad((wanted * weights).sum(), (q, k, v))
    found = DroppedAttention.apply(q, k, v, seen, rows, 0.3)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), (q, k, v)), gradients)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_with_dropout_does_not_depend_on_what_else_is_in_the_batch(new_model, masked_batches, kind):
    objective = MaskedLM(new_model(kind, dropout=0.3)).train()
    indices = np.arange(10)

    @torch.no_grad()
    def loss(some: np.ndarray) -> float:
        epochs = np.zeros_like(some)
        batch = masked_batches.batch(some, epochs)
        keys = token_keys(0, epochs, masked_batches.keys(some), batch["labels"].shape[1])
        return float(objective(**objective.arranged({**batch, "token_keys": keys})))

    whole = loss(indices)
    assert sum(loss(indices[i : i + 3]) for i in range(0, 10, 3)) == pytest.approx(whole, rel=1e-5)
    assert loss(indices[::-1]) == pytest.approx(whole, rel=1e-5)
    objective.eval()
    assert loss(indices) != pytest.approx(whole, rel=1e-4)


def test_a_model_keeps_its_weights_and_their_names(new_model):
    model = new_model()
    before = model.state_dict()
    key_dropout(model)
    assert model.state_dict().keys() == before.keys()
    assert not any(type(module) is nn.Dropout for module in model.modules())
