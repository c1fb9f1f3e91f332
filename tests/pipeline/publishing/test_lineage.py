"""What an artifact was made of, found by what was read and not by what it is called."""

import sys

import pytest

from pipeline.publishing.lineage import lineage, readers
from pipeline.publishing.repeating import command, recipe, without_places
from pipeline.run.artifact import digests, input_digest, open_draft, seal
from pipeline.run.key import make_key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def made(folder, stage, files, inputs=None, config=None, command="make dapt"):
    """A sealed artifact; inputs: name -> path of one before."""
    given = {name: path if isinstance(path, str) else input_digest(path) for name, path in (inputs or {}).items()}
    key = make_key(stage, 1, config or {}, given)
    draft = open_draft(folder, key, config or {})
    for name, content in files.items():
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).write_text(content)
    manifest = {"stage": stage, "version": 1, "config": config or {}, "inputs": given, "key": key, "metrics": {}}
    seal(draft, folder, {**manifest, "provenance": {"command": command, "seconds": 1.0}})
    return folder


@pytest.fixture
def dapt(tmp_path):
    """corpus -> base, masked -> dapt, in runs/toy."""
    run = tmp_path / "runs" / "toy"
    parts = {f"{part}/train/part-0.txt": part for part in ("general", "domain", "task")}
    corpus = made(run / "corpus", "prepare", parts, {"file 0: card.toml": "f" * 64}, {"domain": ["card"]})
    base = made(run / "base", "start", {"weights": "1"}, {"general": corpus / "general"}, {"trainer": {"steps": 9}})
    kept = {"domain/train/part-0.txt": "ids"}
    masked = made(run / "masked", "mask", kept, {"init": base, "corpus": corpus, "terms": "a" * 64}, {"terms": "t"})
    pretraining = {"trainer": {"steps": 400, "learning_rate": 1e-5, "adam_betas": [0.9, 0.98]}, "objective": "mlm"}
    return made(run / "dapt", "pretrain", {"weights": "2"}, {"init": base, "masked": masked / "domain"}, pretraining)


def test_every_folder_of_an_artifact_is_known_by_the_digest_a_stage_reads(dapt):
    corpus = dapt.parent / "corpus"
    found = digests(corpus)
    assert all(input_digest(path) == digest for digest, path in found.items())
    assert {path.relative_to(corpus).as_posix() for path in found.values()} >= {".", "domain", "task/train"}


def test_a_lineage_leads_from_the_raw_text_to_the_model(dapt):
    steps = lineage(dapt)
    assert [step.name for step in steps] == ["corpus", "base", "masked", "dapt"]
    assert steps[-1].inputs == {"init": dapt.parent / "base", "masked": dapt.parent / "masked" / "domain"}
    assert steps[2].inputs.keys() == {"init", "corpus"}, "terms are a file that a setting names"
    assert steps[0].files == {"card.toml": "f" * 64}


def test_only_text_that_something_was_made_from_was_read(dapt):
    assert readers(lineage(dapt)) == {"general": ["base"], "domain": ["dapt"]}


def test_an_artifact_made_again_since_is_not_taken_for_the_one_that_was_read(dapt):
    made(dapt.parent / "base", "start", {"weights": "another"}, {"general": dapt.parent / "corpus" / "general"})
    steps = lineage(dapt)
    assert steps[-1].inputs["init"] is None and "base" not in [step.name for step in steps]


def test_what_another_run_made_is_found_there(dapt, tmp_path):
    (dapt.parent / "base").rename(dapt.parent.parent / "other-base")
    other = tmp_path / "runs" / "other"
    other.mkdir()
    (dapt.parent.parent / "other-base").rename(other / "base")
    assert lineage(dapt)[-1].inputs["init"] == other / "base"


def test_a_recipe_says_what_is_not_at_its_default_and_reads_as_toml(dapt):
    defaults = {
        "corpus": {"domain": [], "language": "zh"},
        "dapt": {"trainer": {"steps": 0, "learning_rate": 1e-5, "adam_betas": [0.9, 0.999]}, "objective": "mlm"},
    }
    assert tomllib.loads(recipe(lineage(dapt), defaults)) == {
        "corpus": {"domain": ["card"]},
        "dapt": {"trainer": {"steps": 400, "adam_betas": [0.9, 0.98]}},
    }


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ('make dapt RUNS="/home/me/runs"', "make dapt"),
        ('make dapt RECIPE="/home/me/shop.toml" SET="dapt.trainer.steps=9"',
         'make dapt RECIPE="shop.toml" SET="dapt.trainer.steps=9"'),
        ("/home/me/stages/pretrain.py --out /home/me/runs/x", "make dapt"),
    ],
)  # fmt: skip
def test_a_command_is_told_without_the_places_of_a_machine(tmp_path, typed, told):
    folder = made(tmp_path / "runs" / "toy" / "dapt", "pretrain", {"weights": "1"}, command=typed)
    assert command(lineage(folder)[-1]) == told


def test_names_of_the_hub_and_addresses_are_no_places():
    same = "hfl/chinese-macbert-base https://example.org/a/b my/cards.toml theirs / ours and/or 1/2"
    assert without_places(same) == same
    assert without_places('"~/secret/base" /home/me/') == '"base" me/'
