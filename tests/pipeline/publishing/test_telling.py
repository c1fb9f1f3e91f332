"""How an artifact was made, in a few words."""

from pathlib import Path

from pipeline.publishing.lineage import Step
from pipeline.publishing.telling import TOLD, told_of
from stages.check import SECTIONS


def told(stage: str, config: dict[str, object], **metrics: float) -> str:
    return told_of(Step(Path("runs/toy/x"), {"stage": stage, "config": config, "metrics": metrics}, {}))


def test_what_is_told_is_told_of_stages():
    assert set(TOLD) <= set(SECTIONS.values())


def test_the_scorer_is_named_where_it_chose_the_words():
    config = {"policy": "selective", "scorer": "tagger", "mask_rate": 0.15}
    assert told("mask", config) == "selective masking by tagger, 15% of the tokens"
    assert told("mask", config | {"policy": "whole_word"}) == "whole word masking, 15% of the tokens"


def test_of_a_base_no_more_is_told_than_its_name():
    assert told("start", {"model": "/home/somebody/models/macbert"}) == "`macbert`"
    assert told("start", {"model": "", "objective": "mlm"}) == "pretrained from scratch, mlm"


def test_a_stage_without_a_line_is_told_by_its_name():
    assert told("train_something", {}) == "train something"
