"""What is said of words whatever they weigh."""

import numpy as np

from pipeline.masking.marks import Marks
from pipeline.masking.terms import terms_of

WORDS = ["the", "Lord", "of", "the", "Rings", ",", "again"]
WORD_IDS = np.array([-1, 0, 1, 2, 3, 4, 4, 5, 6, -1], dtype=np.int32)
WEIGHED = np.array([0, 9, 8, 7, 6, 5, 5, 4, 0, 0], dtype=np.uint8)
STOP = frozenset({"the", "of"})


def test_a_term_is_salient_with_the_stop_words_in_it():
    marks = Marks(STOP, keep_punctuation=False, terms=terms_of(["of the rings"], str.split))
    words, importance = marks.put(WORD_IDS, WEIGHED, WORDS)
    assert words.tolist() == [-1, 0, 1, 2, 2, 2, 2, 5, 6, -1]
    assert importance.tolist() == [0, 0, 8, 255, 255, 255, 255, 0, 1, 0]


def test_where_nothing_is_said_every_word_may_be_chosen_by_what_it_weighs():
    words, importance = Marks(frozenset(), keep_punctuation=True, terms={}).put(WORD_IDS, WEIGHED, WORDS)
    assert words.tolist() == WORD_IDS.tolist() and importance.tolist() == [0, 9, 8, 7, 6, 5, 5, 4, 1, 0]
