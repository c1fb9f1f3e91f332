"""What a comparison costs: read off the settings of its runs, before anything is trained."""

import json
import re
import shutil
from pathlib import Path

import pytest
from transformers import GPT2Config

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS
from pipeline.plan import Plan, finished
from pipeline.run.artifact import MANIFEST
from pipeline.run.errors import InputError
from stages import estimate as stage
from stages.check import check

RECIPE = """
[base]
vocab_size = 50
hidden_size = 16
layers = 1
max_length = 32
[finetuned]
max_length = 32
seeds = [1, 2, 3]
[masked]
max_length = 32
"""
TRAINED = ("base", "finetuned", "dapt", "tapt")
ROWS = {"task/train": 8, "task/dev": 4, "task/test": 6, "domain/train": 20, "general/train": 30}
RANDOM = "masked.policy=random"


def planned(run: Path, *settings: str, without: str = "") -> Path:
    """A run of which the corpus is made and the settings are written: six ideographs a text."""
    recipe = run.parent.parent / "toy.toml"
    recipe.write_text(RECIPE)
    pace = [f"{name}.trainer.{pace}" for name in TRAINED for pace in ("steps=10", "batch_size=4", "evaluations=1")]
    check(str(recipe), [*pace, *settings], run / ".settings")
    rows = {name: count for name, count in ROWS.items() if not name.startswith(without or "-")}
    for part in {name.split("/")[0] for name in rows}:
        row = dict.fromkeys(DOCUMENTS.names) | {"id": "1", "text": "今天菜很好吃"[:6], "origin": part}
        write_corpus(run / "corpus" / part / "train", DOCUMENTS, [row])
    sealed(run / "corpus", "corpus", rows)
    return run


def sealed(folder: Path, key: str, metrics: dict[str, float] | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in metrics or ROWS if name.endswith("train")]
    parts = {name: {"size": 1, "sha256": f"{key} {name}"} for name in names}
    made = {"digest": f"digest of {key}", "key": key, "files": parts, "metrics": metrics or {}}
    (folder / MANIFEST).write_text(json.dumps(made))


def finish(run: Path, *names: str) -> None:
    """As their stages would, from what is there, with the settings as they are."""
    for name in names:
        sealed(run / name, Plan(run, finished(run.parent)).key(name))


@pytest.fixture
def runs(tmp_path) -> Path:
    return tmp_path / "runs"


@pytest.fixture(autouse=True)
def measured(monkeypatch):
    monkeypatch.setattr(stage, "speed", lambda *_: 320.0)


def listed(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[0].splitlines()[2:]]


CHAIN = ("base", "finetuned-base", "scores", "tagger", "masked", "dapt", "finetuned-dapt")
CONTROL = ("masked-control", "dapt-control", "finetuned-dapt-control")


def test_every_training_is_listed_with_its_tokens_and_its_time(runs):
    lines = stage.estimate([planned(runs / "a")])
    names = ["base", "finetuned-base", "dapt", "finetuned-dapt", "dapt-control", "finetuned-dapt-control"]
    assert listed(lines) == [f"a/{name}" for name in names]
    assert lines[0].splitlines()[4 - 2].split()[1:] == ["10", "0.0", "M", "00:01"]  # 10 steps of 4 texts of 8 ids
    assert "at 320 tokens/s" in lines[2]


def test_controls_and_repeats_are_listed_as_they_would_be_made(runs):
    lines = stage.estimate([planned(runs / "a", RANDOM, "masked.general_documents=7")], repeats=2)
    arms = ["dapt", "dapt-2", "general", "general-2"]
    assert listed(lines)[2:] == [f"a/{name}" for arm in arms for name in (arm, f"finetuned-{arm}")]
    run = planned(runs / "b")
    finish(run, *CHAIN, *CONTROL, "tapt", "finetuned-tapt")
    assert listed(stage.estimate([run])) == ["b/tapt-control", "b/finetuned-tapt-control"]
    finish(run, "dapt-tapt", "finetuned-dapt-tapt", "tapt-control", "finetuned-tapt-control")
    assert listed(stage.estimate([run])) == ["b/dapt-tapt-control", "b/finetuned-dapt-tapt-control"]


def test_a_variant_has_no_controls_as_it_is_compared_with_the_recipe(runs):
    general = "masked.general_documents=7"
    lines = stage.estimate([planned(runs / "a", general), planned(runs / "a@more", general, "masked.mask_rate=0.3")])
    assert listed(lines)[-2:] == ["a@more/dapt", "a@more/finetuned-dapt"] and "a/general" in listed(lines)


def test_runs_of_one_task_that_are_fine_tuned_otherwise_are_refused_before_anything_is_trained(runs):
    recipe, variant = planned(runs / "a"), planned(runs / "a@crf", "finetuned.head.crf=true")
    told = re.escape("a@crf is fine-tuned otherwise than ") + r"\S+/a \(finetuned.head.crf = true, there false\)"
    with pytest.raises(InputError, match=told):
        stage.estimate([recipe, variant])
    manifest = variant / "corpus" / MANIFEST
    manifest.write_text(manifest.read_text().replace('"sha256": "corpus task/train"', '"sha256": "other rows"'))
    assert "a@crf/finetuned-base" in listed(stage.estimate([recipe, variant]))


