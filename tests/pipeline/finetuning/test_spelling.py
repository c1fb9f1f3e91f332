"""Spelling correction as a task: its measures against definitions written out by hand, thresholds, what is told."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.finetuning.characters import codes_in
from pipeline.finetuning.pages import TITLES
from pipeline.finetuning.spelling import (
    LINES,
    WHOLE,
    Spelling,
    SpellingConfig,
    best_thresholds,
    counted,
)
from pipeline.finetuning.task import Answers
from pipeline.finetuning.tasks import task_from, task_of
from pipeline.run.errors import InputError

TASK = Spelling(("wrong",))


def flat(rows: list[tuple[str, str, str]]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Written, truth, predicted of all rows, and their lengths."""
    columns = [codes_in("".join(column)) for column in zip(*rows, strict=True)]
    return *columns, np.array([len(row[0]) for row in rows])


def by_hand(rows: list[tuple[str, str, str]]) -> dict[str, tuple[int, int, int]]:
    """Every definition one sentence and one character at a time."""
    hits, found, there = ({name: 0 for name in [*LINES.values(), WHOLE]} for _ in range(3))

    def add(name: str, hit: bool, given: bool, true: bool) -> None:
        for table, one in ((hits, hit), (found, given), (there, true)):
            table[LINES.get(name, name)] += bool(one)

    for source, target, predicted in rows:
        gold = {i for i, (a, b) in enumerate(zip(source, target, strict=True)) if a != b}
        edits = {i for i, (a, b) in enumerate(zip(source, predicted, strict=True)) if a != b}
        add("detection_f1", gold and gold == edits, edits, gold)
        add("f1", edits and target == predicted, edits, gold)
        add(
            "pycorrector_f1",
            gold and target == predicted,
            (gold and target == predicted) or (not gold and edits),
            gold,
        )
        add(WHOLE, target == predicted, True, True)
        for i in gold | edits:
            add("character_detection_f1", i in gold and i in edits, i in edits, i in gold)
            add("character_f1", i in edits and predicted[i] == target[i], i in edits, i in gold)
        if both := gold & edits:
            right = {i for i in both if predicted[i] == target[i]}
            missed = [i for i in gold if target[i] not in {predicted[j] for j in both}]
            name = LINES["pycorrector_character_f1"]
            hits[name] += len(right)
            found[name] += len(both)
            there[name] += len(right) + len(missed)
    return {name: (hits[name], found[name], there[name]) for name in hits}


CASES = [
    ("我门好", "我们好", "我们好"),  # corrected
    ("我门好", "我们好", "我闷好"),  # found, wrongly corrected
    ("我门好", "我们好", "他门好"),  # another character changed
    ("我门好", "我们好", "他们好"),  # corrected, and one too many
    ("我门好", "我们好", "我门好"),  # missed
    ("我们好", "我们好", "我们好"),  # left alone
    ("我们好", "我们好", "我门好"),  # a false alarm
    ("门门门", "们们们", "们门门"),  # one of three
    ("", "", ""),
]


def test_every_measure_is_as_its_definition_says_on_cases_made_by_hand():
    assert counted(*flat(CASES)) == by_hand(CASES)
    counts = counted(*flat(CASES))
    assert counts[LINES["f1"]] == (1, 6, 6) and counts[LINES["detection_f1"]] == (2, 6, 6)
    assert counts[LINES["pycorrector_f1"]] == (1, 2, 6)  # edits of wrong sentences are no false alarms there
    assert counts[LINES["character_f1"]] == (3, 7, 8) and counts[WHOLE] == (3, 9, 9)


@given(st.lists(st.lists(st.tuples(*[st.sampled_from("甲乙丙")] * 3), max_size=5), min_size=1, max_size=6))
def test_every_measure_is_as_its_definition_says(rows):
    texts = [tuple("".join(part) for part in zip(*row, strict=True)) if row else ("", "", "") for row in rows]
    assert counted(*flat(texts)) == by_hand(texts)


def answers(rows: list[tuple[str, str, str]]) -> Answers:
    written, _, predicted, _ = flat(rows)
    scores = np.stack([np.full(len(written), 0.9)] * 2 + [predicted, written], axis=1).astype(np.float32)
    return Answers(scores, TASK.decide(scores))


