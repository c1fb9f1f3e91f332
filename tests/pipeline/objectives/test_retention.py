"""What holds a pretraining to the weights it began with: exact, whatever is split, killed or divided."""

from dataclasses import replace

import pytest
import torch
from launcher import in_shards, launched
from safetensors.torch import load_file, save_file
from test_promises import CONFIG, Dying, Killed, apart, weights
from torch import nn

from pipeline.batches import MaskedBatches
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.processes import rank
from pipeline.training.lora import LoraConfig, add_adapters, merge_adapters
from pipeline.training.optimisers import RetentionConfig, retaining
from pipeline.training.trainer import train

WAYS = {
    "plain": (RetentionConfig(), 0),
    "ema": (RetentionConfig(averaging="ema", average_decay=0.5), 0),
    "prior and mean": (RetentionConfig(averaging="mean", prior_decay=20.0), 0),
    "lora": (RetentionConfig(), 4),
}
"""Name -> what is retained, and the rank of adapters."""
HELD = [name for name in WAYS if name != "plain"]


def learn(new_model, name: str, batches: MaskedBatches, config=CONFIG, folder=None, merge=True) -> dict:
    """The weights at the end."""
    model, (retention, rank_of) = new_model(), WAYS[name]
    if rank_of:
        add_adapters(model.base_model, LoraConfig(rank_of, dropout=0.1), 1)
    train(MaskedLM(model), batches, config, "toy", folder=folder, optimizer=retaining(retention, config))
    if rank_of and merge:
        merge_adapters(model.base_model)
    return weights(model)


def far(found: dict, new_model) -> float:
    """How far all weights are from those at the beginning."""
    start = weights(new_model())
    return float(sum(((found[name] - start[name]) ** 2).sum() for name in start)) ** 0.5


@pytest.mark.parametrize("name", HELD)
def test_what_is_learned_does_not_depend_on_splits_kills_or_processes(new_model, masked_batches, tmp_path, name):
    config = replace(CONFIG, save_steps=2)
    unbroken = learn(new_model, name, masked_batches, config, tmp_path / "unbroken")
    with pytest.raises(Killed):
        learn(new_model, name, Dying(masked_batches, 5), config, tmp_path / "broken")
    assert apart(learn(new_model, name, masked_batches, config, tmp_path / "broken"), unbroken) == 0
    split = replace(CONFIG, per_device_batch_size=3)
    assert apart(learn(new_model, name, masked_batches, split), unbroken) < 1e-4
    work = lambda: save_file(learn(new_model, name, masked_batches), tmp_path / f"weights-{rank()}")
    for launch in (launched, in_shards):
        left = launch(work, tmp_path)
        assert [one.code for one in left] == [0, 0], left
        assert apart(load_file(tmp_path / "weights-0"), unbroken) < 1e-4


def test_the_prior_keeps_a_model_near_and_no_retention_is_plain_adamw(new_model, masked_batches):
    plain = learn(new_model, "plain", masked_batches)
    assert far(learn(new_model, "prior and mean", masked_batches), new_model) < 0.9 * far(plain, new_model)
    assert retaining(RetentionConfig(), CONFIG) is None


def test_a_weight_without_gradient_goes_back_to_what_it_was_by_the_formula(new_model):
    """w - lr x decay x (w - first), where the gradient is 0 and moments are."""
    objective = MaskedLM(new_model())
    optimizer = retaining(RetentionConfig(prior_decay=2.0), CONFIG)(objective)
    parameter = objective.model.base_model.encoder.layer[0].output.dense.weight
    first = parameter.detach().clone()

    def step() -> None:
        parameter.grad = torch.zeros_like(parameter)
        for group in optimizer.param_groups:
            group["lr"], group["elapsed"] = 0.1, 0.0
        optimizer.step()

    step()
    moved = first + 0.5
    with torch.no_grad():
        parameter.copy_(moved)
    for _ in range(3):
        step()
    torch.testing.assert_close(parameter.detach(), first + (1 - 0.1 * 2.0) ** 3 * (moved - first))


def test_what_is_measured_and_kept_is_the_average(new_model, masked_batches):
    path, measured = [], []
    config = replace(CONFIG, evaluations=CONFIG.steps)
    value = lambda objective: objective.model.base_model.embeddings.LayerNorm.weight.detach().clone()
    for to, retention in ((path, RetentionConfig()), (measured, RetentionConfig(averaging="mean", average_from=0.0))):
        objective = MaskedLM(new_model(dropout=0.0))
        watch = lambda objective=objective, to=to: to.append(value(objective)) or {"loss": 0.0}
        train(objective, masked_batches, config, "toy", watch, optimizer=retaining(retention, config))
    wanted = [torch.stack(path[: i + 1]).mean(0) for i in range(CONFIG.steps)]
    torch.testing.assert_close(measured, wanted, rtol=0, atol=1e-5)
    assert torch.equal(value(objective), measured[-1])


def test_adapters_learn_beside_embeddings_that_stay_and_a_head_that_learns_what_is_its_own(new_model, masked_batches):
    before = weights(new_model())
    found = learn(new_model, "lora", masked_batches)
    moved = {name for name in before if not torch.equal(found[name], before[name])}
    linear = {f"{name}.weight" for name, module in new_model().bert.named_modules(prefix="bert")
              if isinstance(module, nn.Linear)}  # fmt: skip
    head = {f"cls.predictions.{name}" for name in ("bias", "transform.dense.weight", "transform.dense.bias",
            "transform.LayerNorm.weight", "transform.LayerNorm.bias")}  # fmt: skip
    assert found.keys() == before.keys() and moved == linear | head
