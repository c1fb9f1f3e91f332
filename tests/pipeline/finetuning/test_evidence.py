"""Several seeds: nothing is dropped, everything adds up."""

from dataclasses import asdict

import numpy as np
import pytest
from finetuning_toys import numbered

from pipeline.finetuning.classes import Classes
from pipeline.finetuning.evidence import Result, class_rows, confused, most_confused, result_of, summary
from pipeline.finetuning.pages import class_table, confusions, elsewhere_table, measures_table
from pipeline.finetuning.split import Split
from pipeline.finetuning.task import Answers
from pipeline.pages.parts import english

TASK = Classes(("a", "b", "c"))
TRUTH = np.array([0, 0, 1, 1, 1, 2])


def result(seed: int, predicted: list[int]) -> Result:
    test = Split([{}] * 6, numbered([0] * 6), TRUTH, np.ones(6, int), np.ones(6, int), np.zeros(6, int))
    return result_of(seed, 50.0 + seed, 10, TASK, test, Answers(np.eye(3)[predicted], np.array(predicted)))


RESULTS = [result(1, [0, 0, 1, 1, 0, 2]), result(2, [1] * 6)]
TOLD = [asdict(one) for one in RESULTS]


def test_every_seed_counts_the_one_that_learned_nothing_too():
    found = summary(TASK, "accuracy", RESULTS)
    accuracies = [100 * 5 / 6, 100 * 3 / 6]
    assert found["accuracy"] == pytest.approx(np.mean(accuracies))
    assert found["accuracy_sd"] == pytest.approx(np.std(accuracies, ddof=1))
    assert (found["accuracy_min"], found["accuracy_max"]) == pytest.approx((accuracies[1], accuracies[0]))
    assert [found[f"accuracy_seed_{seed}"] for seed in (1, 2)] == pytest.approx(accuracies)
    assert found["degenerate"] == 1 and found["dev"] == 51.5


def test_what_is_measured_comes_first_and_in_the_order_of_the_task():
    assert list(summary(TASK, "mcc", RESULTS))[:4] == ["accuracy", "accuracy_sd", "macro_f1", "macro_f1_sd"]


def test_confusions_are_shares_of_a_true_class_over_all_seeds():
    wanted = np.array([[2, 2, 0], [1, 5, 0], [0, 1, 1]]) / [[4], [6], [2]]
    np.testing.assert_allclose(confused(TOLD), wanted)
    assert most_confused(confused(TOLD)) == [(0, 1, 0.5), (2, 1, 0.5), (1, 0, pytest.approx(1 / 6))]
    assert most_confused(np.eye(3)) == []


def test_classes_have_the_mean_of_their_scores_over_seeds():
    precision, recall, f1, deviation, count = class_rows(TOLD)["b"]
    assert (precision, recall, count) == (pytest.approx((100 + 50) / 2), pytest.approx((200 / 3 + 100) / 2), 3)
    assert f1 == pytest.approx((80 + 200 / 3) / 2) and deviation == pytest.approx(np.std([80, 200 / 3], ddof=1))


def test_the_tables_show_every_arm_and_class():
    table = class_table({"base": TOLD, "dapt": TOLD[:1]}, "dapt")
    head = ["class", "test rows", "F1 base", "F1 dapt", "precision dapt", "recall dapt"]
    assert [*map(english, table.head)] == head
    assert table.rows[1] == ["b", "3", "73.3 ± 9.4", "80.0", "100.0", "66.7"] and len(table.rows) == 3
    [row] = measures_table({"base": summary(TASK, "accuracy", RESULTS)}, ["accuracy", "mcc"], "accuracy").rows
    assert row[:2] == ["base", "66.7 ± 23.6"] and row[-1] == "50.0 – 83.3"


def test_confusions_are_told_and_pictured_where_they_can_be_read():
    _, points, picture = confusions("base", TOLD, TASK.names)
    assert english(points.items[0]) == "a taken for b: 50%" and picture.draw("title").startswith("<svg")
    many = [{"confusion": np.eye(25, dtype=int).tolist(), "counts": {}}]
    assert confusions("base", many, [str(i) for i in range(25)]) == []


def test_a_task_without_classes_has_no_tables_of_them():
    values = [{"confusion": [], "counts": {}}]
    assert class_table({"base": values}, "base") is None and confusions("base", values, ["score"]) == []


def test_what_is_lost_elsewhere_is_counted_seed_by_seed():
    away = [one | {"elsewhere": {"away": {"accuracy": value}}} for one, value in zip(TOLD, (50.0, 40.0), strict=True)]
    table = elsewhere_table({"base": away}, "accuracy")
    assert [*map(english, table.head)] == ["arm", "test", "on away", "lost"]
    assert table.rows == [["base", "66.7 ± 23.6", "45.0 ± 7.1", "21.7 ± 16.5"]]
    assert elsewhere_table({"base": TOLD}, "accuracy") is None
