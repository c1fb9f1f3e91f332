"""What a comparison costs: read off the settings of its runs, before anything is trained."""

import json
from pathlib import Path

import pytest

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS
from pipeline.run.artifact import MANIFEST
from stages import estimate as stage

TRAINER = {"steps": 10, "epochs": 1.0, "batch_size": 4, "evaluations": 1}
SIZE = {"hidden_size": 16, "layers": 1, "heads": 2, "max_length": 32, "dropout": 0.0}
SETTINGS = {
    "corpus": {},
    "base": {"model": "", "vocab_size": 50, "documents": 0, "trainer": TRAINER, **SIZE},
    "masked": {"policy": "selective", "max_length": 32},
    "dapt": {"trainer": TRAINER},
    "finetuned": {"max_length": 32, "seeds": [1, 2, 3], "trainer": TRAINER},
}
ROWS = {"task/train": 8, "task/dev": 4, "task/test": 6, "domain/train": 20, "general/train": 30}


def planned(run: Path, **changed: dict) -> Path:
    """A run of which the corpus is made and the settings are written: six ideographs a text."""
    (run / ".settings").mkdir(parents=True)
    for name, settings in SETTINGS.items():
        (run / ".settings" / f"{name}.json").write_text(json.dumps(settings | changed.get(name, {})))
    for part in ("general", "domain", "task"):
        row = dict.fromkeys(DOCUMENTS.names) | {"id": "1", "text": "今天菜很好吃"[:6], "origin": part}
        write_corpus(run / "corpus" / part / "train", DOCUMENTS, [row])
    finished(run, "corpus", ROWS)
    return run


def finished(run: Path, name: str, metrics: dict[str, float] | None = None) -> None:
    (run / name).mkdir(parents=True, exist_ok=True)
    (run / name / MANIFEST).write_text(json.dumps({"digest": "", "files": {}, "metrics": metrics or {}}))


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    monkeypatch.setattr(stage, "speed", lambda *_: 320.0)


def listed(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[0].splitlines()[2:]]


def test_every_training_is_listed_with_its_tokens_and_its_time(tmp_path):
    lines = stage.estimate([planned(tmp_path / "a")])
    names = ["base", "finetuned-base", "dapt", "finetuned-dapt", "dapt-control", "finetuned-dapt-control"]
    assert listed(lines) == [f"a/{name}" for name in names]
    assert lines[0].splitlines()[4 - 2].split()[1:] == ["10", "0.0", "M", "00:01"]  # 10 steps of 4 texts of 8 ids
    assert "at 320 tokens/s" in lines[2]


def test_controls_and_repeats_are_listed_as_they_would_be_made(tmp_path):
    general = {"policy": "random", "max_length": 32, "general_documents": 7}
    lines = stage.estimate([planned(tmp_path / "a", masked=general)], repeats=2)
    arms = ["dapt", "dapt-2", "general", "general-2"]
    assert listed(lines)[2:] == [f"a/{name}" for arm in arms for name in (arm, f"finetuned-{arm}")]


def test_what_is_there_and_what_another_recipe_makes_is_not_counted_again(tmp_path):
    first, other = planned(tmp_path / "a"), planned(tmp_path / "b", masked={"policy": "random", "max_length": 32})
    finished(first, "finetuned-base")
    lines = stage.estimate([first, other])
    assert listed(lines)[-2:] == ["b/dapt", "b/finetuned-dapt"] and "b/base" not in listed(lines)
    assert lines[3].startswith("there already, or equal to others: 3;")


def test_where_all_is_there_nothing_is_measured(tmp_path, monkeypatch):
    run = planned(tmp_path / "a")
    for name in listed(stage.estimate([run])):
        finished(run, name.removeprefix("a/"))
    monkeypatch.setattr(stage, "speed", None)
    assert stage.estimate([run]) == ["nothing to train: 6 artifacts are there, or equal to others"]
