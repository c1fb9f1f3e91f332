"""Sentences that stand in many rows."""

import pytest

from corpora.cleaning.templates import sentences, templates, without_templates
from corpora.keeping import in_silence


@pytest.mark.parametrize("text", ["好。不错！！ 3.5 分. ok... fine", "a.b\n\nc", "", "x。", "…", "no end", " . "])
def test_sentences_together_are_the_text(text):
    assert "".join(sentences(text)) == text


def test_sentences_end_with_their_marks_and_numbers_are_whole():
    assert sentences("好。不错！！ 3.5 分. See a.com now") == ["好。", "不错！！", " 3.5 分.", " See a.com now"]


def rows(*texts: str) -> list[dict[str, str]]:
    return [{"text": text, "place": text} for text in texts]


def test_a_template_stands_in_a_share_of_rows_and_counts_once_a_row():
    found = rows("一样。甲。", "乙。一样。", "一样。丙。", "丁。丁。丁。丁。", "戊。")
    assert templates(found, 0.6) == {"一样。"}
    assert templates(found, 0.61) == set()
    assert templates(rows("a. b.", "a. c."), 0.1) == set(), "of few rows nothing is a template"


def test_a_row_that_is_nothing_else_is_dropped_with_a_reason():
    told = []
    kept = without_templates(rows("一样。 甲。", "一样。"), frozenset({"一样。"}), lambda *row: told.append(row))
    assert [row["text"] for row in kept] == ["甲。"] and told == [("一样。", "only_template", "一样。")]
    assert list(without_templates(rows("甲"), frozenset(), in_silence)) == rows("甲")
