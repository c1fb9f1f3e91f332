"""Adapters learn beside weights that stay, and leave a plain model."""

import pytest
import torch
from launcher import in_shards
from technique_toys import CONFIG, Technique, toy_batches, toy_classifier

from pipeline.finetuning.classifier import Learning, encoder_of, head_of
from pipeline.finetuning.optimisation import OptimisationConfig, parameter_groups
from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.training.lora import LoraConfig, add_adapters, merge_adapters
from pipeline.training.trainer import train

KINDS = ["bert", "modernbert"]


def adapted(kind: str):
    model = toy_classifier(kind)
    add_adapters(encoder_of(model), LoraConfig(rank=4, dropout=0.1), 1, whole=head_of(model))
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_and_head_learn_and_merging_changes_nothing_but_the_names(kind, sequences):
    before, model, batches = toy_classifier(kind), adapted(kind), toy_batches(sequences)
    train(Learning(model, summed_cross_entropy), batches, CONFIG, "toy")
    inputs = {k: v for k, v in batches.batch(range(6)).items() if k != "labels"}
    with torch.no_grad():
        wanted = model.eval()(**inputs).logits
        merge_adapters(encoder_of(model))
        torch.testing.assert_close(model(**inputs).logits, wanted)
    assert set(model.state_dict()) == set(before.state_dict())
    assert all(p.requires_grad for p in model.parameters())
    moved = {n for n, p in model.named_parameters() if not torch.equal(p, dict(before.named_parameters())[n])}
    layers = {"bert": "bert.encoder.layer", "modernbert": "model.layers"}[kind]
    assert {n for n in moved if n.startswith(layers)} == {
        n for n, p in before.named_parameters() if n.startswith(layers) and p.dim() == 2
    }
    assert not [n for n in moved if "embeddings" in n]
    assert [n for n in moved if n.startswith("classifier")]


def test_a_pooler_learns_whole():
    assert all(p.requires_grad for p in adapted("bert").bert.pooler.parameters())


def test_adapters_have_the_learning_rate_of_their_layer():
    model = adapted("bert")
    config = OptimisationConfig(layer_decay=0.5)
    groups = parameter_groups(Learning(model, summed_cross_entropy), config, CONFIG, ())
    factor = {p: group["rate_factor"] for group in groups for p in group["params"]}
    found = {n: factor[p] for n, p in model.named_parameters() if "lora_" in n}
    assert found and all(value == (0.5 if "layer.0" in name else 1.0) for name, value in found.items())


def test_what_is_learned_does_not_depend_on_splits_kills_or_processes(sequences, tmp_path):
    technique = Technique(lambda model: (Learning(model, summed_cross_entropy), {}), lambda: adapted("bert"))
    batches = toy_batches(sequences)
    assert technique.holds_when_split(batches) < 1e-4
    assert technique.holds_when_killed(batches, tmp_path)
    assert technique.holds_for_two(batches, tmp_path) < 1e-4
    assert technique.holds_for_two(batches, tmp_path, in_shards) < 1e-4


@pytest.mark.parametrize("settings", [{"rank": -1}, {"alpha": 0.0}, {"dropout": 1.0}])
def test_settings_that_adapt_nothing_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        LoraConfig(**settings)
