"""Layers set back, dropout as told, weights mixed with what they were."""

import numpy as np
import pytest
import torch
from technique_toys import CONFIG, toy_batches, toy_classifier
from torch import nn
from torch.nn.functional import linear

from pipeline.draws import MIX, uniform
from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.stabilisers import Mixout, StabiliserConfig, reinitialise_top, set_dropout
from pipeline.objectives.cross_entropy import summed_cross_entropy as cross_entropy
from pipeline.training.trainer import train

KINDS = ["bert", "modernbert"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_top_layers_are_set_back_and_by_their_seed(kind):
    before, model, same, other = (toy_classifier(kind, layers=3) for _ in range(4))
    fresh = [reinitialise_top(m, 2, seed) for m, seed in ((model, 1), (same, 1), (other, 2))]
    layer = "bert.encoder.layer." if kind == "bert" else "model.layers."
    matrices = {n for n, p in model.named_parameters() if p.dim() > 1 and n.startswith((f"{layer}1", f"{layer}2"))}
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, dict(before.named_parameters())[n])}
    assert changed == matrices <= {n for n, p in model.named_parameters() if p in fresh[0]}
    weights = [dict(m.named_parameters()) for m in (model, same, other)]
    for name in matrices:
        assert torch.equal(weights[0][name], weights[1][name]) and not torch.equal(weights[0][name], weights[2][name])
        assert weights[0][name].std().item() == pytest.approx(0.2, rel=0.2)  # initializer_range


def test_two_layers_set_back_are_not_alike():
    model = toy_classifier()
    reinitialise_top(model, 2, 1)
    one, other = (layer.output.dense.weight for layer in model.bert.encoder.layer)
    assert not torch.equal(one, other)


def test_more_layers_than_there_are_cannot_be_set_back():
    with pytest.raises(ValueError, match="reinit_layers = 3, but the model has 2 layers"):
        reinitialise_top(toy_classifier(), 3, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_without_dropout_a_model_in_training_says_the_same_twice(kind, new_model, sequences):
    model = new_model(kind, dropout=0.5).train()
    ids = torch.arange(2, 14)[None].repeat(2, 1)
    assert not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
    set_dropout(model, 0.0)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)


def mixed(kind: str, p: float, seed: int = 7):
    model = toy_classifier(kind)
    return model, Mixout(model, p, seed)


def move(model: nn.Module) -> None:
    """As if it had been trained."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p))


@pytest.mark.parametrize("kind", KINDS)
def test_a_mixed_weight_is_its_formula_in_the_encoder_and_plain_in_the_head(kind):
    before, (model, mixout) = toy_classifier(kind), mixed(kind, 0.3)
    move(model)
    plain = {name: p.detach().clone() for name, p in model.eval().named_parameters()}
    mixout.begin(5, 0.0)
    model.train()
    linears = [n for n, m in before.base_model.named_modules() if isinstance(m, nn.Linear) and "pooler" not in n]
    assert len(linears) == len(mixout.layers) > 6
    for number, name in enumerate(linears):
        layer, pretrained = model.base_model.get_submodule(name), before.base_model.get_submodule(name).weight
        w = layer.parametrizations.weight.original
        kept = torch.from_numpy(uniform(7, MIX, 5, number, np.arange(w.shape[1])) >= 0.3).float()
        wanted = (kept * w + (1 - kept) * pretrained - 0.3 * pretrained) / 0.7
        torch.testing.assert_close(layer.weight, wanted)
        assert torch.equal(layer.eval().weight, w)
    for name, p in model.named_parameters():
        if "parametrizations" not in name:
            assert torch.equal(p, plain[name])


def test_of_the_inputs_a_share_is_mixed_and_the_mean_is_the_weight():
    model, mixout = mixed("bert", 0.3)
    move(model)
    layer, total, kept = mixout.layers[0], 0.0, 0.0
    for step in range(400):
        mixout.begin(step, 0.0)
        total, kept = total + layer.train().weight.detach() / 400, kept + mixout.mixtures[0].kept.mean() / 400
    assert kept.item() == pytest.approx(0.7, abs=0.02)
    assert (total - layer.parametrizations.weight.original).abs().max() < 0.3  # of differences around 1


def test_mixing_with_zero_is_dropout_of_inputs():
    layer = nn.Linear(6, 4, bias=False)
    _, mixout = mixed("bert", 0.5)
    mixture = mixout.mixtures[0]
    mixture.pretrained = torch.zeros(4, 6)
    mixture.kept = torch.tensor([1.0, 0, 1, 1, 0, 0])
    x = torch.randn(3, 6)
    torch.testing.assert_close(linear(x, mixture.train()(layer.weight)), linear(x * mixture.kept / 0.5, layer.weight))


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_that_are_saved_are_plain(kind, sequences, tmp_path):
    model, mixout = mixed(kind, 0.5)
    train(Learning(model, cross_entropy), toy_batches(sequences), CONFIG, "toy", companions=[mixout])
    trained = [layer.parametrizations.weight.original.detach().clone() for layer in mixout.layers]
    mixout.remove()
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path)
    assert set(again.state_dict()) == set(toy_classifier(kind).state_dict())
    assert all(torch.equal(layer.weight, w) for layer, w in zip(mixout.layers, trained, strict=True))
    assert all(torch.equal(p, dict(model.named_parameters())[n]) for n, p in again.named_parameters())


def test_what_was_set_back_is_not_mixed():
    model = toy_classifier()
    fresh = reinitialise_top(model, 1, 1)
    mixout = Mixout(model, 0.5, 7, fresh)
    top = set(model.bert.encoder.layer[1].modules())
    assert len(mixout.layers) == 6 and not top & set(mixout.layers)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [({"mixout": 1.0}, "below 1"), ({"dropout": -0.5}, "dropout"), ({"reinit_layers": -1}, "negative"),
     ({"mixout": 0.5, "dropout": 0.1}, "takes the place of dropout")],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        StabiliserConfig(**settings)
