"""Steps that go wrong are left out or told, with their documents; a training that never recovers is ended."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from training_toys import CONFIG, logged, weights

from pipeline.draws import visits
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.errors import Diverged
from pipeline.training.divergence import STOP_AFTER
from pipeline.training.trainer import train


class SpoiledLoss(MaskedLM):
    """An objective whose loss is not a number in the given forward passes."""

    def __init__(self, model, spoiled) -> None:
        super().__init__(model)
        self.spoiled, self.passes = set(spoiled), 0

    def forward(self, **inputs):
        self.passes += 1
        loss = super().forward(**inputs)
        return loss * float("nan") if self.passes - 1 in self.spoiled else loss


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
    with pytest.raises(
        Diverged, match=f"{STOP_AFTER} steps in a row .* documents toy-.* lower learning_rate"
    ) as error:
        train(objective, masked_batches, replace(CONFIG, steps=100), "toy")
    assert error.value.exit_code == 4


def test_the_documents_of_a_step_left_out_are_written_down(new_model, masked_batches, tmp_path):
    objective = SpoiledLoss(new_model(), spoiled=[3])  # the second micro-batch of the second step
    train(objective, masked_batches, replace(CONFIG, per_device_batch_size=4), "toy", folder=tmp_path)
    (event,) = logged(tmp_path, "events")
    indices, _ = visits(CONFIG.seed, 1, 8, 24)
    short = sorted(masked_batches.lengths(indices))[:4]
    assert event["step"] == 1 and len(event["documents"]) == 4
    numbers = np.array([int(name.removeprefix("toy-")) for name in event["documents"]])
    assert sorted(masked_batches.lengths(numbers)) == short and set(numbers) <= set(indices)


def test_a_loss_that_stands_out_is_said_and_its_documents_written_down(new_model, masked_batches, tmp_path, capsys):
    class Jumping(MaskedLM):
        passes = 0

        def forward(self, **inputs):
            self.passes += 1
            return super().forward(**inputs) * (50 if self.passes == 31 else 1)

    train(Jumping(new_model()), masked_batches, replace(CONFIG, steps=32), "toy", folder=tmp_path)
    (event,) = logged(tmp_path, "events")
    assert event["step"] == 30 and len(event["documents"]) == 8
    assert "step 30: loss" in capsys.readouterr().err
