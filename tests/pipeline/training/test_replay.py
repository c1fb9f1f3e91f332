"""General text read again: exactly as often as asked, in any batches, and masked as if it stood alone."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import MaskedBatches
from pipeline.draws import visits
from pipeline.masking.config import MaskingConfig
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.pretraining import Text, learn
from pipeline.training.config import TrainerConfig
from pipeline.training.replay import Replay, replayed

OBJECTIVES = get_args(get_type_hints(ObjectiveConfig)["objective"])


def read(batches, batch_size: int, steps: int, seed: int = 0) -> list[tuple[int, int]]:
    """(index, epoch) of everything that is read, in order."""
    found = [np.stack(batches.visits(seed, step, batch_size), 1) for step in range(steps)]
    return [tuple(pair) for pair in np.concatenate(found).tolist()]


@given(st.integers(0, 999_999), st.integers(0, 10**9))
def test_of_any_first_sequences_exactly_the_ratio_is_general(millionths, count):
    assert replayed(count, millionths / 10**6) == floor(Fraction(millionths, 10**6) * count)


def test_the_count_is_exact_in_every_batch_and_general_text_is_spread_evenly(replay):
    general = [index >= 24 for index, _ in read(replay, 8, 25)]
    assert [sum(general[:k]) for k in range(201)] == [floor(Fraction(3, 10) * k) for k in range(201)]
    gaps = [after - before for before, after in pairwise(np.flatnonzero(general).tolist())]
    assert set(gaps) == {3, 4}


@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_what_is_read_does_not_depend_on_the_batch_size(replay, batch_size):
    assert read(replay, batch_size, 120 // batch_size) == read(replay, 8, 15)


def test_either_text_comes_in_its_own_order_as_if_it_were_alone(replay, masked_batches, general):
    everything = read(replay, 8, 25, seed=5)
    own = [pair for pair in everything if pair[0] < 24]
    again = [(index - 24, epoch) for index, epoch in everything if index >= 24]
    for found, count in ((own, len(masked_batches)), (again, len(general))):
        indices, epochs = visits(5, 0, len(found), count)
        assert found == list(zip(indices.tolist(), epochs.tolist(), strict=True))


@pytest.mark.parametrize("ratio", [0.0, 0.07, 0.25, 0.3, 0.9, 0.999999])
def test_a_pass_ends_when_each_of_the_domain_has_been_read_once(masked_batches, general, ratio):
    replay = Replay(masked_batches, general, ratio)
    own = lambda count: count - replayed(count, ratio)
    assert own(len(replay)) == 24 and own(len(replay) - 1) == 23
    mean = (1 - ratio) * masked_batches.tokens / 24 + ratio * general.tokens / 7
    assert replay.tokens / len(replay) == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize("rows", [[3, 25, 0, 30, 24, 3], [1, 2], [26, 24]])
def test_a_sequence_is_masked_as_in_its_own_corpus(replay, masked_batches, general, rows):
    indices, epochs = np.array(rows), np.arange(len(rows))
    together = replay.batch(indices, epochs, 0.5)
    for row, index in enumerate(rows):
        part, own = (masked_batches, index) if index < 24 else (general, index - 24)
        alone = part.batch(np.array([own]), epochs[row : row + 1], 0.5)
        length = alone["input_ids"].shape[1]
        assert all(torch.equal(together[name][row, :length], alone[name][0]) for name in together)
        assert not together["attention_mask"][row, length:].any()
        assert replay.names(indices)[row] == part.names(np.array([own]))[0]
        assert replay.keys(indices)[row] == part.keys(np.array([own]))[0]
        assert replay.lengths(indices)[row] == length


def test_a_visit_says_of_every_target_what_became_of_it(replay, masked_batches, general):
    visit = replay.visit(np.array([24, 3, 25]), np.array([0, 1, 2]))
    alone = [general.visit(np.array([0]), np.array([0])), masked_batches.visit(np.array([3]), np.array([1])),
             general.visit(np.array([1]), np.array([2]))]  # fmt: skip
    for name in ("input_ids", "word_ids", "importance", "written", "fates"):
        assert getattr(visit, name).tolist() == np.concatenate([getattr(one, name) for one in alone]).tolist()
    starts = visit.rows.offsets[:-1]
    moved = [one.targets + start for one, start in zip(alone, starts, strict=True)]
    assert visit.targets.tolist() == np.concatenate(moved).tolist()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_reads_what_is_replayed(replay, objective):
    batches = ObjectiveConfig(objective).method.batches(replay)
    indices, epochs = batches.visits(3, 2, 16)
    wanted = replay.visits(3, 2, 16)
    assert (indices == wanted[0]).all() and (epochs == wanted[1]).all() and (indices >= 24).sum() in (4, 5)
    assert len(batches) == len(replay) and batches.tokens == replay.tokens
    assert len(batches.batch(indices, epochs)["input_ids"]) == 16


def test_text_that_nobody_scored_is_masked_at_random_and_as_much(sequences, vocabulary):
    masking = MaskingConfig(mask_rate=0.3, selective_share=1.0, fill="none", control=True)
    alike = replace(sequences, importance=np.ones_like(sequences.importance))
    rows = np.tile(np.arange(24), 40), np.repeat(np.arange(40), 24)
    chosen = lambda how: MaskedBatches(alike, how, vocabulary, 0).visit(*rows).shares(how)["chosen"]
    assert chosen(masking.at_random()) == chosen(MaskingConfig("whole_word", mask_rate=0.3)) > 0.3
    assert masking.at_random().policy == "whole_word" and replace(masking, unit="token").at_random().policy == "random"


def test_what_is_forgotten_is_measured_and_replay_keeps_it(new_model, tokenizer, sequences, general, tmp_path):
    trainer = TrainerConfig(steps=40, batch_size=8, per_device_batch_size=8, learning_rate=1e-2, evaluations=1)
    masking = MaskingConfig("whole_word", mask_rate=0.3)
    own, other = Text(sequences, sequences, masking), Text(general.sequences, general.sequences, masking)
    found = [learn(new_model(), tokenizer, own, trainer, tmp_path / str(share), "toy", general=other, replay=share)
             for share in (0.0, 0.5)]  # fmt: skip
    assert found[0]["dev_general_loss_before"] == found[1]["dev_general_loss_before"] > 0
    assert found[1]["dev_general_loss"] < found[0]["dev_general_loss"]
    assert "replayed" not in found[0] and found[1]["replayed"] == 160
    assert "general_loss" in (tmp_path / "0.5" / "logs" / "metrics.jsonl").read_text()
