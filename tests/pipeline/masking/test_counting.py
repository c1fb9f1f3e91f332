"""What is counted of masked sequences."""

import numpy as np
import pytest

from pipeline.masking.counting import added, count, metrics_of

SPANS = np.array([[0, 2], [2, 4], [4, 5]])
TEXT = "好吃电影吧"


def row(name: str, importance: list[int], masked: list[int]) -> dict:
    words = np.array([-1, 0, 0, 1, 1, 2, -1])
    return {
        "id": name,
        "word_ids": words,
        "importance": np.array([0, *importance, 0], np.uint8),
        "masked": np.array([0, *masked, 0], bool),
    }


def counted(rows: list[dict], keywords: list[list[str] | None]) -> dict[str, float]:
    counts: dict[str, float] = {}
    texts = {"text": [TEXT] * len(keywords), "text_pair": [None] * len(keywords)}
    batch = {"id": [f"d{n}" for n in range(len(keywords))], "keywords": keywords, **texts}
    count(counts, rows, batch, lambda text: SPANS)
    return counts


def test_special_tokens_are_counted_nowhere():
    counts = counted([row("d0", [255, 255, 1, 1, 1], [1, 1, 0, 0, 0])], [None])
    assert counts == {"sequences": 1, "tokens": 5, "masked": 2, "important": 2}


def test_hits_are_counted_of_documents_with_keywords_and_of_their_first_sequences():
    rows = [row(name, [255, 255, 255, 255, 1], [0, 0, 1, 1, 0]) for name in ("d0", "d0#1", "d1")]
    counts = counted(rows, [["电影"], None])
    assert counts == {"sequences": 3, "tokens": 15, "masked": 6, "important": 12} | {
        "truth": 2,
        "found": 4,
        "hits": 2,
        "masked_truth": 2,
    }
    metrics = metrics_of(counts)
    assert (metrics["truth_precision"], metrics["truth_recall"]) == (50, 100)
    assert metrics["mask_rate"] == pytest.approx(6 / 15)
    assert metrics["masked_on_truth"] == pytest.approx(100 * 2 / 6)


def test_shards_are_added_whatever_each_has_counted():
    assert added([{"tokens": 3, "truth": 1}, {"tokens": 4}]) == {"tokens": 7, "truth": 1}


def test_nothing_masked_is_no_division_by_nothing():
    assert metrics_of({"sequences": 1, "tokens": 0, "masked": 0, "important": 0})["mask_rate"] == 0


def test_the_words_of_a_pair_are_those_of_both_its_texts():
    """`好吃` and, after a line end that is no word, `电影吧`."""
    spans = lambda text: SPANS if text == TEXT else np.array([[0, 2], [3, 5], [5, 6]])
    counts: dict[str, float] = {}
    batch = {"id": ["d0"], "text": ["好吃"], "text_pair": ["电影吧"], "keywords": [["电影"]]}
    count(counts, [row("d0", [1, 1, 255, 255, 1], [0, 0, 1, 1, 0])], batch, spans)
    assert (counts["truth"], counts["hits"], counts["masked_truth"]) == (2, 2, 2)
