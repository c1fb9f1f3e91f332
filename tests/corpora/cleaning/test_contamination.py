"""Runs of dev and test in other text: those that are there, and no others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.cleaning.contamination import CHARACTERS, WORDS, Grams, clear, noted
from corpora.cleaning.dedup import normalised

ZH = "这家店的菜很好吃味道也不错我们常常来服务员非常热情下次还会再来推荐给大家"
EN = " ".join(f"word{i}" for i in range(30))


def runs(text: str, language: str) -> set[str]:
    """By hand."""
    units = list(normalised(text)) if language == "zh" else [w for w in map(normalised, text.split()) if w]
    size = CHARACTERS if language == "zh" else WORDS
    return {"\0".join(units[i : i + size]) for i in range(len(units) - size + 1)}


@given(
    st.sampled_from(["zh", "en"]),
    st.lists(
        st.lists(st.sampled_from(["ab", "C", "中", "文", "，", " ", "１", "é"]), max_size=80).map("".join), max_size=6
    ),
    st.lists(
        st.lists(st.sampled_from(["ab", "C", "中", "文", "，", " ", "１", "é"]), max_size=80).map("".join), max_size=6
    ),
)
def test_what_is_found_is_what_shares_a_run(language, held, texts):
    grams = Grams.of(language)
    grams.add(held)
    known = set().union(*(runs(text, language) for text in held)) if held else set()
    assert grams.within(texts).tolist() == [bool(runs(text, language) & known) for text in texts]


@pytest.mark.parametrize(
    ("language", "text", "around"),
    [
        ("zh", ZH[:24], "前面{}后面"),
        ("zh", ZH[:12] + "，！ " + ZH[12:24], "x{}"),
        ("en", " ".join(EN.split()[:13]).upper(), "so {}, yes"),
    ],
)
def test_case_width_and_signs_hide_nothing(language, text, around):
    grams = Grams.of(language)
    grams.add([ZH if language == "zh" else EN])
    assert grams.within([around.format(text)]).tolist() == [True]
    shorter = text[:-1] if language == "zh" else " ".join(text.split()[:-1])
    assert grams.within([around.format(shorter)]).tolist() == [False]


def test_a_run_does_not_go_over_the_end_of_a_text():
    grams = Grams.of("zh")
    grams.add([ZH[:12], ZH[12:24]])
    assert not grams.within([ZH]).any() and not len(grams.known)
    grams.add([ZH])
    assert not grams.within([ZH[:12], ZH[12:24]]).any()
    assert grams.within([]).tolist() == []


def test_nothing_is_known_of_a_million_strangers():
    """A hash of 64 bits, behind a table of which most is empty."""
    draw = np.random.default_rng(0)
    text = lambda size: "".join(map(chr, draw.integers(0x4E00, 0x9000, size)))
    grams = Grams.of("zh")
    grams.add([text(1000) for _ in range(50)])
    assert not grams.within([text(100_000) for _ in range(10)]).any()


def test_rows_are_dropped_with_a_reason_by_either_text():
    grams, told = Grams.of("zh"), []
    held = [{"text": "短", "text_pair": ZH, "place": "t"}]
    assert list(noted(held, grams)) == held
    rows = [{"text": text, "text_pair": pair, "place": text[:2]} for text, pair in
            (("自由的", None), (f"抄来的{ZH}", None), ("也是", ZH[3:]), ("不是", ZH[:9]))]  # fmt: skip
    assert [row["text"] for row in clear(rows, grams, lambda *row: told.append(row[:2]))] == ["自由的", "不是"]
    assert told == [("抄来", "shares_text_with_dev_or_test"), ("也是", "shares_text_with_dev_or_test")]


@pytest.mark.parametrize(("language", "size"), [("zh", 24), ("zh-TW", 24), ("yue-HK", 13), ("en", 13), ("en-GB", 13)])
def test_runs_of_a_language_are_those_of_its_dialects(language, size):
    assert Grams.of(language).size == size
