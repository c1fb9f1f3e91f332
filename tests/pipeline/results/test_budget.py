"""What a report shows of arms that differ in nothing but how long they were pretrained."""

from dataclasses import replace
from pathlib import Path

from pipeline.pages.parts import Picture, Table
from pipeline.results.arms import Arm
from pipeline.results.budget import by_steps


def arm(name: str, steps: int, *scores: float, text: str = "domain", stage: str = "pretrain", **trainer) -> Arm:
    config = {"trainer": {"steps": steps, "learning_rate": 1e-3} | trainer}
    made = {"stage": stage, "metrics": {"steps": steps}, "config": config, "inputs": {"masked": text}}
    found = Arm(name, Path("runs/toy"), {}, made)
    found.__dict__["scores"] = {(1, seed): score for seed, score in enumerate(scores)}
    found.__dict__["evidence"] = {"metric": "accuracy"}
    return found


BASE = arm("base", 900, 70, 72, stage="start")
SHORT, LONG = arm("dapt", 100, 74, 76), arm("long/dapt", 200, 80, 82)


def table(*arms: Arm) -> list:
    [found] = (part for part in by_steps([BASE, *arms]).parts if isinstance(part, Table))
    return [[*found.head[1:]], *found.rows]


def test_arms_that_differ_in_their_steps_alone_stand_in_one_column_from_base_on():
    other = [arm("random", 100, 73, 73, text="other"), arm("random-long", 200, 75, 75, text="other")]
    assert table(LONG, SHORT, *other) == [
        ["dapt", "random"],
        ["0", "71.0 ± 1.4", "71.0 ± 1.4"],
        ["100", "75.0 ± 1.4", "73.0 ± 0.0"],
        ["200", "81.0 ± 1.4", "75.0 ± 0.0"],
    ]


def test_what_only_one_was_trained_for_has_a_gap_and_what_a_machine_holds_makes_no_difference():
    longer = arm("longer/dapt", 400, 90, per_device_batch_size=8)
    assert table(LONG, SHORT, longer)[-1] == ["400", "90.0"]
    other = [arm("random", 100, 73, text="other"), arm("random-long", 300, 75, text="other")]
    assert [row[1:] for row in table(LONG, SHORT, *other)[3:]] == [["81.0 ± 1.4", ""], ["", "75.0"]]


def test_what_differs_in_anything_else_has_no_section():
    for other in (arm("x", 200, 1, learning_rate=2e-3), arm("x", 200, 1, text="other"), arm("x", 100, 1)):
        assert not by_steps([BASE, SHORT, other]).parts


def test_all_pretrainings_count():
    again = replace(LONG, repeats=(arm("long/dapt-2", 200, 90, 92),))
    again.__dict__.update(scores={(1, 0): 80, (2, 0): 90}, evidence=SHORT.evidence)
    assert table(SHORT, again)[-1] == ["200", "85.0 ± 7.1 × 2"]


def test_the_picture_has_a_line_a_name_and_a_bar_for_every_deviation():
    [picture] = (part for part in by_steps([BASE, SHORT, LONG]).parts if isinstance(part, Picture))
    svg = picture.draw("t")
    assert svg.count("<polyline") == 1 + 3 and all(f">{steps}<" in svg for steps in (0, 100, 200))
