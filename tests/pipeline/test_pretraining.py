"""The yardstick of pretraining: one dev loss for all."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.batches import IGNORE, MaskedBatches
from pipeline.masking.config import MaskingConfig
from pipeline.objectives import yardstick
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.yardstick import FIXED_MASKS, fixed_mask_loss, unscored
from pipeline.pretraining import Text, learn
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig

CONFIG = TrainerConfig(steps=40, batch_size=8, per_device_batch_size=8, learning_rate=1e-2, evaluations=2)


@pytest.fixture
def fixed(sequences, vocabulary) -> MaskedBatches:
    return MaskedBatches(sequences, FIXED_MASKS, vocabulary, 0)


def test_the_dev_loss_is_the_mean_over_all_targets(new_model, fixed):
    model, total, targets = new_model(), 0.0, 0
    for i in range(len(fixed)):
        batch = fixed.batch(np.array([i]), np.array([0]))
        labels = batch.pop("labels").flatten()
        with torch.no_grad():
            total += float(cross_entropy(model(**batch).logits[0], labels, ignore_index=IGNORE, reduction="sum"))
        targets += int((labels != IGNORE).sum())
    with torch.no_grad():
        assert fixed_mask_loss(MaskedLM(model), fixed) == {"loss": pytest.approx(total / targets, rel=1e-5)}


@pytest.mark.parametrize("budget", [1, 40])
def test_the_dev_loss_does_not_depend_on_the_batches(new_model, fixed, budget, monkeypatch):
    objective = MaskedLM(new_model()).requires_grad_(False)
    wanted = fixed_mask_loss(objective, fixed)["loss"]
    monkeypatch.setattr(yardstick, "EVALUATION_TOKENS", budget)
    assert fixed_mask_loss(objective, fixed)["loss"] == pytest.approx(wanted, rel=1e-5)


def test_pretraining_lowers_the_loss_of_text_it_has_seen(new_model, tokenizer, sequences, fixed, tmp_path):
    masking = MaskingConfig(policy="whole_word", mask_rate=0.3)
    before = fixed_mask_loss(MaskedLM(new_model()).requires_grad_(False), fixed)
    found = learn(new_model(), tokenizer, Text(sequences, sequences, masking), CONFIG, tmp_path, "toy")
    assert found["dev_loss_before"] == pytest.approx(before["loss"], rel=1e-5)
    assert found["dev_loss"] < found["dev_loss_before"] and (found["steps"], found["sequences"]) == (40, 24)
    assert abs(found["realised_chosen"] - 0.3) < 0.06 and abs(found["realised_replaced"] - 0.8) < 0.05


def test_the_yardstick_measures_words_that_training_never_predicts(sequences, vocabulary):
    some = replace(sequences, importance=np.where(np.arange(len(sequences.importance)) % 2, 200, 0).astype(np.uint8))
    fixed = [MaskedBatches(unscored(s), FIXED_MASKS, vocabulary, 0) for s in (sequences, some)]
    everything = np.arange(len(sequences)), np.zeros(len(sequences), dtype=int)
    labels = [batches.batch(*everything)["labels"] for batches in fixed]
    assert torch.equal(labels[0], labels[1])


def test_without_a_dev_set_nothing_is_measured(new_model, tokenizer, sequences, tmp_path):
    found = learn(
        new_model(),
        tokenizer,
        Text(sequences, None, MaskingConfig("random")),
        replace(CONFIG, steps=1),
        tmp_path,
        "toy",
    )
    assert math.isnan(found["dev_loss"]) and math.isnan(found["dev_loss_before"])


@pytest.mark.parametrize(
    ("has_dev", "choose", "told"),
    [
        (True, "general_loss", r"for want of general text \(masked.general_documents\): set it to one of loss$"),
        (True, "probe_accuracy", "for want of a task with classes: set it to one of loss$"),
        (False, "loss", "for want of dev text: leave it out$"),
    ],
)
def test_weights_chosen_by_what_is_not_measured_are_refused_before_the_first_step(
    new_model, tokenizer, sequences, tmp_path, has_dev, choose, told
):
    text = Text(sequences, sequences if has_dev else None, MaskingConfig("random"))
    with pytest.raises(InputError, match=f"probe.choose = {choose} is not measured here, {told}"):
        learn(new_model(), tokenizer, text, CONFIG, tmp_path, "toy", choose=choose)
    assert not list(tmp_path.iterdir())


def test_more_measurements_than_steps_are_no_error(new_model, tokenizer, sequences, tmp_path):
    config = replace(CONFIG, steps=1, evaluations=5)
    found = learn(new_model(), tokenizer, Text(sequences, sequences, MaskingConfig("random")), config, tmp_path, "toy")
    assert found["dev_loss"] > 0