def test_what_is_there_and_what_another_recipe_makes_is_not_counted_again(runs):
    first, other = planned(runs / "a"), planned(runs / "b", RANDOM)
    finish(first, "base", "finetuned-base")
    lines = stage.estimate([first, other])
    assert listed(lines)[-2:] == ["b/dapt", "b/finetuned-dapt"] and "b/base" not in listed(lines)
    assert lines[3].startswith("there already, or equal to others: 4;")


@pytest.mark.parametrize(
    "setting",
    [
        "chosen.method=knn",
        "scores.buffer.min_gain=0.3",
        "tagger.trainer.epochs=9",
        "masked.mask_rate=0.3",
        "dapt.trainer.steps=99",
        "dapt.probe.rows=4",
    ],
)
def test_whatever_a_training_is_made_by_makes_it_another(runs, setting):
    recipe, changed = planned(runs / "a"), planned(runs / "b", setting)
    finish(recipe, *CHAIN, *CONTROL)
    assert listed(stage.estimate([changed]))[:2] == ["b/dapt", "b/finetuned-dapt"]
    assert listed(stage.estimate([planned(runs / "c"), changed]))[:2] == ["b/dapt", "b/finetuned-dapt"]


def test_what_a_training_is_not_made_by_makes_no_other(runs):
    finish(planned(runs / "a", RANDOM), "base", "finetuned-base", "masked", "dapt", "finetuned-dapt")
    tagger = planned(runs / "b", RANDOM, "tagger.trainer.epochs=9", "dapt.trainer.per_device_batch_size=2")
    assert stage.estimate([tagger])[0].startswith("nothing to train: 4 artifacts")


def test_what_was_made_by_other_settings_from_other_text_or_by_older_code_is_not_there(runs):
    run = planned(runs / "a")
    finish(run, *CHAIN, *CONTROL)
    planned(run, "finetuned.seeds=[1]")
    assert listed(stage.estimate([run])) == ["a/finetuned-base", "a/dapt", "a/finetuned-dapt", "a/dapt-control",
                                             "a/finetuned-dapt-control"]  # fmt: skip
    planned(run)
    assert stage.estimate([run])[0].startswith("nothing to train")
    keys = run / ".settings" / "keys.json"
    keys.write_text(re.sub(r'("stage": "pretrain",\s+"version": )\d+', r"\g<1>99", keys.read_text()))
    assert listed(stage.estimate([run]))[0] == "a/dapt"
    planned(run)
    made = json.loads((run / "corpus" / MANIFEST).read_text())
    made["files"]["general/train"]["sha256"] = "other text"
    (run / "corpus" / MANIFEST).write_text(json.dumps(made))
    assert listed(stage.estimate([run]))[0] == "a/base"


def test_where_all_is_there_nothing_is_measured(runs, monkeypatch):
    run = planned(runs / "a")
    finish(run, *CHAIN, *CONTROL)
    monkeypatch.setattr(stage, "speed", None)
    assert stage.estimate([run]) == ["nothing to train: 6 artifacts are there, or equal to others"]


@pytest.mark.parametrize("made", [False, True])
def test_a_base_that_cannot_be_measured_has_an_unknown_time_and_stops_nothing(runs, monkeypatch, made):
    monkeypatch.setattr(stage, "speed", None)
    Path(decoder := str(runs.parent / "decoder")).mkdir()
    GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=20, n_positions=32).save_pretrained(decoder)
    run = planned(runs / "a", f"base.model={decoder}", "base.objective=clm", RANDOM)
    if made:
        finish(run, "base")
        shutil.copy(f"{decoder}/config.json", run / "base")
    lines = stage.estimate([run])
    assert listed(lines) == ["a/finetuned-base", "a/dapt", "a/finetuned-dapt"]
    assert {line.split()[-1] for line in lines[0].splitlines()[2:]} == {"unknown"}
    assert lines[2].endswith("M tokens, unknown") and lines[3].startswith("unknown: of gpt2, as only models of masked")


def test_of_bases_of_which_one_is_measured_its_time_is_told(runs):
    Path(decoder := str(runs.parent / "decoder")).mkdir()
    GPT2Config(n_layer=1, n_embd=8, n_head=1, vocab_size=20, n_positions=32).save_pretrained(decoder)
    other = planned(runs / "b", f"base.model={decoder}", "base.objective=clm", RANDOM)
    lines = stage.estimate([planned(runs / "a", RANDOM), other])
    assert re.search(r" tokens, \d\d:\d\d and what is unknown at 320 tokens/s for 0.0 M parameters", lines[2])


def test_a_base_of_another_objective_that_was_built_here_is_reckoned_as_before(runs):
    run = planned(runs / "a", "base.objective=plm", RANDOM)
    before = stage.estimate([run])
    finish(run, "base")
    (run / "base" / "config.json").write_text('{"model_type": "xlnet"}')
    assert stage.estimate([run])[0].splitlines()[2:] == before[0].splitlines()[3:]


@pytest.mark.parametrize("part", ["task", "general"])
def test_text_that_is_missing_is_named_in_one_line(runs, part):
    with pytest.raises(InputError, match=f"a/corpus has no {part}.*: (add|name) "):
        stage.estimate([planned(runs / "a", without=part)])
