"""Ids and the word of each, whatever the tokenizer family and the text."""

import re

import numpy as np
import pytest
from conftest import TEXTS, WORDS, wordpiece
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.errors import InputError
from pipeline.tokens import (
    Frame,
    Tokens,
    check_tokenizer,
    cut_points,
    encode,
    fingerprint,
    framed,
    planted_words,
    replaceable_ids,
    sequence_rows,
    train_wordpiece,
    unknown_rate,
    words_of_tokens,
)

FAMILIES = ["wordpiece", "byte-level", "byte-level trimmed", "metaspace"]
CJK = "\u4e00-\u9fff"
WORD = re.compile(rf"[{CJK}]{{1,2}}|[^\W{CJK}]+|[^\w\s]")
ODD = "这家店的菜好吃 the film played \u3000\t\n\u00a0,.!éß①ﬁ\u0301\u200d👍🏽Ａ\ufeff[MASK]עבר\x00"
RANDOM = st.one_of(st.text(alphabet=ODD, max_size=40), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))


def spans(text: str) -> np.ndarray:
    """Words as a toy sees them: one or two ideographs, a run of letters, any other visible character."""
    return np.array([match.span() for match in WORD.finditer(text)], dtype=np.int32).reshape(-1, 2)


def read(tokenizer, text: str) -> Tokens:
    return next(encode(tokenizer, [text], spans))


@pytest.fixture(params=FAMILIES)
def family(request, families):
    return families[request.param]


def test_word_pieces_of_one_word_share_its_number(tokenizer):
    found = read(tokenizer, "unplayed 好吃，")
    assert [WORDS[i] for i in found.input_ids] == ["un", "[UNK]", "好", "吃", "[UNK]"] or found.word_ids.tolist() == [
        0, 0, 0, 1, 1, -1,
    ]  # fmt: skip