def test_measures_are_those_counts_in_percent():
    _, truth, _, lengths = flat(CASES)
    found = answers(CASES)
    measured = TASK.measure(truth, found, TASK.counts(truth, found, lengths))
    assert measured["precision"] == measured["recall"] == measured["f1"] == pytest.approx(100 / 6)
    assert measured["accuracy"] == pytest.approx(100 / 3) and measured["false_alarms"] == pytest.approx(100 / 3)
    assert set(TASK.metrics) <= set(measured) <= set(TITLES) and not TASK.degenerate(found)
    assert TASK.degenerate(answers([("我门", "我们", "我门")]))


def test_what_is_changed_is_told_with_its_place_and_how_sure():
    told = TASK.told(answers(CASES), flat(CASES)[3])
    assert [row["source"] for row in told] == [row[0] for row in CASES]
    assert [row["predicted"] for row in told] == [row[2] for row in CASES]
    [change] = told[0]["changes"]
    assert (change["offset"], change["written"], change["corrected"]) == (1, "门", "们")
    assert change["wrong"] == change["likely"] == pytest.approx(0.9)
    assert told[5]["changes"] == told[8]["changes"] == []


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_character_is_changed_where_both_heads_are_sure_enough(wrong, likely, first, second):
    scores = np.array([[wrong, likely, ord("们"), ord("门")]], dtype=np.float32)
    found = Spelling(("wrong",), (first, second)).decide(scores)[0]
    sure = scores[0, 0] >= np.float32(first) and scores[0, 1] >= np.float32(second)
    assert chr(found) == ("们" if sure else "门")


SCORED = st.lists(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.7, 0.9]), st.sampled_from([0.1, 0.3, 0.6, 0.8]),
                  st.sampled_from("甲乙"), st.sampled_from("甲乙"), st.sampled_from("甲乙")), max_size=4),
    min_size=1, max_size=5)  # fmt: skip


BOTH = [[(0.7, 0.6, "甲", "乙", "乙"), (0.7, 0.8, "乙", "甲", "乙")]]
"""One threshold for both lies between 0.6 and 0.7: the lower of two scores decides."""


@given(SCORED, st.booleans())
@example(BOTH, True)
@settings(max_examples=60)
def test_tuned_thresholds_correct_as_many_sentences_as_any_could(rows, one_for_all):
    cells = [cell for row in rows for cell in row]
    scores = np.array([(w, p, ord(best), ord(written)) for w, p, best, written, _ in cells], dtype=np.float32)
    scores, truth = scores.reshape(-1, 4), np.array([ord(cell[4]) for cell in cells], dtype=np.int64)
    lengths = np.array([len(row) for row in rows])

    def f1(cuts: tuple[float, float]) -> float:
        tuned = Spelling(("wrong",), cuts)
        said = Answers(scores, tuned.decide(scores))
        return tuned.measure(truth, said, tuned.counts(truth, said, lengths))["f1"]

    grid = np.linspace(0, 1.0, 21).tolist()
    tried = [(a, a) for a in grid] if one_for_all else [(a, b) for a in grid for b in grid]
    found = best_thresholds(truth, scores, lengths, one_for_all)
    assert f1(found) == pytest.approx(max(map(f1, tried)))
    assert not one_for_all or found[0] == found[1]


def test_without_a_right_change_to_make_thresholds_stay_at_one_half():
    scores = np.array([[0.9, 0.9, ord("甲"), ord("乙")]], dtype=np.float32)
    assert best_thresholds(np.array([ord("乙")]), scores, np.array([1]), False) == (0.5, 0.5)


def test_the_task_is_posed_by_source_and_target_and_written_down():
    rows = [{"source": "我门", "target": "我们"}, {"source": "好", "target": "好"}]
    assert task_of(rows) == TASK
    tuned = Spelling(("wrong",), (0.25, 0.75))
    assert task_from(json.loads(json.dumps(tuned.described()))) == tuned


def test_rows_without_an_error_and_rows_that_are_not_aligned_are_refused_in_a_line():
    with pytest.raises(InputError, match=r"^every source of task train is as its target[^\n]*$"):
        task_of([{"source": "好", "target": "好"}])
    with pytest.raises(InputError, match=r"source and target of doc-1 differ in length: make the corpus"):
        TASK.target({"id": "doc-1", "source": "我", "target": "我们"})


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"correction": -1.0}, "must not be negative"),
        ({"correction": 0.0, "detection": 0.0}, "one of the first two positive"),
        ({"alpha": 1.0}, "alpha = 1.0 must be at least 0 and below 1"),
    ],
)
def test_weights_without_meaning_are_refused(setting, told):
    with pytest.raises(ValueError, match=told):
        SpellingConfig(**setting)
