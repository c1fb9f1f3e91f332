"""Words that two bodies of text share."""

from collections import Counter
from math import log2

import pytest
from scipy.spatial.distance import jensenshannon

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS
from corpora.segment import Segmenter
from corpora.vocabulary import Words, counted, jaccard, jensen_shannon, overlap, sampled, together


def test_overlap_is_of_the_most_frequent_words_ties_by_the_alphabet():
    one, other = Counter(a=5, b=4, c=1, d=1), Counter(a=1, c=9, x=8, y=7)
    assert overlap(one, other, 2) == 0 and overlap(one, other, 3) == 1 / 3 and overlap(one, other, 10) == 0.5
    assert overlap(Counter(a=1, b=1), Counter(b=1, a=1), 1) == 1, "a of either"
    assert overlap(Counter(a=3, b=1), Counter(a=1), 10_000) == 1, "as many as the smaller one has"
    assert overlap(Counter(), one, 3) == 0


def test_jaccard_counts_words_that_stand_in_three_documents():
    assert jaccard(Counter(a=3, b=5, c=2), Counter(a=9, c=3, d=4)) == 1 / 4
    assert jaccard(Counter(a=2), Counter()) == 0


def test_divergence_is_scipy_s_and_lies_between_0_and_1_bit():
    one, other = Counter(a=6, b=3, c=1), Counter(b=2, c=2, d=4)
    p, q = [[counts[word] / counts.total() for word in "abcd"] for counts in (one, other)]
    assert jensen_shannon(one, other) == pytest.approx(jensenshannon(p, q, base=2) ** 2)
    assert jensen_shannon(one, Counter(a=60, b=30, c=10)) == pytest.approx(0)
    assert jensen_shannon(one, Counter(x=1)) == pytest.approx(1) == jensen_shannon(one, Counter()) == log2(2)


def test_words_are_counted_by_card_and_halves_without_signs_and_stop_words():
    rows = [
        {
            "id": f"n-{i}",
            "text": "The good Film, 3 films",
            "text_pair": "film?" if i else None,
            "origin": f"{card}:train",
        }
        for i, card in enumerate(["a", "a", "b"])
    ]
    found = counted(rows, Segmenter("unicode", "en"), frozenset({"the"}))
    assert found["a"].counts == Counter(film=3, good=2, films=2) and found["b"].documents == 1
    whole = together(found.values())
    assert whole.within == Counter(film=3, good=3, films=3) and whole.tokens == 6 + 8 + 8
    assert whole.halves[0] + whole.halves[1] == whole.counts == Counter(film=5, good=3, films=3)


def test_halves_are_by_documents():
    words = Words()
    for i in range(200):
        words.add(str(i), ["w"], frozenset())
    assert 70 < words.halves[0]["w"] < 130 and words.halves[0]["w"] + words.halves[1]["w"] == 200


def test_a_sample_does_not_move_and_a_larger_one_holds_it(tmp_path):
    rows = [{"id": str(i), "text": "t", "origin": "a:train"} for i in range(50)]
    write_corpus(tmp_path / "c", DOCUMENTS, rows)
    few, more = ({row["id"] for row in sampled(tmp_path / "c", size)} for size in (5, 20))
    assert len(few) == 5 and few < more and len(more) == 20
