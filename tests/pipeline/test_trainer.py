"""Numbers that must not move: however a batch is split, whenever a run is killed, the same is learned."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import WORDS
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from pipeline.batches import IGNORE
from pipeline.draws import visits
from pipeline.objectives import MaskedLM
from pipeline.optim import learning_rate_at
from pipeline.run.errors import InputError
from pipeline.trainer import STOP_AFTER, TrainerConfig, evaluation_steps, train

CONFIG = TrainerConfig(steps=8, batch_size=8, per_device_batch_size=8, learning_rate=3e-3, warmup_ratio=0.25)


class Killed(RuntimeError):
    """As good as a power cut."""


class DyingBatches:
    """Batches that end the run when batch number `last` is asked for."""

    def __init__(self, batches, last: int) -> None:
        self.batches, self.lengths, self.left = batches, batches.lengths, last

    def batch(self, indices, epochs):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return self.batches.batch(indices, epochs)


class SpoiledLoss(MaskedLM):
    """An objective whose loss is not a number in the given forward passes."""

    def __init__(self, model, spoiled) -> None:
        super().__init__(model)
        self.spoiled, self.passes = set(spoiled), 0

    def forward(self, labels, **inputs):
        self.passes += 1
        loss = super().forward(labels, **inputs)
        return loss * float("nan") if self.passes - 1 in self.spoiled else loss


def weights(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def logged(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "logs" / "metrics.jsonl").read_text().splitlines()]


def learn(model, batches, config=CONFIG, **more):
    """The weights after training, and what the training says of itself."""
    result = train(MaskedLM(model), batches, config, "toy", **more)
    return weights(model), result


@pytest.mark.parametrize("held", [1, 2, 3])
def test_what_is_learned_does_not_depend_on_how_a_batch_is_split(new_model, masked_batches, held):
    whole, _ = learn(new_model(dropout=0.0), masked_batches)
    split, _ = learn(new_model(dropout=0.0), masked_batches, replace(CONFIG, per_device_batch_size=held))
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-6)


def test_training_is_a_plain_loop(new_model, masked_batches):
    model = new_model(dropout=0.0)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)
    for step in range(CONFIG.steps):
        batch = masked_batches.batch(*visits(CONFIG.seed, step, 8, len(masked_batches.lengths)))
        labels = batch.pop("labels").flatten()
        cross_entropy(model(**batch).logits.flatten(0, 1), labels, ignore_index=IGNORE).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, 8, 3e-3, 0.25)
        optimizer.step()
        optimizer.zero_grad()
    found, _ = learn(new_model(dropout=0.0), masked_batches)
    torch.testing.assert_close(found, weights(model), rtol=0, atol=1e-6)


@pytest.mark.parametrize("died_at", [2, 5, 7])
def test_a_resumed_run_ends_with_the_same_bits_as_an_unbroken_one(new_model, masked_batches, tmp_path, died_at):
    config = replace(CONFIG, save_steps=2, per_device_batch_size=4)
    unbroken, wanted = learn(new_model(), masked_batches, config, folder=tmp_path / "a")
    with pytest.raises(Killed):
        learn(new_model(), DyingBatches(masked_batches, 2 * died_at), config, folder=tmp_path / "b")
    resumed, found = learn(new_model(seed=9), masked_batches, config, folder=tmp_path / "b")
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    assert (found.steps, found.tokens) == (wanted.steps, wanted.tokens)


def test_the_log_of_a_resumed_run_has_every_step_once(new_model, masked_batches, tmp_path):
    config = replace(CONFIG, save_steps=3)
    with pytest.raises(Killed):
        learn(new_model(), DyingBatches(masked_batches, 5), config, folder=tmp_path)
    learn(new_model(), masked_batches, config, folder=tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == list(range(8))


def test_dropout_is_another_one_at_every_step_and_micro_batch(new_model, masked_batches):
    seen = []

    class Watching(MaskedLM):
        def forward(self, labels, **inputs):
            seen.append(torch.nn.functional.dropout(torch.ones(64)))
            return super().forward(labels, **inputs)

    train(Watching(new_model()), masked_batches, replace(CONFIG, per_device_batch_size=4), "toy")
    assert len({mask.numpy().tobytes() for mask in seen}) == len(seen) == 16


def test_the_log_holds_the_rate_the_loss_and_the_tokens_of_every_step(new_model, masked_batches, tmp_path):
    _, result = learn(new_model(), masked_batches, folder=tmp_path)
    lines = logged(tmp_path)
    assert [line["learning_rate"] for line in lines] == [learning_rate_at(step, 8, 3e-3, 0.25) for step in range(8)]
    read = [int(masked_batches.lengths[visits(0, step, 8, 24)[0]].sum()) for step in range(8)]
    assert [line["tokens"] for line in lines] == np.cumsum(read).tolist() and result.tokens == sum(read)
    assert abs(lines[0]["loss"] - np.log(len(WORDS))) < 1  # a fresh model guesses among all words


def test_a_step_without_a_finite_gradient_is_left_out_and_counted(new_model, masked_batches, capsys):
    model, seen = new_model(), []
    objective = SpoiledLoss(model, spoiled=[3])
    evaluate = lambda: seen.append(weights(model)) or {"loss": 0.0}
    result = train(objective, masked_batches, replace(CONFIG, evaluations=8), "toy", evaluate)
    moved = [any(not torch.equal(one[name], other[name]) for name in one) for one, other in pairwise(seen)]
    assert moved == [True, True, False, True, True, True, True] and result.skipped == 1
    assert "step 3: the gradient is not finite" in capsys.readouterr().err


def test_a_training_that_never_recovers_is_ended(new_model, masked_batches):
    objective = SpoiledLoss(new_model(), spoiled=range(100))
    with pytest.raises(InputError, match=f"{STOP_AFTER} steps in a row .* lower learning_rate"):
        train(objective, masked_batches, replace(CONFIG, steps=100), "toy")


def test_the_weights_of_the_best_measurement_are_kept(new_model, masked_batches):
    model, seen, scores = new_model(), [], iter([1.0, 5.0, 3.0, 5.0])
    evaluate = lambda: seen.append(weights(model)) or {"f1": next(scores), "number": len(seen)}
    found, result = learn(model, masked_batches, replace(CONFIG, evaluations=4), evaluate=evaluate, best="f1")
    assert result.evaluation == {"f1": 5.0, "number": 2}
    assert all(torch.equal(found[name], seen[1][name]) for name in found)


def test_the_model_is_measured_without_dropout_and_trained_with_it(new_model, masked_batches):
    model, modes = new_model(), []
    learn(
        model,
        masked_batches,
        replace(CONFIG, evaluations=2),
        evaluate=lambda: modes.append(model.training) or {"a": 0},
    )
    assert modes == [False, False] and model.training


def test_a_batch_that_does_not_divide_by_the_processes_is_refused(new_model, masked_batches, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(
        InputError, match=r"batch_size = 8 does not divide by 3 processes: launch one of \[1, 2, 4, 8\]"
    ):
        learn(new_model(), masked_batches)


@given(st.integers(1, 200), st.integers(0, 30))
def test_measurements_are_spread_evenly_and_the_last_is_at_the_end(steps, times):
    found = sorted(evaluation_steps(steps, times))
    assert len(found) == min(steps, times) and all(0 <= step < steps for step in found)
    if found:
        assert found[-1] == steps - 1
        assert np.ptp(np.diff([-1, *found])) <= 1


@pytest.mark.parametrize(("sequences", "epochs", "steps"), [(100, 2, 20), (4, 0.1, 1), (95, 1, 10)])
def test_epochs_are_turned_into_steps(sequences, epochs, steps):
    assert TrainerConfig(epochs=epochs, batch_size=10).steps_for(sequences) == steps
    assert TrainerConfig(steps=7, epochs=epochs).steps_for(sequences) == 7


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"per_device_batch_size": 0}, {"learning_rate": 0.0}])
def test_settings_that_cannot_train_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainerConfig(**settings)
