"""Attacks against loops over single sequences, noise against its definition."""

import numpy as np
import pytest
import torch
from technique_toys import toy_batches, toy_classifier

from pipeline.finetuning.adversarial import Adversarial, RobustnessConfig, cube, norms, robust, uniform
from pipeline.finetuning.classifier import Learning
from pipeline.objectives.cross_entropy import summed_cross_entropy as cross_entropy
from pipeline.training.dropout import token_keys


@pytest.fixture
def rows(sequences):
    """Six sequences of different lengths, with keys."""
    batches, chosen = toy_batches(sequences), np.arange(6)
    batch = batches.batch(chosen)
    length = batch["input_ids"].shape[1]
    return batch | {"token_keys": token_keys(3, np.zeros(6, dtype=int), batches.keys(chosen), length)}


def gradients(model) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def start_of(config: RobustnessConfig, rows, width: int = 16) -> torch.Tensor:
    """Where the objective starts, seen by a hook."""
    objective = Adversarial(Learning(toy_classifier(dropout=0.0), cross_entropy), config)
    return objective._start(rows)


def attacked_alone(model, config: RobustnessConfig, rows) -> torch.Tensor:
    """The loss by the book: every sequence alone, without padding, its embeddings handed to the model."""
    total, starts = 0.0, start_of(config, rows)
    for i, inside in enumerate(rows["attention_mask"].bool()):
        words = model.get_input_embeddings()(rows["input_ids"][i : i + 1, inside])
        loss_at = lambda change, i=i, words=words: cross_entropy(
            model(inputs_embeds=words + change).logits, rows["labels"][i : i + 1]
        )
        change, losses = starts[i : i + 1, inside].clone(), []
        steps = {"fgm": 1, "pgd": config.steps, "freelb": config.steps - 1}[config.attack]
        for _ in range(steps):
            change.requires_grad_()
            losses.append(loss_at(change))
            (gradient,) = torch.autograd.grad(losses[-1], change, retain_graph=True)
            size = config.radius if config.attack == "fgm" else config.step_size
            change = change.detach() + size * gradient / gradient.norm()
            if config.attack != "fgm" and config.radius and change.norm() > config.radius:
                change = change * config.radius / change.norm()
        losses.append(loss_at(change))
        if config.attack == "freelb":
            total = total + sum(losses) / config.steps
        else:
            total = total + (1 - config.share) * losses[0] + config.share * losses[-1]
    return total


@pytest.mark.parametrize(
    "config",
    [
        RobustnessConfig("fgm"),
        RobustnessConfig("fgm", radius=0.2, share=1.0),
        RobustnessConfig("pgd"),
        RobustnessConfig("pgd", radius=0.4, steps=4, share=0.3),
        RobustnessConfig("freelb", start=0.3),
        RobustnessConfig("freelb", radius=0.0, steps=2, start=0.0),
    ],
    ids=str,
)
def test_an_attack_is_its_loop_over_single_sequences(config, rows):
    model, other = toy_classifier(dropout=0.0).train(), toy_classifier(dropout=0.0).train()
    found = robust(Learning(model, cross_entropy), config)(**rows)
    wanted = attacked_alone(other, config, rows)
    found.backward()
    wanted.backward()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients(model), gradients(other), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_the_change_that_is_found_does_harm_within_its_radius_and_beside_padding(kind, rows):
    model, seen = toy_classifier(kind, dropout=0.0).train(), []
    inner = Learning(model, cross_entropy)
    objective = robust(inner, RobustnessConfig("pgd", radius=0.5, share=1.0))
    plain = inner(**rows)
    model.get_input_embeddings().register_forward_hook(lambda *_: seen.append(objective._shift.detach()))
    harmed = objective(**rows)
    assert harmed > plain + 0.1
    assert len(seen) == 4 and (norms(seen[-1]) <= 0.5 + 1e-5).all() and norms(seen[-1]).min() > 0.4
    assert (seen[-1][rows["attention_mask"] == 0] == 0).all()


def test_dropout_drops_the_same_at_every_point_though_torch_draws_it(rows):
    model = toy_classifier().train()
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.3  # over padded sequences torch draws
    inner = Learning(model, cross_entropy)
    torch.manual_seed(5)
    plain = inner(**rows)
    torch.manual_seed(5)
    torch.testing.assert_close(robust(inner, RobustnessConfig("pgd", radius=1e-7))(**rows), plain)


@pytest.mark.parametrize("settings", [{"attack": "fgm"}, {"attack": "freelb", "noise": 5.0}])
def test_in_bf16_it_is_near_the_one_in_fp32(settings, rows):
    exact, rough = toy_classifier(dropout=0.0).train(), toy_classifier(dropout=0.0).train()
    wanted = robust(Learning(exact, cross_entropy), RobustnessConfig(**settings))(**rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = robust(Learning(rough, cross_entropy), RobustnessConfig(**settings))(**rows)
    wanted.backward()
    found.backward()
    assert found.dtype == torch.float32 and found.item() == pytest.approx(wanted.item(), rel=0.05)
    one, other = (torch.cat([g.flatten() for g in gradients(m).values()]) for m in (exact, rough))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.95


def test_where_there_is_no_gradient_there_is_no_step(rows):
    model = toy_classifier(dropout=0.0).train()
    torch.nn.init.zeros_(model.classifier.weight)
    inner = Learning(model, cross_entropy)
    torch.testing.assert_close(robust(inner, RobustnessConfig("fgm"))(**rows), inner(**rows))


@pytest.mark.parametrize("settings", [{"attack": "fgm"}, {"attack": "freelb"}, {"noise": 5.0}])
def test_nothing_is_changed_in_evaluation(settings, rows):
    inner = Learning(toy_classifier().eval(), cross_entropy)
    with torch.no_grad():
        assert torch.equal(robust(inner, RobustnessConfig(**settings)).eval()(**rows), inner(**rows))


def test_noise_is_uniform_and_scaled_by_the_tokens_of_a_sequence(rows):
    inside, keys = rows["attention_mask"], rows["token_keys"]
    noise = cube(keys, inside, 16)
    bound = (inside.sum(1)[:, None, None] * 16) ** -0.5
    assert (noise.abs() <= bound).all() and (noise[inside == 0] == 0).all()
    assert (noise.abs().amax((1, 2)) > 0.9 * bound.flatten()).all()


def test_draws_are_uniform_and_another_one_for_every_token_and_channel():
    keys = token_keys(1, np.zeros(50, dtype=int), np.arange(50).astype(np.uint64), 40)
    drawn = uniform(keys, 64)
    counts = torch.histc(drawn, 50, -1, 1)
    assert drawn.min() >= -1 and drawn.max() < 1 and counts.std() < 3 * counts.mean().sqrt()
    for other in (drawn.roll(1, 0), drawn.roll(1, 1), drawn.roll(1, 2), uniform(keys ^ 1, 64)):
        assert abs(torch.corrcoef(torch.stack([drawn.flatten(), other.flatten()]))[0, 1]) < 0.01


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"steps": 0}, "steps"),
        ({"share": 0.0}, "share"),
        ({"attack": "fgm", "radius": 0.0}, "no step"),
        ({"noise": -1.0}, "noise"),
    ],
)
def test_settings_that_attack_nothing_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        RobustnessConfig(**settings)
