"""Texts as words, for counting."""

import pytest

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS
from corpora.segment import Segmenter
from corpora.words import labelled_words_of, words_of

ROWS = [
    {"id": "a", "text": "a good film", "label": "good"},
    {"id": "b", "text": "one text", "text_pair": "and its pair", "label": "none"},
    {"id": "c", "text": "no label"},
]


@pytest.fixture
def folder(tmp_path):
    write_corpus(tmp_path, DOCUMENTS, ({**dict.fromkeys(DOCUMENTS.names), **row} for row in ROWS))
    return tmp_path


def test_the_words_of_a_pair_are_those_of_both_texts(folder):
    found = list(words_of(folder, Segmenter("unicode")))
    assert found == [["a", "good", "film"], ["one", "text", "and", "its", "pair"], ["no", "label"]]


def test_only_texts_with_a_label_are_compared_by_label(folder):
    found = list(labelled_words_of(folder, Segmenter("unicode")))
    assert found == [(["a", "good", "film"], "good"), (["one", "text", "and", "its", "pair"], "none")]
