"""Terms are found as they are written, kept whole, and come first."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.masking.terms import joined, spans_of, terms_of

TERMS = terms_of(["New York", "new york times", "", "  river  "], str.split)


def test_the_longest_term_at_a_place_is_taken_whatever_its_case():
    text = ["The", "New", "YORK", "Times", "of", "New", "York", "by", "the", "River"]
    assert spans_of(text, TERMS) == [(1, 4), (5, 7), (9, 10)]
    assert spans_of([], TERMS) == spans_of(["new"], TERMS) == []


@given(st.lists(st.sampled_from("ab"), max_size=12), st.lists(st.text("ab", min_size=1, max_size=3), max_size=4))
def test_occurrences_are_terms_in_order_and_apart(words, terms):
    found = spans_of(words, terms_of(terms, list))
    assert all("".join(words[first:end]) in terms for first, end in found)
    assert all(a[1] <= b[0] for a, b in pairwise(found))


def test_a_term_becomes_one_word_as_important_as_can_be():
    word_ids = np.array([-1, 0, 1, 1, 2, -1, 3, -1], dtype=np.int32)
    importance = np.array([0, 5, 6, 6, 0, 0, 7, 0], dtype=np.uint8)
    words, scores = joined(word_ids, importance, [(1, 3)])
    assert words.tolist() == [-1, 0, 1, 1, 1, -1, 3, -1]
    assert scores.tolist() == [0, 5, 255, 255, 255, 0, 7, 0]


def test_a_term_outside_of_a_stretch_of_the_document_changes_nothing():
    word_ids, importance = np.array([0, 1], dtype=np.int32), np.array([1, 2], dtype=np.uint8)
    words, scores = joined(word_ids, importance, [(5, 9)])
    assert words.tolist() == [0, 1] and scores.tolist() == [1, 2]
