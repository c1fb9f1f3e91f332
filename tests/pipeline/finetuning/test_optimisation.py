"""Learning rates of layers, decay to what was, averages and thawing, against loops in plain Python."""

import math
from dataclasses import replace

import pytest
import torch
from technique_toys import CONFIG, toy_batches, toy_classifier

from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.optimisation import (
    OptimisationConfig,
    depths_of,
    freeze_encoder,
    optimizer_of,
    parameter_groups,
    thawing_from_top,
)
from pipeline.finetuning.stabilisers import reinitialise_top
from pipeline.objectives.cross_entropy import summed_cross_entropy as cross_entropy
from pipeline.training.optim import averaged
from pipeline.training.trainer import train


@pytest.fixture
def batches(sequences):
    return toy_batches(sequences)


def rates(model, **settings) -> dict[str, float]:
    """The factor of the learning rate of every parameter by its name."""
    groups = parameter_groups(Learning(model, cross_entropy), OptimisationConfig(**settings), CONFIG, ())
    factor = {p: group["rate_factor"] for group in groups for p in group["params"]}
    return {name: factor[p] for name, p in model.named_parameters()}


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_the_top_layer_has_the_learning_rate_and_the_embeddings_the_lowest(kind):
    found = rates(toy_classifier(kind, layers=3), layer_decay=0.5)
    layer = "bert.encoder.layer." if kind == "bert" else "model.layers."
    for name, factor in found.items():
        if name.startswith(layer):
            assert factor == 0.5 ** (2 - int(name.removeprefix(layer)[0])), name
        else:
            assert factor == (0.125 if "embeddings" in name else 1.0), name


def test_the_head_has_a_learning_rate_of_its_own_and_the_pooler_belongs_to_it():
    found = rates(toy_classifier(), head_learning_rate=2 * CONFIG.learning_rate, layer_decay=0.5)
    assert {name for name, factor in found.items() if factor == pytest.approx(2)} == {
        "bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"
    }  # fmt: skip


def test_without_settings_there_are_the_two_groups_of_pretraining():
    model = toy_classifier()
    groups = parameter_groups(Learning(model, cross_entropy), OptimisationConfig(), CONFIG, ())
    assert sorted((g["rate_factor"], g["weight_decay"], g["prior_decay"]) for g in groups) == [(1, 0, 0), (1, 0.01, 0)]
    assert {p.dim() for g in groups if g["weight_decay"] == 0 for p in g["params"]} == {1}


def test_the_rate_of_a_step_is_that_of_its_group(batches):
    seen, model = {}, toy_classifier()
    make = optimizer_of(OptimisationConfig(layer_decay=0.5, head_learning_rate=9e-3), CONFIG)

    groups = lambda optimizer: optimizer.param_groups

    def watched(objective):
        optimizer = make(objective)
        rates = lambda groups: {group["rate_factor"]: group["lr"] for group in groups}
        optimizer.register_step_pre_hook(lambda o, *_: seen.update({groups(o)[0]["elapsed"]: rates(groups(o))}))
        return optimizer

    train(Learning(model, cross_entropy), batches, CONFIG, "toy", optimizer=watched)
    assert len(seen) == CONFIG.steps and len({step[1.0] for step in seen.values()}) == CONFIG.steps
    for step in seen.values():
        assert sorted(step) == pytest.approx([0.25, 0.5, 1.0, 3.0])
        assert all(lr == pytest.approx(factor * step[1.0]) for factor, lr in step.items())


def quadratic(config: OptimisationConfig, steps: int):
    """A toy classifier whose every weight went some steps on (w - 3)² / 2, its optimiser, and its weights by step."""
    model = toy_classifier()
    optimizer = optimizer_of(config, CONFIG)(Learning(model, cross_entropy))
    path = []
    for step in range(steps):
        optimizer.zero_grad()
        sum(((p - 3) ** 2).sum() / 2 for p in model.parameters()).backward()
        for group in optimizer.param_groups:
            group["elapsed"] = (step + 0.5) / steps
        optimizer.step()
        path.append({name: p.detach().clone() for name, p in model.named_parameters()})
    return model, optimizer, path


