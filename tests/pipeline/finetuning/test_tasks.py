"""Each kind of task: its targets, its loss by the formula, its answers, what is measured."""

import json
import math

import numpy as np
import pytest
import torch
from finetuning_toys import Told, numbered
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from pipeline.batches import IGNORE
from pipeline.finetuning.classes import Classes, Ordered
from pipeline.finetuning.crf import Crf
from pipeline.finetuning.inputs import TaggedBatches
from pipeline.finetuning.labels import Labels, best_threshold
from pipeline.finetuning.pages import TITLES
from pipeline.finetuning.spans import allowed
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Answers, Task
from pipeline.finetuning.tasks import task_from, task_of
from pipeline.finetuning.values import Value
from pipeline.run.errors import InputError

ONE = np.ones(1, dtype=int)
TASKS = [
    Classes(("a", "b")),
    Ordered(("1", "2", "3")),
    Labels(("x", "y"), (0.25, 0.5)),
    Tags(("O", "B-X", "I-X")),
    Value(("score",), 2.5, 0.5),
]


def measured(task: Task, truth: np.ndarray, answers: Answers, lengths: np.ndarray = ONE) -> dict[str, float]:
    return task.measure(truth, answers, task.counts(truth, answers, lengths))


@pytest.mark.parametrize(
    ("rows", "task"),
    [
        ([{"label": "b"}, {"label": "a"}, {"label": "b"}], Classes(("a", "b"))),
        ([{"labels": ["y"]}, {"labels": []}, {"labels": ["x", "y"]}], Labels(("x", "y"))),
        ([{"tags": ["O", "B-X"]}], Tags(("O", "B-X", "I-X"))),
        ([{"score": 2.0}, {"score": 3.0}], Value(("score",), 2.5, 0.5)),
    ],
)
def test_the_kind_of_task_is_the_column_that_is_there(rows, task):
    assert task_of(rows) == task


def test_labels_of_an_order_are_ordered_as_numbers():
    task = task_of([{"label": name} for name in ("10", "9", "-1")], ordered=True)
    assert task == Ordered(("-1", "9", "10")) and task.outputs == ["> -1", "> 9"]


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_written_down_and_read_again(task):
    assert task_from(json.loads(json.dumps(task.described()))) == task


@pytest.mark.parametrize(
    ("rows", "ordered", "told"),
    [
        ([{"label": None}], False, "none of label, labels, tags, score"),
        ([{"label": "good"}, {"label": "2"}], True, "label 'good' is no whole number: ordered = true needs"),
        ([{"labels": ["a"]}], True, "ordered = true is for a label a row, and this task has labels"),
        ([{"label": "a"}], False, "only one class in task train (a)"),
        ([{"score": 3.0}] * 2, False, "every score of task train is 3"),
        ([{"tags": ["O"]}], False, "every tag of task train is O"),
    ],
)
def test_rows_that_pose_no_task_are_refused_in_a_line(rows, ordered, told):
    with pytest.raises(InputError, match=r"^[^\n]*$") as refused:
        task_of(rows, ordered)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("task", "row"),
    [(TASKS[0], {"label": "c"}), (TASKS[2], {"labels": ["x", "c"]}), (TASKS[3], {"tags": ["O", "c"]})],
)
def test_a_label_that_train_never_saw_is_named(task, row):
    with pytest.raises(InputError, match=f"{task.column} 'c' never occurs in task train"):
        task.target(row)


# ---- losses by their formulas -------------------------------------------------------------------------------------


def test_ordered_labels_are_as_likely_as_the_product_of_going_on_and_stopping():
    task, logits = TASKS[1], torch.randn(4, 2)
    on = logits.sigmoid().double()
    wanted = torch.stack([1 - on[:, 0], on[:, 0] * (1 - on[:, 1]), on[:, 0] * on[:, 1]], 1)
    torch.testing.assert_close(task.scores(logits).double(), wanted, atol=1e-6, rtol=1e-5)
    labels = torch.tensor([0, 1, 2, 1])
    loss = -sum(float(wanted[i, label].log()) for i, label in enumerate(labels.tolist()))
    assert float(task.loss(logits, labels)) == pytest.approx(loss, rel=1e-5)


