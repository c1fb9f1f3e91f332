"""What stands in the place of a word to predict."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import CAPPED, FALLBACK, KEPT, RANDOM, REPLACED, Vocabulary, corrupt, replaced
from pipeline.masking.rows import Rows
from pipeline.masking.substitutes import Substitutes


def corrupted(config: MaskingConfig, vocabulary: Vocabulary, ids: np.ndarray, masked: np.ndarray) -> np.ndarray:
    keys, visit = document_keys([str(i) for i in range(len(ids))]), np.zeros(len(ids), int)
    return corrupt(config, vocabulary, ids, np.zeros_like(ids), masked, keys, visit)


def test_chosen_ids_become_mask_random_or_stay_as_80_10_10():
    ids = np.full((1000, 100), 7)
    vocabulary = Vocabulary(4, np.arange(10, 60, dtype=np.int32))
    found = corrupted(MaskingConfig(), vocabulary, ids, np.ones(ids.shape, bool))
    shares = [(found == 4).mean(), (found >= 10).mean(), (found == 7).mean()]
    assert np.abs(np.array(shares) - [0.8, 0.1, 0.1]).max() < 4.5 * np.sqrt(0.16 / ids.size)


def test_random_tokens_are_drawn_evenly_from_what_may_stand_there():
    ids = np.full((1000, 100), 7)
    vocabulary = Vocabulary(4, np.array([11, 13, 17, 19], dtype=np.int32))
    found = corrupted(MaskingConfig(mask_share=0.0, random_share=1.0), vocabulary, ids, np.ones(ids.shape, bool))
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [11, 13, 17, 19] and abs(counts / ids.size - 0.25).max() < 0.01


def test_ids_that_are_not_chosen_stay_as_written(vocabulary):
    draw = np.random.default_rng(0)
    ids, masked = draw.integers(0, len(WORDS), (50, 20)), draw.random((50, 20)) < 0.5
    written = ids.copy()
    found = corrupted(MaskingConfig(), vocabulary, ids, masked)
    assert (found[~masked] == ids[~masked]).all() and (ids == written).all()


def test_a_row_is_corrupted_the_same_whatever_is_beside_it(vocabulary):
    ids, masked = np.full((20, 30), 7), np.ones((20, 30), bool)
    keys, epochs = document_keys([str(i) for i in range(20)]), np.arange(20)
    together = corrupt(MaskingConfig(), vocabulary, ids, ids, masked, keys, epochs)
    for i in range(20):
        ids_alone, masked_alone = ids[[i], : i + 1], masked[[i], : i + 1]
        alone = corrupt(MaskingConfig(), vocabulary, ids_alone, ids_alone, masked_alone, keys[[i]], epochs[[i]])
        assert alone[0].tolist() == together[i, : i + 1].tolist()


SIMILAR = MaskingConfig("whole_word", replacement="similar")
MANY = Vocabulary(4, np.arange(900, 1000, dtype=np.int32))
"""Ids of words are below 900 here: what is above is random."""


def words_and_table(rows: int, words: int, known: float) -> tuple[np.ndarray, np.ndarray, Vocabulary]:
    """ids, word_ids: words of one to three tokens, a share `known` with two substitutes each, whose ids are odd."""
    draw = np.random.default_rng(rows)
    word_ids = np.repeat(np.arange(words), draw.integers(1, 4, words))[None].repeat(rows, 0)
    ids = 2 * draw.integers(50, 440, word_ids.shape).astype(np.int32)
    table = {}
    for row, numbers in zip(ids, word_ids, strict=True):
        for word in range(words):
            here = tuple(row[numbers == word].tolist())
            if draw.random() < known:
                table[here] = [tuple(i + 1 for i in here), tuple(i - 1 for i in here)]
    return ids, word_ids, replace(MANY, substitutes=Substitutes.of(table))


def fates(config: MaskingConfig, vocabulary: Vocabulary, ids: np.ndarray, word_ids: np.ndarray, masked: np.ndarray):
    rows = Rows.padded(ids.shape, document_keys(list(range(len(ids)))), np.zeros(len(ids), int), config.seed)
    places = np.flatnonzero(masked)
    return (places, *replaced(config, vocabulary, rows, ids.ravel(), word_ids.ravel(), places))


def test_similar_words_stand_in_for_80_percent_of_words_as_a_whole():
    ids, word_ids, vocabulary = words_and_table(400, 30, known=1.0)
    _, new, fate = fates(SIMILAR, vocabulary, ids, word_ids, np.ones(ids.shape, bool))
    new, fate, step = new.reshape(ids.shape), fate.reshape(ids.shape), new.reshape(ids.shape) - ids
    first = np.diff(word_ids[0], prepend=-1) > 0
    assert abs(np.bincount(fate[:, first].ravel(), minlength=5) / 12_000 - [0.8, 0.1, 0.1, 0, 0]).max() < 0.015
    assert set(step[fate == REPLACED].tolist()) == {1, -1} and (new[fate == RANDOM] >= 900).all()
    assert not step[fate == KEPT].any()
    for word in range(30):  # one draw for a word
        inside = word_ids[0] == word
        assert (fate[:, inside] == fate[:, inside][:, :1]).all()
        assert all(len(set(row[f == REPLACED].tolist())) <= 1
                   for row, f in zip(step[:, inside], fate[:, inside], strict=True))  # fmt: skip
    assert abs((step[fate == REPLACED] == 1).mean() - 0.5) < 0.02


@given(st.integers(1, 30), st.floats(0, 1))
@settings(max_examples=40)
def test_words_without_substitute_are_random_up_to_a_tenth_of_the_row_and_kept_beyond(count, known):
    ids, word_ids, vocabulary = words_and_table(count, 25, known)
    masked = np.random.default_rng(count).random((count, 25))[:, word_ids[0]] < 0.5
    places, new, fate = fates(SIMILAR, vocabulary, ids, word_ids, masked)
    row = places // ids.shape[1]
    fallback = np.bincount(row[fate == FALLBACK], minlength=count)
    assert (fallback <= 0.1 * masked.sum(1)).all()
    assert (new[(fate == FALLBACK) | (fate == RANDOM)] >= 900).all()
    written = ids.ravel()[places]
    assert (new[(fate == CAPPED) | (fate == KEPT)] == written[(fate == CAPPED) | (fate == KEPT)]).all()
    assert (abs(new - written)[fate == REPLACED] == 1).all()
    left = np.bincount(row[fate == CAPPED], minlength=count) > 0
    assert (fallback[left] > 0.1 * masked.sum(1)[left] - 3).all()  # the longest word has three tokens


def test_random_tokens_are_never_special_or_unused(tokenizer, vocabulary):
    ids = np.full((400, 50), WORDS.index("好"))
    config = MaskingConfig("whole_word", replacement="similar", mask_share=0.0, random_share=1.0)
    everything = np.ones(ids.shape, bool)
    _, new, fate = fates(config, replace(vocabulary, substitutes=Substitutes.of({})), ids, ids, everything)
    assert (fate == RANDOM).all() and set(new.tolist()) == {i for i, w in enumerate(WORDS) if not w.startswith("[")}


def test_confusion_replaces_token_by_token():
    ids = np.tile(np.array([10, 20], dtype=np.int32), (3000, 5))
    table = Substitutes.of({(10,): [(11,)], (20,): [(21,), (22,)]})
    config = MaskingConfig("whole_word", replacement="confusion")
    _, new, fate = fates(config, replace(MANY, substitutes=table), ids, np.zeros_like(ids), np.ones(ids.shape, bool))
    assert set(new[fate == REPLACED].tolist()) == {11, 21, 22} and abs((fate == REPLACED).mean() - 0.8) < 0.01
    pairs = (fate == REPLACED).reshape(-1, 2)
    assert abs((pairs[:, 0] & pairs[:, 1]).mean() - 0.64) < 0.02


def test_substitutes_that_are_asked_for_must_be_there():
    with pytest.raises(ValueError, match="similar needs substitutes"):
        fates(SIMILAR, MANY, np.ones((1, 3), np.int32), np.zeros((1, 3), int), np.ones((1, 3), bool))


@given(st.integers(0, 10**6), st.sampled_from(["mask", "similar", "confusion"]))
@settings(max_examples=50)
def test_a_replacement_depends_on_the_visit_and_the_place_alone(seed, replacement):
    ids, word_ids, vocabulary = words_and_table(6, 12, known=0.6)
    draw, config = np.random.default_rng(seed), replace(SIMILAR, replacement=replacement, seed=seed % 5)
    masked = draw.random((6, 12))[:, word_ids[0]] < 0.6
    keys, epochs = document_keys(list(range(6))), draw.integers(0, 9, 6)
    together = corrupt(config, vocabulary, ids, word_ids, masked, keys, epochs)
    order = draw.permutation(6)
    wider = [np.pad(x[order], ((0, 0), (0, 3)), constant_values=fill)
             for x, fill in ((ids, 0), (word_ids, -1), (masked, False))]  # fmt: skip
    found = corrupt(config, vocabulary, *wider, keys[order], epochs[order])
    assert (found[:, : ids.shape[1]] == together[order]).all()