def by_hand(w: float, steps: int, debias: bool, decay: float, prior_decay: float) -> list[float]:
    """The path of one weight under Adam on (w - 3)² / 2."""
    lr, (b1, b2), eps = CONFIG.learning_rate, CONFIG.adam_betas, CONFIG.adam_epsilon
    mean, square, path, prior = 0.0, 0.0, [], w
    for t in range(1, steps + 1):
        gradient = w - 3
        mean, square = b1 * mean + (1 - b1) * gradient, b2 * square + (1 - b2) * gradient**2
        m, v = (mean / (1 - b1**t), square / (1 - b2**t)) if debias else (mean, square)
        w = w - lr * prior_decay * (w - prior)
        w = w - lr * decay * w - lr * m / (math.sqrt(v) + eps)
        path.append(w)
    return path


LAYER, HEAD = "bert.encoder.layer.0.output.dense.weight", "classifier.weight"
NORM = "bert.encoder.layer.0.output.LayerNorm.weight"


@pytest.mark.parametrize("optimizer", ["adamw", "bertadam"])
@pytest.mark.parametrize("prior_decay", [0.0, 40.0])
def test_a_weight_goes_the_way_that_is_computed_by_hand(optimizer, prior_decay):
    start = dict(toy_classifier().named_parameters())
    _, _, path = quadratic(OptimisationConfig(optimizer=optimizer, prior_decay=prior_decay), 10)
    decays = {
        LAYER: (0.0 if prior_decay else CONFIG.weight_decay, prior_decay),
        NORM: (0.0, prior_decay),
        HEAD: (CONFIG.weight_decay, 0.0),  # it has no pre-trained weights
    }
    for name, (decay, prior) in decays.items():
        wanted = by_hand(start[name].flatten()[0].item(), 10, optimizer == "adamw", decay, prior)
        assert [float(step[name].flatten()[0]) for step in path] == pytest.approx(wanted, abs=2e-5), name


def test_the_first_step_of_bertadam_is_three_times_as_long():
    """(1 - 0.9) / sqrt(1 - 0.999)."""
    steps = {}
    for optimizer in ("adamw", "bertadam"):
        _, _, path = quadratic(OptimisationConfig(optimizer=optimizer), 1)
        steps[optimizer] = path[0][HEAD] - dict(toy_classifier().named_parameters())[HEAD]
    found = (steps["bertadam"] / steps["adamw"]).median().item()
    assert found == pytest.approx(3.16, rel=0.01)


def test_a_layer_set_back_has_no_prior_to_decay_to():
    model = toy_classifier()
    fresh = reinitialise_top(model, 1, seed=3)
    config = OptimisationConfig(prior_decay=0.1)
    groups = parameter_groups(Learning(model, cross_entropy), config, CONFIG, fresh)
    with_prior = {p for group in groups if group["prior_decay"] for p in group["params"]}
    names = {name for name, p in model.named_parameters() if p in with_prior}
    assert names == {
        n for n in dict(model.named_parameters()) if n.startswith(("bert.embeddings", "bert.encoder.layer.0"))
    }


@pytest.mark.parametrize("optimizer", ["adamw", "bertadam"])
def test_the_mean_is_that_of_the_last_steps(optimizer):
    config = OptimisationConfig(optimizer=optimizer, averaging="mean", average_from=0.5)
    model, optimizer, path = quadratic(config, 10)
    wanted = torch.stack([step[LAYER] for step in path[5:]]).mean(0)
    with averaged(optimizer):
        torch.testing.assert_close(dict(model.named_parameters())[LAYER].detach(), wanted)
    torch.testing.assert_close(dict(model.named_parameters())[LAYER].detach(), path[-1][LAYER])


