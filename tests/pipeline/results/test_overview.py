"""What several tasks say together: their mean, and how sure it is."""

import re
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp
from test_differences import made

from pipeline.results.arms import Arm, by_task
from pipeline.results.differences import differences
from pipeline.results.overview import OverTasks, over_tasks, overview


def of_runs(*runs: Path) -> tuple[list[list[Arm]], list]:
    tasks = by_task(runs)
    return tasks, differences(tasks, lambda _: None, 0.95)


def test_interval_and_p_are_those_of_the_t_test_over_tasks():
    values = [1.0, 2.0, 0.5, 3.0]
    one, known = OverTasks(dict(zip("abcd", values, strict=True)), 0.9), ttest_1samp(values, 0)
    low, high = known.confidence_interval(0.9)
    assert [*one.interval[:3], one.p] == pytest.approx([1.625, low, high, known.pvalue])
    assert OverTasks({"a": 1.0, "b": 1.0}, 0.9).p == 0 and OverTasks({"a": 0.0, "b": 0.0}, 0.9).p == 1


def test_what_all_tasks_compare_is_gathered_by_what_an_arm_is_and_not_by_its_recipe(tmp_path):
    scores = {"zh": 80, "zh@knn": 81, "en": 75, "en@knn": 78}
    runs = [made(tmp_path / name, {"base": 70, "dapt": score}, name[:2]) for name, score in scores.items()]
    tasks, found = of_runs(*runs)
    gathered = over_tasks(tasks, found, 0.95)
    assert {pair for pair in gathered if "knn/base" not in pair} == {
        ("dapt", "base"), ("knn/dapt", "base"), ("knn/dapt", "dapt"),
    }  # fmt: skip
    assert gathered["knn/dapt", "dapt"].differences == pytest.approx({"zh": 1, "en": 3})


def test_recipes_that_are_no_variants_stay_out_and_one_task_has_no_overview(tmp_path):
    runs = [made(tmp_path / name, {"base": 70, "dapt": 80}, name[:2]) for name in ("zh", "zh-other", "en")]
    gathered = over_tasks(*of_runs(*runs), 0.95)
    assert {name for pair in gathered for name in pair} == {"dapt", "base"}
    assert not overview(*of_runs(*runs[:2]), 0.95).parts


def test_the_overview_says_every_task_and_the_mean(tmp_path):
    runs = [made(tmp_path / name, {"base": 70, "dapt": score}, name) for name, score in (("zh", 80), ("en", 76))]
    table = overview(*of_runs(*runs), 0.95).parts[0]
    assert [*map(str, table.head[1:3])] == ["zh", "en"] and len(table.rows) == 1
    zh, en, mean = table.rows[0][1:4]
    assert float(mean.split()[0]) == pytest.approx((float(zh) + float(en)) / 2, abs=0.06)


def test_the_picture_of_the_overview_has_a_colour_where_its_p_is_of_a_difference(tmp_path):
    """dapt against base: p 0.03 alone, twice that of all that are compared."""
    for task, gain in zip("abcd", (0, 10, 12, 2), strict=True):
        for variant, score in (("", 75), ("@knn", 95)):
            made(tmp_path / f"{task}{variant}", {"base": 70, "dapt": score + gain}, task)
    table, picture, _ = overview(*of_runs(*sorted(tmp_path.iterdir())), 0.95).parts
    strokes = re.findall(r'stroke="(#\w+)" stroke-width="2.5"', picture.draw(""))
    assert [stroke != "#999" for stroke in strokes] == [float(row[-1].removeprefix("< ")) < 0.05 for row in table.rows]
    assert "[+" in table.rows[0][-2] and strokes[0] == "#999"
