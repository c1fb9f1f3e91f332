"""Which rows a change of model fixes and breaks, and what a run cost: counted by hand."""

from fractions import Fraction

import pytest

from pipeline.pages.parts import english
from pipeline.results.changes import changed, changes, judged
from pipeline.results.cost import cost, differing


def said(*rows: str) -> list[dict[str, object]]:
    """`id truth answer answer …`, an answer a seed."""
    parts = [row.split() for row in rows]
    return [{"id": i, "label": truth, "predicted": a} for i, truth, *answers in parts for a in answers]


BEFORE = judged("classes", said("1 a b b b", "2 a a a a", "3 b b b a", "4 b a b a"))
AFTER = judged("classes", said("1 a a a a", "2 a b a b", "3 b b a b", "4 b b b b"))


def test_the_rows_of_which_most_runs_changed_come_first_and_those_that_broke_last():
    assert [(one.id, 3 * one.gain) for one in changed(BEFORE, AFTER)] == [("1", 3), ("4", 2), ("2", -2)]


def test_fixed_and_broken_rows_are_counted_by_what_most_runs_say_and_shown_with_their_texts():
    section = changes("base", "dapt", changed(BEFORE, AFTER), {"1": "one", "2": "two"}, 4)
    told, _, fixed, _, broken = section.parts
    assert "wrong on **2**" in told.en and "way round on **1**" in told.en
    assert [[*map(english, row)] for row in fixed.rows] == [["one", "a", "b", "a", "0/3 → 3/3"]]
    assert [[*map(english, row)] for row in broken.rows] == [["two", "a", "a", "b", "3/3 → 1/3"]]


def test_what_was_pretrained_twice_is_weighed_by_its_share_of_runs():
    twice = judged("classes", said("1 a a a b b a a", "2 a a a a a a a", "3 b b b a b b a"))
    [one] = changed(BEFORE, twice)
    assert (one.id, one.gain) == ("1", Fraction(4, 6))
    fixed = changes("base", "dapt", [one], {"1": "one"}, 3).parts[2]
    assert english(fixed.rows[0][-1]) == "0/3 → 4/6"


def test_where_nothing_changed_there_is_no_section():
    assert not changes("base", "dapt", changed(BEFORE, BEFORE), {}, 4).parts


@pytest.mark.parametrize(
    ("kind", "row", "right"),
    [
        ("labels", {"id": "1", "labels": ["x", "y"], "predicted": ["y", "x"]}, 1),
        ("tags", {"id": "1", "tags": ["O", "B-x"], "predicted": ["B-x", "O"]}, 0),
        ("spelling", {"id": "1", "target": "对", "predicted": "对"}, 1),
    ],
)
def test_every_kind_of_task_has_its_right_and_wrong(kind, row, right):
    assert judged(kind, [row])["1"].right == right


def test_a_number_is_neither_right_nor_wrong():
    assert judged("value", [{"id": "1", "score": 1.0, "predicted": 1.0}]) == {}


def made(seconds: float, memory: float, finished: str, **config: object) -> dict[str, object]:
    provenance = {"seconds": seconds, "peak_memory_mb": memory, "finished": finished, "machine": "m", "processes": 1}
    files = {"model": {"size": 2_000_000}}
    return {
        "key": finished,
        "metrics": {"steps": 5, "tokens": 1e6},
        "provenance": provenance,
        "files": files,
        "config": config,
    }


def test_costs_add_up_but_the_peak_is_the_highest_and_what_runs_share_counts_once():
    shared = made(30, 1500, "1")
    rows = cost({"b": made(60, 500, "2"), "a": shared, "other/a": shared}).parts[0].rows
    assert [row[0] for row in rows[:2]] == ["a", "b"] and rows[0][1:] == ["5", "1.0 M", "00:30", "1.5 GB", "2.0 MB"]
    assert rows[2][3:] == ["01:30", "1.5 GB", "4.0 MB"]


def test_recipes_differ_where_an_artifact_of_one_name_has_other_settings():
    one, other = made(1, 1, "1", policy="selective", rate=0.15), made(1, 1, "1", policy="random", rate=0.15)
    assert differing({"x": {"masked": one}, "y": {"masked": other}}) == [["masked.policy", "selective", "random"]]
    assert differing({"x": {"masked": one}}) == []
