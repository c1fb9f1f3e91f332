"""Numbers that must not move: whenever a run is killed, the same is learned, and it is what a plain loop learns."""

import contextlib
import json
import math
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import WORDS
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from training_toys import CONFIG, learn, logged, weights

from pipeline.batches import IGNORE
from pipeline.draws import visits
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.errors import InputError, Interrupted
from pipeline.run.processes import processes
from pipeline.training.config import TrainerConfig, evaluation_steps
from pipeline.training.trainer import train


def read_by(batches, step: int) -> int:
    """Tokens of the first `step` steps."""
    return sum(int(batches.lengths(visits(CONFIG.seed, s, 8, len(batches))[0]).sum()) for s in range(step))


def rate_of(batches, step: int) -> float:
    """The learning rate of a step: that of its middle, counted in tokens."""
    middle = (read_by(batches, step) + read_by(batches, step + 1)) / 2
    return CONFIG.learning_rate_at(middle / (8 * 8 * batches.tokens / len(batches)))


class Killed(RuntimeError):
    """As good as a power cut."""


class DyingBatches:
    """Batches that end the run when step number `last` is asked for."""

    def __init__(self, batches, last: int) -> None:
        self.batches, self.left = batches, last

    def __getattr__(self, name):
        return getattr(self.batches, name)

    def __len__(self):
        return len(self.batches)

    def batch(self, indices, epochs, elapsed):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return self.batches.batch(indices, epochs, elapsed)


def test_training_is_a_plain_loop(new_model, masked_batches):
    model = new_model(dropout=0.0)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6)
    for step in range(CONFIG.steps):
        batch = masked_batches.batch(*visits(CONFIG.seed, step, 8, len(masked_batches)))
        labels = batch.pop("labels").flatten()
        cross_entropy(model(**batch).logits.flatten(0, 1), labels, ignore_index=IGNORE).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate_of(masked_batches, step)
        optimizer.step()
        optimizer.zero_grad()
    found, _ = learn(new_model(dropout=0.0), masked_batches)
    torch.testing.assert_close(found, weights(model), rtol=0, atol=1e-6)


@pytest.mark.parametrize("died_at", [2, 5, 7])
def test_a_resumed_run_ends_with_the_same_bits_as_an_unbroken_one(new_model, masked_batches, tmp_path, died_at):
    config = replace(CONFIG, save_steps=2, per_device_batch_size=4)
    unbroken, wanted = learn(new_model(), masked_batches, config, folder=tmp_path / "a")
    with pytest.raises(Killed):
        learn(new_model(), DyingBatches(masked_batches, died_at), config, folder=tmp_path / "b")
    resumed, found = learn(new_model(seed=9), masked_batches, config, folder=tmp_path / "b")
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    assert (found.steps, found.tokens) == (wanted.steps, wanted.tokens)


def test_the_log_of_a_resumed_run_has_every_step_once(new_model, masked_batches, tmp_path):
    config = replace(CONFIG, save_steps=3)
    with pytest.raises(Killed):
        learn(new_model(), DyingBatches(masked_batches, 5), config, folder=tmp_path)
    learn(new_model(), masked_batches, config, folder=tmp_path)
    assert [line["step"] for line in logged(tmp_path)] == list(range(8))


def test_the_log_holds_the_rate_the_loss_and_the_tokens_of_every_step(new_model, masked_batches, tmp_path):
    _, result = learn(new_model(), masked_batches, folder=tmp_path)
    lines = logged(tmp_path)
    rates = [rate_of(masked_batches, step) for step in range(8)]
    assert [line["learning_rate"] for line in lines] == pytest.approx(rates) and max(rates) < CONFIG.learning_rate
    assert [line["tokens"] for line in lines] == [read_by(masked_batches, step + 1) for step in range(8)]
    assert result.tokens == read_by(masked_batches, 8)
    assert abs(lines[0]["loss"] - np.log(len(WORDS))) < 1  # a fresh model guesses among all words


