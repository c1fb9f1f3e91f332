"""What is estimated is what will be done."""

import numpy as np
import pytest

from pipeline.costs import disk, fine_tuning, pretraining, speed, tokens_in
from pipeline.models import ModelSize, new_bert

TRAINER = {"steps": 0, "epochs": 2.0, "batch_size": 8, "evaluations": 3}


def test_an_ideograph_is_a_token_and_a_word_some_more():
    assert tokens_in(["好 评", "one two"], 64) == pytest.approx((4 + 2 * 1.3 + 2) / 2)
    assert tokens_in(["好" * 100], 64) == 64 and tokens_in([], 64) == 64


def test_tokens_of_a_pretraining_are_steps_times_batch_times_length():
    one = pretraining("dapt", TRAINER, 10.0, sequences=80)
    assert (one.steps, one.tokens) == (20, 20 * 8 * 10)
    assert pretraining("dapt", TRAINER | {"steps": 7}, 10.0, 80).tokens == 7 * 8 * 10


def test_fine_tuning_counts_every_seed_and_what_is_only_read():
    rows = {"train": 80, "dev": 30, "test": 60}
    one = fine_tuning("finetuned-base", {"trainer": TRAINER, "seeds": [1, 2]}, 10.0, rows)
    assert (one.steps, one.tokens) == (40, 2 * (20 * 8 * 10 + (3 * 30 + 60) * 10 / 3))


def test_the_speed_is_that_of_the_loop(capsys):
    model = new_bert(ModelSize(16, 1, 2, 32, 0.0), 64, 0, 0)
    before = model.get_input_embeddings().weight.clone()
    assert speed(model, 12, 4) > 100
    assert not np.array_equal(before.detach(), model.get_input_embeddings().weight.detach())  # it did train
    assert capsys.readouterr().err == ""


def test_a_checkpoint_is_kept_and_one_training_can_be_resumed():
    assert disk(1000, 3) == 1000 * (3 * 4 + 12)
