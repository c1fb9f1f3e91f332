"""Words and tokens of a document: from the ones to the others and back."""

import numpy as np
from scoring_toys import document, random_documents

from pipeline.scoring.documents import Document, by_piece


def test_of_a_stretch_of_text_only_its_words_are_known():
    words = ["a", "b", "c", "d", "e"]
    one = Document.of("x", np.array([7, 8, 9], np.int32), np.array([2, -1, 3], np.int32), words)
    assert one.words == ["c", "d"] and one.word_ids.tolist() == [0, -1, 1]
    none = Document.of("x", np.array([7], np.int32), np.array([-1], np.int32), words)
    assert none.words == [] and none.pieces == [] and len(none.known) == 0


def test_each_word_has_the_tokens_numbered_after_it():
    for one in random_documents(50):
        assert len(one.pieces) == len(one.words)
        for word, places in enumerate(one.pieces):
            assert places.tolist() == np.flatnonzero(one.word_ids == word).tolist()
        assert one.known.tolist() == [i for i, places in enumerate(one.pieces) if len(places)]


def test_values_of_tokens_become_values_of_words_and_back():
    one, values = document([11, 12, 1, 13], [0, 0, -1, 2]), np.array([1.0, 3.0, 9.0, -2.0])
    assert one.best_of_words(values).tolist() == [3, 0, -2]
    assert one.sum_of_words(values).tolist() == [4, 0, -2]
    assert one.to_tokens(np.array([4.0, 5.0, 6.0])).tolist() == [4, 4, 0, 6]


def test_by_piece_each_known_token_is_a_word():
    pieces = by_piece(document([11, 12, 1, 13], [0, 0, -1, 2]))
    assert pieces.word_ids.tolist() == [0, 1, -1, 2] and pieces.words == ["w0", "w0", "w2"]
