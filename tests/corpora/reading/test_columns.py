"""Columns: nested ones by their path, several as one text."""

import pytest

from corpora.reading.columns import at, columns_of, names_in, value

RECORD = {"id": 3, "review": {"body": "good", "by": {"name": "Li"}, "none": None}, "title": "Hotel", "empty": ""}


@pytest.mark.parametrize(
    ("path", "found"),
    [("id", 3), ("review.body", "good"), ("review.by.name", "Li"), ("review.none", None), ("review.none.more", None)]
    + [(gone, None) for gone in ("gone", "review.gone", "gone.body", "id.more", "review.", ".review", "")],
)
def test_a_path_leads_into_what_is_nested_or_to_nothing(path, found):
    assert at(RECORD, path) == found


def test_a_column_with_a_dot_in_its_name_is_that_column():
    assert at({"a.b": 1, "a": {"b": 2, "c.d": 3}}, "a.b") == 1 and at({"a": {"c.d": 3}}, "a.c.d") == 3


def test_names_are_columns_and_the_paths_below_them():
    names = list(names_in(RECORD))
    assert names == ["id", "review", "title", "empty", "review.body", "review.by", "review.none", "review.by.name"]


def test_a_template_names_its_columns():
    assert columns_of("{title}：{review.body}") == ["title", "review.body"] and columns_of("title") == ["title"]


def test_a_template_is_filled_in():
    assert value(RECORD, ["{title}：{review.body}（{review.body}）"]) == "Hotel：good（good）"


def test_what_is_filled_in_is_no_template():
    assert value({"a": "{b}", "b": "x"}, ["{a}{b}"]) == "{b}x"


@pytest.mark.parametrize("missing", ["gone", "empty", "review.none"])
def test_a_template_without_one_of_its_columns_is_left_out(missing):
    assert value(RECORD, [f"{{title}}：{{{missing}}}"]) is None
    assert value(RECORD, [f"{{title}}：{{{missing}}}", "review.body"]) == "good"


def test_several_columns_stand_one_below_the_other():
    assert value(RECORD, ["title", "empty", "gone", "review.body"]) == "Hotel\ngood"
    assert value(RECORD, ["gone", "empty"]) is None


def test_what_is_no_string_is_given_back_to_be_counted():
    assert value(RECORD, ["{title} {id}"]) == 3 == value(RECORD, ["title", "id"])
