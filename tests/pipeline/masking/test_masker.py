"""From documents to the rows of a masked corpus."""

import re

import numpy as np
import pytest
from conftest import TEXTS

from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.marks import Marks
from pipeline.masking.masker import Masker
from pipeline.masking.selection import choose
from pipeline.scoring.weighing import Cutter, Words

CONFIG = MaskingConfig(mask_rate=0.4, select="threshold")


def spans(text: str) -> np.ndarray:
    return np.array([match.span() for match in re.finditer(r"[a-z]+|\S", text)])


def by_length(sequences: list[dict], words: Words) -> list[np.ndarray]:
    """A long word is important; the words of a sequence are those of its document."""
    found = []
    for row in sequences:
        weights = np.array([40 * len(word) for word in words[row["id"].partition("#")[0]]], dtype=np.uint8)
        found.append(np.where(row["word_ids"] >= 0, weights[row["word_ids"]], 0).astype(np.uint8))
    return found


@pytest.fixture
def masker(tokenizer) -> Masker:
    marks = Marks(frozenset({"is"}), keep_punctuation=False, terms={})
    return Masker(CONFIG, Cutter(tokenizer, spans, max_length=8), by_length, marks)


def batches(size: int) -> list[dict[str, list]]:
    """The toy texts, so many together."""
    rows = [{"id": f"d{i}", "text": text, "text_pair": None, "keywords": ["film"]} for i, text in enumerate(TEXTS)]
    return [{name: [row[name] for row in rows[i : i + size]] for name in rows[0]} for i in range(0, len(rows), size)]


def masked(masker: Masker, size: int) -> tuple[list[dict], dict[str, float]]:
    """The rows as lists, and what is counted of them."""
    counts: dict[str, float] = {}
    rows = list(masker.rows(batches(size), counts))
    return [{name: np.asarray(value).tolist() for name, value in row.items()} for row in rows], counts


def test_each_row_is_chosen_among_as_if_it_were_alone_at_visit_0(masker):
    rows = list(masker.rows(batches(3), {}))
    assert [row["id"] for row in rows] == ["d0", "d0#1", "d1", "d2", "d3", "d4", "d4#1", "d5"]
    for row in rows:
        visit = document_keys([row["id"]]), np.zeros(1, dtype=int)
        [alone] = choose(CONFIG, row["word_ids"][None], row["importance"][None], *visit)
        assert row["masked"].tolist() == alone.tolist()


@pytest.mark.parametrize("size", [1, 4])
def test_rows_and_counts_do_not_depend_on_what_is_masked_together(masker, size):
    assert masked(masker, size) == masked(masker, 99)


def test_text_that_nobody_scored_has_the_same_marks_and_words_at_random(masker):
    for row in masker.at_random().rows(batches(99), {}):
        admitted = row["importance"] > 0
        assert set(row["importance"][admitted].tolist()) == {1} and row["masked"][admitted].any()
        assert not row["masked"][~admitted].any()
