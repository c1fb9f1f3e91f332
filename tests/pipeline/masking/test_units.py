"""What is taken together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.rows import Rows
from pipeline.masking.selection import choose
from pipeline.masking.units import LENGTHS, Units


def long_rows(count: int, words: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """word_ids, importance, keys, epochs of rows of one-token words without an end to be cut at soon."""
    word_ids = np.repeat(np.arange(words)[None], count, axis=0)
    return word_ids, np.ones(word_ids.shape, np.uint8), document_keys(list(range(count))), np.zeros(count, int)


def joined(unit: str, word_ids: np.ndarray, importance: np.ndarray) -> Units:
    rows = Rows.padded(word_ids.shape, document_keys(list(range(len(word_ids)))), np.zeros(len(word_ids), int), 0)
    return Units.of(MaskingConfig("whole_word", unit=unit), rows, word_ids.ravel(), importance.ravel())


@pytest.mark.parametrize("unit", ["ngram", "span"])
def test_lengths_are_those_of_the_paper(unit):
    word_ids, importance, *_ = long_rows(40, 2000)
    counts = np.bincount(joined(unit, word_ids, importance).length, minlength=11)[1:]
    wanted = LENGTHS[unit]
    assert abs(counts[: len(wanted)] / counts.sum() - wanted).max() < 0.01 and not counts[len(wanted) :].any()


def test_spans_have_the_mean_length_of_spanbert():
    assert (LENGTHS["span"] * np.arange(1, 11)).sum() == pytest.approx(3.8, abs=0.01)


def test_chosen_ngrams_have_these_lengths_too():
    word_ids, importance, keys, epochs = long_rows(60, 2000)
    units = joined("ngram", word_ids, importance)
    masked = choose(MaskingConfig("whole_word", 0.15, unit="ngram"), word_ids, importance, keys, epochs).ravel()
    taken = units.length[masked[units.places[units.start]]]
    assert abs(np.bincount(taken)[1:] / len(taken) - [0.4, 0.3, 0.2, 0.1]).max() < 0.02


@given(st.integers(0, 10**6), st.sampled_from(["ngram", "span"]))
def test_pieces_cover_all_words_in_order_and_nothing_is_joined_across_a_gap(seed, unit):
    draw = np.random.default_rng(seed)
    word_ids = np.where(draw.random((3, 40)) < 0.2, -1, np.repeat(np.arange(20), 2))
    importance = np.where(draw.random(20) < 0.2, 0, 9).astype(np.uint8)[np.maximum(word_ids, 0)]
    units = joined(unit, word_ids, importance)
    eligible = (word_ids >= 0) & ((importance > 0) | ~np.where(word_ids >= 0, importance, 0).any(1, keepdims=True))
    assert units.places.tolist() == np.flatnonzero(eligible).tolist()
    for start, length in zip(units.start, units.length, strict=True):
        places = units.places[start : start + length]
        gaps = np.flatnonzero(np.diff(places) > 1)
        words = word_ids.ravel()[places]
        assert len(set((places // 40).tolist())) == 1 and (words[gaps] == words[gaps + 1]).all()  # only inside a word


def test_every_word_is_in_an_ngram_as_often_as_any_other():
    word_ids, importance, keys, epochs = long_rows(6000, 30)
    share = choose(MaskingConfig("whole_word", 0.2, unit="ngram"), word_ids, importance, keys, epochs).mean(0)
    assert abs(share - 0.2).max() < 0.04
