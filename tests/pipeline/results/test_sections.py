"""What a report shows of the arms alone."""

from dataclasses import replace
from pathlib import Path

from pipeline.pages.parts import Picture
from pipeline.results import sections
from pipeline.results.arms import Arm


def arm(name: str, before: tuple[float, float], *points: tuple[float, float]) -> Arm:
    """One that was measured on (its own, general) text, before and on its way."""
    metrics = dict(zip(("dev_loss_before", "dev_general_loss_before"), before, strict=True)) if points else {}
    made = Arm(name, Path("runs/toy"), {}, {"metrics": metrics})
    lines = [
        {"step": step, "dev/loss": own, "dev/general_loss": general} for step, (own, general) in enumerate(points)
    ]
    made.__dict__["journal"] = lines
    return made


def ways(*arms: Arm) -> list[dict[str, list]]:
    """Of every picture of ways the series it draws."""
    parts = sections.curves(arms).parts
    return [part.draw.args[0] for part in parts if isinstance(part, Picture) and part.name.startswith("ways")]


def test_arms_that_began_at_one_point_share_a_picture_of_what_they_learned_and_forgot():
    base = arm("base", (0, 0))
    dapt, control = arm("dapt", (5.0, 4.0), (4.0, 6.0)), arm("dapt-control", (5.0, 4.0), (3.0, 5.0), (2.0, 5.5))
    tapt = arm("tapt", (5.5, 4.0), (4.5, 4.2))
    shared, alone = ways(base, dapt, control, tapt)
    assert shared["dapt"] == [[(5.0, 4.0), (4.0, 6.0)]] and shared["dapt-control"][0][-1] == (2.0, 5.5)
    assert shared["tapt"] == [] and alone["tapt"] == [[(5.5, 4.0), (4.5, 4.2)]]
    assert list(shared) == list(alone) == ["base", "dapt", "dapt-control", "tapt"], "colours are those of all plots"


def test_a_training_on_general_text_has_nothing_to_forget():
    assert ways(arm("general", (4.0, 4.0), (3.0, 3.0))) == []


def test_every_pretraining_of_an_arm_has_a_line_of_its_own_under_one_name():
    again = arm("dapt-2", (5.0, 4.0), (3.5, 6.5))
    dapt = replace(arm("dapt", (5.0, 4.0), (4.0, 6.0)), repeats=(again,))
    dapt.__dict__["pretrainings"] = (arm("dapt", (5.0, 4.0), (4.0, 6.0)), again)
    [shared] = ways(arm("base", (0, 0)), dapt)
    assert shared["dapt"] == [[(5.0, 4.0), (4.0, 6.0)], [(5.0, 4.0), (3.5, 6.5)]] and "dapt-2" not in shared
    losses = next(part.draw.args[0] for part in sections.curves([dapt]).parts if part.name == "dev_loss")
    assert losses == {"dapt": [[(0, 5.0), (1, 4.0)], [(0, 5.0), (1, 3.5)]]}
