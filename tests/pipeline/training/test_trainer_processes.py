"""Two processes are one training: they learn, stop, shrink and fail together."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from launcher import begun, ended, launched
from safetensors.torch import load_file, save_file

from pipeline.batches import MaskedBatches
from pipeline.masking.config import MaskingConfig
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run import faults
from pipeline.run import processes as group
from pipeline.run.processes import rank
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

CONFIG = TrainerConfig(steps=6, batch_size=8, per_device_batch_size=8, learning_rate=3e-3)


def learn(model, batches, config, out: Path, objective=MaskedLM) -> None:
    """Train, and leave the weights in `out`/weights-<rank>."""
    out.mkdir(exist_ok=True)
    train(objective(model), batches, config, "toy", folder=out)
    save_file({name: p.detach() for name, p in model.named_parameters()}, out / f"weights-{rank()}")


def apart(one: Path, other: Path) -> float:
    """The largest difference of a weight."""
    left, right = load_file(one), load_file(other)
    return max(float((left[name] - right[name]).abs().max()) for name in left)


def losses(out: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (out / "logs" / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def alone(new_model, masked_batches, tmp_path) -> Path:
    """What one process learns, with dropout."""
    learn(new_model(), masked_batches, CONFIG, tmp_path / "alone")
    return tmp_path / "alone"


def test_two_processes_learn_what_one_does(new_model, masked_batches, tmp_path, alone):
    out = tmp_path / "two"
    left = launched(lambda: learn(new_model(), masked_batches, CONFIG, out), tmp_path)
    assert [one.code for one in left] == [0, 0], left
    assert losses(out) == pytest.approx(losses(alone), abs=1e-4)
    assert apart(alone / "weights-0", out / "weights-0") < 1e-4 and apart(out / "weights-0", out / "weights-1") == 0


class Dying(MaskedLM):
    """Killed in the fourth step."""

    passes = 0

    def forward(self, **inputs):
        self.passes += 1
        if self.passes == 4:
            os._exit(9)
        return super().forward(**inputs)


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 1)])
def test_a_training_goes_on_with_another_number_of_processes(new_model, masked_batches, tmp_path, alone, first, then):
    out, config = tmp_path / "moved", replace(CONFIG, save_steps=2)

    launched(lambda: learn(new_model(), masked_batches, config, out, Dying), tmp_path, first, seconds=10)
    left = launched(lambda: learn(new_model(seed=9), masked_batches, config, out), tmp_path, then)
    assert [one.code for one in left] == [0] * then and "continuing at step 2" in left[0].said, left
    assert losses(out) == pytest.approx(losses(alone), abs=1e-4)
    assert apart(alone / "weights-0", out / "weights-0") < 1e-4


def test_a_process_without_targets_neither_hangs_nor_spoils_the_others(new_model, sequences, vocabulary, tmp_path):
    """Every second sequence has no word: with two sequences a step, one process often has nothing to predict."""
    words = np.array(sequences.word_ids)
    for i in range(0, len(sequences), 2):
        words[sequences.offsets[i] : sequences.offsets[i + 1]] = -1
    batches = MaskedBatches(replace(sequences, word_ids=words), MaskingConfig("whole_word", 0.3), vocabulary, 0)
    config = replace(CONFIG, batch_size=2, steps=12)
    learn(new_model(), batches, config, tmp_path / "one")
    left = launched(lambda: learn(new_model(), batches, config, tmp_path / "two"), tmp_path)
    assert [one.code for one in left] == [0, 0], left
    assert apart(tmp_path / "one" / "weights-0", tmp_path / "two" / "weights-0") < 1e-4
    assert np.isfinite(losses(tmp_path / "two")).all()


def test_all_processes_take_half_where_one_has_too_little_memory(new_model, masked_batches, tmp_path, alone):
    class Small(MaskedLM):
        """The second process holds one sequence."""

        def forward(self, **inputs):
            if rank() == 1 and len(inputs["layout"].lengths) > 1:
                raise torch.OutOfMemoryError
            return super().forward(**inputs)

    out = tmp_path / "small"
    left = launched(lambda: learn(new_model(), masked_batches, CONFIG, out, Small), tmp_path)
    assert [one.code for one in left] == [0, 0], left
    assert left[0].said.count("out of memory") == 2 and apart(alone / "weights-0", out / "weights-0") < 1e-4


def test_a_signal_to_one_process_stops_all_with_a_checkpoint(new_model, masked_batches, tmp_path, alone):
    class Signalled(MaskedLM):
        passes = 0

        def forward(self, **inputs):
            self.passes += 1
            if rank() == 1 and self.passes == 4:  # one of them was the rehearsal
                signal.raise_signal(signal.SIGUSR1)
            return super().forward(**inputs)

    out = tmp_path / "stopped"
    left = launched(lambda: learn(new_model(), masked_batches, CONFIG, out, Signalled), tmp_path)
    assert [one.code for one in left] == [75, 75] and "stopped by SIGUSR1 before step 3" in left[1].said, left
    left = launched(lambda: learn(new_model(seed=9), masked_batches, CONFIG, out), tmp_path)
    assert [one.code for one in left] == [0, 0] and apart(alone / "weights-0", out / "weights-0") < 1e-4


@pytest.mark.parametrize("how", ["sleep", "exit"])
def test_a_process_that_hangs_or_dies_ends_the_step_and_is_named(
    new_model, masked_batches, tmp_path, how, monkeypatch
):
    class Failing(MaskedLM):
        def forward(self, **inputs):
            faults.fault("forward")
            return super().forward(**inputs)

    monkeypatch.setattr(group, "PATIENCE", 2.0)
    monkeypatch.setattr(group, "ROLL_CALL", 1.0)
    monkeypatch.setattr(faults, "ORDER", faults.read_order(f"forward@4:{how}", only="1"))
    work = lambda: learn(new_model(), masked_batches, CONFIG, tmp_path / "out", Failing)
    started = begun(work, tmp_path, 2)
    started[0].process.join()
    left = ended(started, seconds=0)  # the other sleeps on
    assert left[0].code == 1 and "rank 1 did not come to step 2" in left[0].said, left
