"""Lines of a page that many documents have: counted exactly in a table of fixed size, taken out, nothing else."""

from collections import Counter

import pytest

from corpora.cleaning import furniture
from corpora.cleaning.furniture import repeated_lines, without_lines

PAGE = ["首页 > 新闻", "{}", "相关推荐", "{} 的第二段。"]


def rows(count: int) -> list[dict]:
    return [{"place": str(i), "text": "\n".join(line.format(f"正文{i}") for line in PAGE)} for i in range(count)]


def test_lines_in_many_documents_are_found_and_no_others():
    found = repeated_lines(lambda: rows(12), least=10)
    assert found == {"首页 > 新闻": 12, "相关推荐": 12}
    assert not repeated_lines(lambda: rows(9), least=10)


def test_a_line_counts_once_a_document_and_only_where_there_are_others():
    again = [{"place": "", "text": "同一行\n同一行\n别的"}, {"place": "", "text": "单独一行"}] * 3
    assert repeated_lines(lambda: again, least=3) == {"同一行": 3, "别的": 3}
    assert not repeated_lines(lambda: [{"place": "", "text": "同一行\n同一行"}] * 2, least=3)


def test_strangers_in_one_place_of_the_table_are_not_taken_out(monkeypatch):
    """The smallest table there can be, in which all lines share a place."""
    monkeypatch.setattr(furniture, "PLACES", 1)
    assert repeated_lines(lambda: rows(12), least=10) == {"首页 > 新闻": 12, "相关推荐": 12}


def test_the_rest_of_a_document_stays_and_what_is_nothing_else_is_dropped():
    known, told, changed = Counter({"首页 > 新闻": 12, "相关推荐": 12}), [], Counter()
    given = [*rows(1), {"place": "x", "text": " 相关推荐 \n首页 > 新闻"}, {"place": "y", "text": "相关推荐"}]
    kept = list(without_lines(given, known, 2, lambda *row: told.append(row), changed))
    assert [row["text"] for row in kept] == ["正文0\n正文0 的第二段。", "相关推荐"]
    assert told == [("x", "only_repeated_lines", " 相关推荐 \n首页 > 新闻")]
    assert changed["lines_taken_out"] == 2


@pytest.mark.parametrize("text", ["", "\n\n", "a\n\nb"])
def test_what_holds_no_known_line_is_untouched(text):
    row = {"place": "", "text": text}
    assert list(without_lines([row], Counter({"c": 9}), 0, None, Counter())) == [row]
