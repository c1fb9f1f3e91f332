"""Rows become tensors, the same ones however they are asked for."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from conftest import WORDS
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import IGNORE, LabelledBatches, MaskedBatches, by_length, padded, targets_in
from pipeline.draws import document_keys
from pipeline.masking.config import IMPORTANT, MaskingConfig
from pipeline.masking.replacement import FATES
from pipeline.masking.substitutes import Substitutes

ROWS = st.lists(st.lists(st.integers(1, 99), max_size=7), min_size=1, max_size=9)


@given(ROWS)
def test_padded_rows_are_the_rows_and_padding(rows):
    found = padded([np.array(row, dtype=int) for row in rows], -7)
    longest = max(map(len, rows))
    assert found.tolist() == [row + [-7] * (longest - len(row)) for row in rows]


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100))
def test_batches_by_length_hold_everything_once_within_the_budget(lengths, budget):
    batches = by_length(np.array(lengths, dtype=int), budget)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 100), st.integers(0, 40))
def test_a_batch_ends_before_it_holds_more_padding_than_allowed(lengths, budget, padding):
    batches = by_length(np.array(lengths, dtype=int), budget, padding)
    wasted = lambda batch: sum(max(lengths[i] for i in batch) - lengths[i] for i in batch)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(len(lengths)))
    assert all(wasted(batch) <= padding for batch in batches)
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)
    for batch, after in pairwise(batches):  # one more would be too much of either
        more = [*batch.tolist(), int(after[0])]
        assert wasted(more) > padding or len(more) * max(1, *(lengths[i] for i in more)) > budget


def test_a_sequence_is_read_back_as_it_was_written(sequences):
    for i in range(len(sequences)):
        start, end = sequences.offsets[i : i + 2]
        assert sequences.input_ids[sequences.places(np.array([i]))].tolist() == sequences.input_ids[start:end].tolist()


def test_labels_are_the_ids_as_written_where_something_is_predicted(masked_batches, sequences):
    indices = np.arange(len(sequences))
    batch = masked_batches.batch(indices, indices)
    written = torch.from_numpy(padded(np.split(sequences.input_ids, sequences.offsets[1:-1]), 0))
    wanted = batch["labels"] != IGNORE
    assert wanted.any(1).all() and (batch["labels"][wanted] == written[wanted]).all()
    assert (batch["input_ids"][~wanted] == written[~wanted]).all()
    assert (batch["input_ids"][wanted] != written[wanted]).float().mean() > 0.7


def test_attention_covers_the_sequence_and_not_the_padding(masked_batches):
    indices = np.array([3, 0, 5])
    batch = masked_batches.batch(indices, indices)
    assert batch["attention_mask"].sum(1).tolist() == masked_batches.lengths(indices).tolist()
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 0).all()


def test_a_visit_is_the_same_in_any_batch(masked_batches):
    indices, epochs = np.array([9, 2, 2, 17, 4]), np.array([0, 1, 2, 0, 3])
    together = masked_batches.batch(indices, epochs)
    for row, (index, epoch) in enumerate(zip(indices, epochs, strict=True)):
        alone = masked_batches.batch(np.array([index]), np.array([epoch]))
        length = alone["input_ids"].shape[1]
        assert all(torch.equal(together[name][row, :length], alone[name][0]) for name in together)


def test_labelled_batches_pad_ids_types_and_token_labels_each_its_own_way():
    ids = [np.array([2, 8, 3]), np.array([2, 3])]
    batch = LabelledBatches(ids, [np.array([IGNORE, 1, IGNORE])] * 1 + [np.array([IGNORE] * 2)], 9, types=ids).batch(
        [0, 1]
    )
    assert batch["input_ids"].tolist() == [[2, 8, 3], [2, 3, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch["token_type_ids"].tolist() == [[2, 8, 3], [2, 3, 0]]
    assert batch["labels"].tolist() == [[IGNORE, 1, IGNORE], [IGNORE] * 3]


def test_labels_of_sequences_are_one_number_each():
    assert LabelledBatches([np.array([2, 3])] * 3, [1, 0, 1], 0).batch(np.array([2, 1]))["labels"].tolist() == [1, 0]


def test_shares_say_what_masking_did_in_fact(sequences, vocabulary):
    masking = MaskingConfig("whole_word", mask_rate=0.4)
    everything = np.arange(len(sequences))
    visit = MaskedBatches(sequences, masking, vocabulary, 0).visit(everything, everything)
    words, important = sequences.word_ids >= 0, (sequences.word_ids >= 0) & (sequences.importance >= IMPORTANT)
    shares = visit.shares(masking)
    assert shares["chosen"] == pytest.approx(len(visit.targets) / words.sum())
    assert shares["chosen_of_important"] == pytest.approx(important[visit.targets].sum() / important.sum())
    assert shares["important"] == pytest.approx(important[visit.targets].mean())
    assert shares["replaced"] == pytest.approx((visit.input_ids[visit.targets] == vocabulary.mask_id).mean())
    assert sum(shares[name] for name in FATES) == pytest.approx(1)


def test_similar_words_stand_in_the_batch_and_their_labels_are_as_written(sequences, vocabulary):
    ids = range(6, len(WORDS))
    table = Substitutes.of({(i,): [(j,) for j in ids if j != i] for i in ids})
    masking = MaskingConfig("random", mask_rate=0.5, replacement="similar", mask_share=1.0, random_share=0.0)
    batches = MaskedBatches(sequences, masking, replace(vocabulary, substitutes=table), 0)
    everything = np.arange(len(sequences))
    batch = batches.batch(everything, everything)
    targets = batch["labels"] != IGNORE
    assert targets.any(1).all() and (batch["input_ids"][targets] != batch["labels"][targets]).all()
    assert (batch["input_ids"] != vocabulary.mask_id).all()


def test_draws_are_the_same_on_every_machine_and_in_every_version(masked_batches):
    """Written down once: who changes these numbers changes what every recipe masks."""
    assert masked_batches.keys(np.array([3, 17])).tolist() == [7615709547273087917, 9240910526626719043]
    batch = masked_batches.batch(np.array([3, 17, 3]), np.array([0, 5, 2]))
    assert batch["input_ids"].tolist() == [[2, 32, 4, 31, 3, 0], [2, 43, 4, 4, 38, 3], [2, 32, 27, 4, 3, 0]]
    targets = (batch["labels"] != IGNORE).nonzero().tolist()
    assert targets == [[0, 2], [1, 1], [1, 2], [1, 3], [2, 3]]


def test_reading_keeps_nothing_of_the_size_of_the_corpus(masked_batches, sequences):
    everything = np.arange(len(sequences))
    masked_batches.batch(everything, everything)
    kept = [x for x in vars(masked_batches).values() if np.ndim(x)]
    assert not kept and masked_batches.keys(everything).tolist() == document_keys(sequences.id).tolist()


def test_numbers_of_a_sequence_as_a_whole_are_one_target_a_row():
    rows = [np.array([2, 3]), np.array([2, 3, 3])]
    several = LabelledBatches(rows, [np.array([0, 1, 0, 1, 1], np.float32), np.zeros(5, np.float32)], 0)
    labels = several.batch(np.array([1, 0]))["labels"]
    assert labels.dtype == torch.float32 and labels.tolist() == [[0] * 5, [0, 1, 0, 1, 1]] and targets_in(labels) == 2
    values = LabelledBatches(rows, [np.float32(0.5), np.float32(-1)], 0).batch(np.array([0, 1]))["labels"]
    assert values.tolist() == [0.5, -1] and targets_in(values) == 2
    assert targets_in(torch.tensor([[1, IGNORE, 0], [IGNORE] * 3])) == 2
