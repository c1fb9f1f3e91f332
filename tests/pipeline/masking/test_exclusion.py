"""Words that are never predicted."""

import numpy as np

from pipeline.masking.exclusion import admitted, excluded_words

WORDS = ["The", "film", "。", "…", "!?", "3.5", "[", "不", "的", "$", "C++", ""]


def test_stop_words_and_punctuation_are_excluded():
    found = excluded_words(WORDS, frozenset({"the", "的"}), keep_punctuation=False)
    assert [word for word, out in zip(WORDS, found, strict=True) if out] == ["The", "。", "…", "!?", "[", "的", "$"]


def test_punctuation_may_stay():
    found = excluded_words(WORDS, frozenset({"的"}), keep_punctuation=True)
    assert [word for word, out in zip(WORDS, found, strict=True) if out] == ["的"]


def test_excluded_words_have_importance_zero_and_all_others_more():
    importance, word_ids = np.array([7, 0, 255, 3, 0, 9], np.uint8), np.array([-1, 0, 1, 2, 2, -1])
    found = admitted(importance, word_ids, np.array([False, True, False]))
    assert found.tolist() == [0, 1, 0, 3, 1, 0] and found.dtype == np.uint8
