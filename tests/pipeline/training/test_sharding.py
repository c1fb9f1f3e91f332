"""Weights in shards (FSDP2) are one training with whole ones: they learn, stop and go on together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from launcher import in_shards, launched
from safetensors.torch import load_file
from test_trainer_processes import CONFIG, Dying, apart, learn, losses

from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.processes import rank
from pipeline.training.optim import adamw
from pipeline.training.sharding import prepared
from pipeline.training.trainer import train


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("held", [8, 2])
def test_processes_with_a_part_of_the_model_each_learn_what_one_with_all_of_it_does(
    new_model, masked_batches, tmp_path, kind, held
):
    config = replace(CONFIG, per_device_batch_size=held, gradient_checkpointing=held == 2)
    learn(new_model(kind, dropout=0.0), masked_batches, CONFIG, tmp_path / "one")
    in_shards(lambda: learn(new_model(kind, dropout=0.0), masked_batches, config, tmp_path / "two"), tmp_path)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)
    assert apart(tmp_path / "one" / "weights-0", tmp_path / "two" / "weights-0") < 1e-4
    assert apart(tmp_path / "two" / "weights-0", tmp_path / "two" / "weights-1") == 0


def test_a_killed_training_in_shards_ends_with_the_same_bits(new_model, masked_batches, tmp_path):
    config, killed = replace(CONFIG, save_steps=2), tmp_path / "killed"
    in_shards(lambda: learn(new_model(), masked_batches, config, tmp_path / "unbroken"), tmp_path)
    in_shards(lambda: learn(new_model(), masked_batches, config, killed, Dying), tmp_path, codes=[9, 9])
    left = in_shards(lambda: learn(new_model(seed=9), masked_batches, config, killed), tmp_path)
    assert "continuing at step 2\n" in left[0].said
    assert losses(killed) == losses(tmp_path / "unbroken")
    assert apart(tmp_path / "unbroken" / "weights-0", killed / "weights-0") == 0


@pytest.mark.parametrize("sharded_first", [True, False])
def test_a_training_goes_on_with_shards_or_without(new_model, masked_batches, tmp_path, sharded_first):
    out, config = tmp_path / "moved", replace(CONFIG, save_steps=2)
    learn(new_model(dropout=0.0), masked_batches, CONFIG, tmp_path / "alone")
    begin = lambda: learn(new_model(dropout=0.0), masked_batches, config, out, Dying)
    go_on = lambda: learn(new_model(dropout=0.0, seed=9), masked_batches, config, out)
    if sharded_first:
        in_shards(begin, tmp_path, codes=[9, 9])
        left = launched(go_on, tmp_path, 1)
    else:
        launched(begin, tmp_path, 1)
        left = in_shards(go_on, tmp_path)
    assert left[0].code == 0 and "continuing at step 2 (saved by" in left[0].said, left
    assert losses(out) == pytest.approx(losses(tmp_path / "alone"), abs=1e-4)
    assert apart(tmp_path / "alone" / "weights-0", out / "weights-0") < 1e-4


def test_what_is_measured_kept_and_saved_is_the_whole_model(new_model, masked_batches, tmp_path):
    """The best weights are those of the second of three measurements, made by each process on its own."""

    def work():
        model, seen = new_model(dropout=0.0), []
        objective, scores = MaskedLM(model), iter([1.0, 3.0, 2.0])

        def measure():
            batch = masked_batches.batch(np.arange(rank(), 8), np.zeros(8 - rank(), dtype=np.int64))
            seen.append(
                (
                    float(objective(**objective.arranged(batch))),
                    {name: t.clone() for name, t in model.state_dict().items()},
                )
            )
            return {"f1": next(scores)}

        train(objective, masked_batches, replace(CONFIG, evaluations=3), "toy", measure, best="f1")
        assert len({loss for loss, _ in seen}) == 3
        assert all(torch.equal(model.state_dict()[name], seen[1][1][name]) for name in seen[1][1])
        model.save_pretrained(tmp_path / f"saved-{rank()}")
        train(MaskedLM(new_model()), masked_batches, CONFIG, "another in the same process")

    in_shards(work, tmp_path)
    saved = load_file(tmp_path / "saved-0" / "model.safetensors")
    assert {name: t.shape for name, t in saved.items()} == shapes(new_model(), tmp_path / "plain")


def shapes(model, folder: Path) -> dict[str, torch.Size]:
    """Names and shapes of an ordinary file of the model."""
    model.save_pretrained(folder)
    return {name: tensor.shape for name, tensor in load_file(folder / "model.safetensors").items()}


def test_each_process_holds_half_of_weights_and_moments(new_model, masked_batches, tmp_path):
    def work():
        objective = MaskedLM(new_model())
        model, optimizer = prepared(objective, adamw(objective, 1e-3, (0.9, 0.98), 1e-6, 0.0))
        batch = masked_batches.batch(np.arange(8), np.zeros(8, dtype=np.int64))
        model(**objective.arranged(batch)).backward()
        optimizer.step()
        sizes = [p.to_local().numel() for p in model.parameters()]
        moments = [state["exp_avg"].to_local().numel() for state in optimizer.state.values()]
        assert 0.4 < sum(sizes) / sum(p.numel() for p in objective.parameters()) < 0.6 and sum(moments) == sum(sizes)

    in_shards(work, tmp_path)


def test_what_does_not_fit_into_memory_in_shards_is_an_error_that_says_what_to_do(new_model, masked_batches, tmp_path):
    class Small(MaskedLM):
        def forward(self, **inputs):
            raise torch.OutOfMemoryError

    left = in_shards(lambda: learn(new_model(), masked_batches, CONFIG, tmp_path / "a", Small), tmp_path, codes=[2, 2])
    assert "shards cannot try what fits: set a lower per_device_batch_size" in left[0].said


@pytest.mark.slow
def test_a_compiled_training_in_shards_learns_the_same(new_model, masked_batches, tmp_path):
    config = replace(CONFIG, steps=2, compile=True)
    learn(new_model(dropout=0.0), masked_batches, replace(config, compile=False), tmp_path / "one")
    in_shards(lambda: learn(new_model(dropout=0.0), masked_batches, config, tmp_path / "two"), tmp_path)
    assert apart(tmp_path / "one" / "weights-0", tmp_path / "two" / "weights-0") < 1e-4