def test_an_ema_is_a_mean_until_it_forgets():
    model, optimizer, path = quadratic(OptimisationConfig(averaging="ema", average_decay=0.75), 10)
    average = path[0][LAYER]
    for number, step in enumerate(path[1:], 2):
        average = average + max(1 / number, 0.25) * (step[LAYER] - average)
    with averaged(optimizer):
        torch.testing.assert_close(dict(model.named_parameters())[LAYER].detach(), average)


def test_what_is_measured_and_kept_is_the_average(batches):
    model, measured = toy_classifier(dropout=0.0), []
    plain, path = toy_classifier(dropout=0.0), []
    value = lambda m: m.classifier.weight.detach().clone()
    watch = lambda m, to: lambda: to.append(value(m)) or {"accuracy": -len(to)}
    config = OptimisationConfig(averaging="mean", average_from=0.0)
    each = {"label": "toy", "config": replace(CONFIG, evaluations=8), "batches": batches}
    train(Learning(plain, cross_entropy), evaluate=watch(plain, path), **each)
    train(
        Learning(model, cross_entropy),
        evaluate=watch(model, measured),
        optimizer=optimizer_of(config, CONFIG),
        best="accuracy",
        **each,
    )
    wanted = [torch.stack(path[: i + 1]).mean(0) for i in range(8)]
    torch.testing.assert_close(measured, wanted, rtol=0, atol=1e-5)
    assert torch.equal(value(model), measured[0])  # the first was the best


def test_an_encoder_thaws_from_the_top(batches):
    model, moved = toy_classifier(dropout=0.0), []
    depths, thawing = depths_of(model), thawing_from_top(model, 0.75)
    before = [p.detach().clone() for p in depths]

    def measure() -> dict[str, float]:
        changed = {depth for (p, depth), old in zip(depths.items(), before, strict=True) if not torch.equal(p, old)}
        moved.append(min(changed))
        return {"loss": 0.0}

    config = replace(CONFIG, evaluations=8)
    train(Learning(model, cross_entropy), batches, config, "toy", measure, companions=[thawing])
    assert moved == [3, 3, 2, 2, 1, 1, 0, 0]  # of 8 steps: the head alone, then a part more every quarter


def test_a_frozen_encoder_stays_as_it_was_and_its_pooler_learns(batches):
    model, before = toy_classifier(), dict(toy_classifier().named_parameters())
    freeze_encoder(model)
    train(Learning(model, cross_entropy), batches, CONFIG, "toy", optimizer=optimizer_of(OptimisationConfig(), CONFIG))
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {f"{part}.{kind}" for part in ("bert.pooler.dense", "classifier") for kind in ("weight", "bias")}


@pytest.mark.parametrize("settings", [{"layer_decay": 0.0}, {"prior_decay": -1.0}, {"unfreeze_ratio": 2.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        OptimisationConfig(**settings)


def test_a_frozen_encoder_leaves_nothing_to_decay_or_thaw():
    with pytest.raises(ValueError, match="frozen leaves layer_decay, prior_decay nothing to do"):
        OptimisationConfig(frozen=True, layer_decay=0.9, prior_decay=0.1)


def test_a_training_ends_when_it_has_not_become_better_for_a_while(batches):
    scores = iter([1.0, 3.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0])
    config = replace(CONFIG, evaluations=8)
    found = train(
        Learning(toy_classifier(), cross_entropy),
        batches,
        config,
        "toy",
        lambda: {"f1": next(scores)},
        best="f1",
        patience=2,
    )
    assert (found.steps, found.evaluation) == (4, {"f1": 3.0})


def test_of_a_loss_the_lowest_is_the_best(batches):
    scores = iter([3.0, 1.0, 2.0, 4.0])
    config = replace(CONFIG, evaluations=4)
    found = train(
        Learning(toy_classifier(), cross_entropy), batches, config, "toy", lambda: {"loss": next(scores)}, best="loss"
    )
    assert found.evaluation == {"loss": 1.0}