def test_the_loss_of_several_labels_is_binary_cross_entropy_averaged_over_labels():
    logits, labels = torch.randn(3, 2), torch.tensor([[1.0, 0], [0, 0], [1, 1]])
    p = logits.sigmoid().double()
    wanted = -(labels * p.log() + (1 - labels) * (1 - p).log()).sum() / 2
    assert float(TASKS[2].loss(logits, labels)) == pytest.approx(float(wanted), rel=1e-5)


def test_a_value_is_learned_in_deviations_and_answered_as_given():
    task, scores = TASKS[4], torch.tensor([[1.0], [-2.0]])
    assert task.target({"score": 3.0}) == 1 and task.scores(scores).tolist() == [[3.0], [1.5]]
    assert float(task.loss(scores, torch.tensor([0.0, 0.0]))) == 5


# ---- answers ------------------------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_rows():
    logits = [[0.0, 1.0], [3.0, 0.0], [0.0, 2.0]]
    answers = TASKS[0].answers(Told(logits), numbered([0, 0, 0], [2, 9, 4]))
    np.testing.assert_allclose(answers.scores, torch.tensor(logits).softmax(-1).numpy(), rtol=1e-6)
    assert answers.predicted.tolist() == [1, 0, 1]


def test_the_median_label_is_decided_for():
    assert TASKS[1].decide(np.array([[0.4, 0.2, 0.4], [0.6, 0, 0.4], [0.1, 0.2, 0.7]])).tolist() == [1, 0, 2]


def test_every_label_has_its_threshold():
    assert TASKS[2].decide(np.array([[0.3, 0.3], [0.2, 0.5]])).tolist() == [[True, False], [False, True]]
    assert Labels(("x", "y")).decide(np.array([[0.3, 0.5]])).tolist() == [[False, True]]


def tagged(words: list[list[int]], lengths: list[int], counts: list[int]) -> TaggedBatches:
    """Rows whose first id is their number; the k-th token that is read begins at place 1 + 2 k."""
    labels = [np.full(length, IGNORE) for length in lengths]
    for row, read in zip(labels, words, strict=True):
        row[1 : 1 + 2 * len(read) : 2] = 0
    ids = [np.full(length, i) for i, length in enumerate(lengths)]
    return TaggedBatches(ids, labels, 0, None, [np.array(w) for w in words], np.array(counts))


def test_tags_stand_at_their_tokens_and_tokens_that_are_not_read_are_o():
    sure = lambda *tags: np.stack([9.0 * np.eye(3)[tag] for tag in tags])
    model = Told([sure(0, 1, 0, 2, 0, 0), sure(2, 1, 2)])
    answers = TASKS[3].answers(model, tagged([[0, 2], [1]], [6, 3], [4, 2]))
    assert answers.predicted.tolist() == [1, 0, 2, 0, 0, 1]
    assert answers.scores[:, 0].tolist()[3:5] == [1, 1]


def test_tags_break_no_rule_of_their_scheme_with_a_crf_or_without():
    task, draw = Tags(("O", "B-X", "I-X", "B-Y", "I-Y")), np.random.default_rng(0)
    for crf in (None, Crf(5)):
        model = Told([draw.normal(size=(13, 5)) * 3 for _ in range(20)])
        model.crf = crf
        batches = tagged([list(range(6))] * 20, [13] * 20, [6] * 20)
        predicted = task.answers(model, batches).predicted.reshape(20, 6)
        start, between, end = allowed(task.names)
        assert start[predicted[:, 0]].all() and between[predicted[:, :-1], predicted[:, 1:]].all()
        assert end[predicted[:, -1]].all() and len(np.unique(predicted)) == 5


# ---- measures -----------------------------------------------------------------------------------------------------


def test_classes_are_measured_as_their_formulas_say():
    scores = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]], dtype=np.float32)
    found = measured(TASKS[0], np.array([0, 1, 1, 1]), Answers(scores, scores.argmax(1)))
    assert found["accuracy"] == 75 and found["auc"] == 100
    assert found["mcc"] == pytest.approx(100 * (1 * 2 - 1 * 0) / math.sqrt(3 * 2 * 2 * 1))
    assert found["calibration_error"] == pytest.approx(100 * (0.1 + 0.6 + 0.3 + 0.2) / 4, abs=1e-4)