def test_a_signal_ends_the_training_with_a_checkpoint_and_the_next_call_ends_with_the_same_bits(
    new_model, masked_batches, tmp_path
):
    unbroken, _ = learn(new_model(), masked_batches, folder=tmp_path / "a")

    class Signalled(MaskedLM):
        passes = 0

        def forward(self, **inputs):
            self.passes += 1
            if self.passes == 4:
                signal.raise_signal(signal.SIGTERM)
            return super().forward(**inputs)

    with pytest.raises(Interrupted, match="stopped by SIGTERM before step 4: the same command continues") as error:
        train(Signalled(new_model()), masked_batches, CONFIG, "toy", folder=tmp_path / "b")
    assert error.value.exit_code == 75 and len(logged(tmp_path / "b")) == 4
    resumed, _ = learn(new_model(seed=9), masked_batches, folder=tmp_path / "b")
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_gradient_checkpointing_changes_nothing_that_is_learned(new_model, masked_batches, kind):
    config = replace(CONFIG, steps=3)
    kept, _ = learn(new_model(kind), masked_batches, config)
    again, _ = learn(new_model(kind), masked_batches, replace(config, gradient_checkpointing=True))
    torch.testing.assert_close(again, kept, rtol=0, atol=1e-6)


def test_the_weights_of_the_best_measurement_are_kept(new_model, masked_batches):
    model, seen, scores = new_model(), [], iter([1.0, 5.0, 3.0, 5.0])
    evaluate = lambda: seen.append(weights(model)) or {"f1": next(scores), "number": len(seen)}
    found, result = learn(model, masked_batches, replace(CONFIG, evaluations=4), evaluate=evaluate, best="f1")
    assert result.evaluation == {"f1": 5.0, "number": 2}
    assert all(torch.equal(found[name], seen[1][name]) for name in found)


@pytest.mark.parametrize("patience", [0, 2])
@pytest.mark.parametrize("died_at", [3, 5, 7])
def test_a_resumed_run_ends_with_the_same_best_weights(new_model, masked_batches, tmp_path, died_at, patience):
    """Measured by a number that has no trend: the best is somewhere, and patience ends the training anywhere."""
    config = replace(CONFIG, save_steps=2, evaluations=8, learning_rate=1e-2)

    def run(batches, folder):
        model = new_model()
        measured = lambda: {"f1": math.sin(1e4 * float(model.get_input_embeddings().weight.sum()))}
        return learn(model, batches, config, folder=folder, evaluate=measured, best="f1", patience=patience)

    wanted, unbroken = run(masked_batches, tmp_path / "a")
    with contextlib.suppress(Killed):
        run(DyingBatches(masked_batches, died_at), tmp_path / "b")
    found, resumed = run(masked_batches, tmp_path / "b")
    assert (resumed.evaluation, resumed.steps) == (unbroken.evaluation, unbroken.steps)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


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


@pytest.mark.parametrize("settings", [{"batch_size": 0}, {"per_device_batch_size": -1}, {"learning_rate": 0.0}])
def test_settings_that_cannot_train_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        TrainerConfig(**settings)


def test_steps_that_overflow_in_fp16_are_left_out_and_the_scale_comes_down(
    new_model, masked_batches, monkeypatch, tmp_path
):
    accelerator = processes()
    monkeypatch.setattr(accelerator, "scaler", torch.amp.GradScaler("cpu", init_scale=2.0**127))
    monkeypatch.setattr(accelerator, "native_amp", True)
    monkeypatch.setattr(accelerator.state, "_mixed_precision", "fp16")
    monkeypatch.setattr(accelerator, "prepare_model", lambda model, **_: model)  # computed in fp32: a CPU has no fp16
    model = new_model(dropout=0.0)
    before = weights(model)
    found, result = learn(model, masked_batches, replace(CONFIG, steps=8, save_steps=7), folder=tmp_path)
    assert 0 < result.skipped < 8 and result.steps == 8
    assert any(not torch.equal(found[name], before[name]) for name in before)
    (state,) = (tmp_path / "scratch" / "checkpoints").glob("step-*/state.json")
    assert json.loads(state.read_text())["state"]["scaler"]["scale"] < 2.0**127