def test_several_labels_are_measured_micro_macro_and_as_whole_rows():
    predicted, truth = np.array([[1, 0], [1, 1], [0, 1]], bool), np.array([[1, 0], [0, 1], [0, 0]], bool)
    found = measured(TASKS[2], truth, Answers(predicted.astype(np.float32), predicted))
    assert found["micro_f1"] == pytest.approx(100 * f1_score(truth, predicted, average="micro"))
    assert found["macro_f1"] == pytest.approx(100 * f1_score(truth, predicted, average="macro"))
    assert found["accuracy"] == pytest.approx(100 / 3)


def test_spans_are_measured_over_texts():
    truth, predicted = np.array([1, 2, 0, 1]), np.array([1, 2, 1, 1])
    found = measured(TASKS[3], truth, Answers(np.eye(3)[predicted], predicted), np.array([3, 1]))
    assert (found["precision"], found["recall"], found["accuracy"]) == (pytest.approx(200 / 3), 100, 75)
    assert found["f1"] == pytest.approx(80)


def test_a_constant_value_correlates_with_nothing():
    constant = Answers(np.ones((3, 1)), np.ones(3))
    found = measured(TASKS[4], np.array([1.0, 2.0, 3.0]), constant)
    assert found["spearman"] == found["pearson"] == 0 and found["absolute_error"] == 1


@pytest.mark.parametrize("task", TASKS)
def test_every_measure_has_a_title_in_both_languages(task):
    truth = {"labels": np.eye(2, dtype=bool), "value": np.array([1.0, 2.0])}.get(task.kind, np.array([0, 1]))
    scores = np.eye(2, len(task.names), dtype=np.float32) if task.kind != "value" else truth[:, None]
    assert set(measured(task, truth, Answers(scores, truth), np.array([2]))) <= set(TITLES)


@pytest.mark.parametrize(
    ("task", "one", "two"),
    [
        (TASKS[0], [1, 1], [1, 0]),
        (TASKS[2], [[True, False]] * 2, [[True, False], [True, True]]),
        (TASKS[3], [0, 0], [0, 1]),
        (TASKS[4], [1.5, 1.5], [1.5, 1.6]),
    ],
)
def test_a_run_whose_answers_are_all_the_same_is_degenerate(task, one, two):
    assert task.degenerate(Answers(np.zeros((2, 1)), np.array(one)))
    assert not task.degenerate(Answers(np.zeros((2, 1)), np.array(two)))


def test_what_is_predicted_is_told_in_words():
    lengths = np.array([2, 1])
    assert TASKS[0].told(Answers(np.array([[0.25, 0.75]]), np.array([1])), ONE)[0]["predicted"] == "b"
    assert TASKS[2].told(Answers(np.zeros((1, 2)), np.array([[True, True]])), ONE)[0]["predicted"] == ["x", "y"]
    told = TASKS[3].told(Answers(np.array([[0.9, 0, 0], [0, 0.8, 0], [0, 0, 0.7]]), np.array([0, 1, 2])), lengths)
    assert [row["predicted"] for row in told] == [["O", "B-X"], ["I-X"]]
    assert [row["probabilities"].tolist() for row in told] == [[0.9, 0.8], [0.7]]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])), min_size=1, max_size=9))
def test_a_tuned_threshold_has_the_best_f1_of_all_thresholds(rows):
    truth, scores = (np.array(column) for column in zip(*rows, strict=True))
    f1 = lambda at: 2 * (truth & (scores >= at)).sum() / max(truth.sum() + (scores >= at).sum(), 1)
    found = best_threshold(truth, scores.astype(np.float32))
    assert f1(found) == pytest.approx(max(map(f1, np.linspace(0, 1.01, 51)))) if truth.any() else found == 0.5


def test_thresholds_are_one_for_all_labels_or_each_its_own():
    truth = np.array([[1, 0], [1, 1], [0, 0]], bool)
    scores = np.array([[0.3, 0.2], [0.4, 0.9], [0.1, 0.6]], dtype=np.float32)
    assert Labels(("x", "y")).tuned(truth, scores, ONE, one_for_all=False).thresholds == pytest.approx((0.2, 0.75))
    assert len(set(Labels(("x", "y")).tuned(truth, scores, ONE, one_for_all=True).thresholds)) == 1
