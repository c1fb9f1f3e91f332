"""General text masked, measured and read again by command line."""

import json
from pathlib import Path

import pytest
from kitchen import Kitchen, metrics, rows

from corpora.parquet import count_rows, metadata_of
from corpora.splits import sample
from pipeline.run.artifact import keyed, make_key, read_manifest
from stages.mask import MaskConfig
from stages.pretrain import PretrainConfig

SHORT = ("dapt.trainer.steps=20", "dapt.trainer.batch_size=16")


@pytest.fixture(scope="module")
def masked(kitchen, tmp_path_factory) -> Path:
    """The masked corpus with fifty documents of general text beside domain and task."""
    out = tmp_path_factory.mktemp("general") / "toy" / "masked"
    _, folders = kitchen.made_from("masked")
    assert kitchen.make("mask", out, "--set", "masked.general_documents=50", **folders) == 0
    return out


def pretrained(kitchen: Kitchen, masked: Path, out: Path, *settings: str) -> dict[str, float]:
    folders = {"init": kitchen["base"], "masked": masked / "domain", "general": masked / "general"}
    assert kitchen.make("pretrain", out, "--set", *SHORT, *settings, **folders) == 0
    return read_manifest(out)["metrics"]


def test_so_many_documents_of_the_general_text_are_masked_and_the_others_as_before(kitchen, masked):
    general = rows(masked / "general" / "train")
    assert general.keys() == set(sample(rows(kitchen["corpus"] / "general" / "train"), 50, 0))
    assert count_rows(masked / "general" / "dev") == count_rows(kitchen["corpus"] / "general" / "dev") < 50
    assert json.loads(metadata_of(masked / "general" / "train")["masking"])["policy"] == "whole_word"
    assert {value for row in general.values() for value in row["importance"]} == {0, 1}
    assert all(any(row["masked"]) for row in general.values())
    found, before = read_manifest(masked), metrics(kitchen, "masked")
    assert before.items() <= found["metrics"].items() and found["metrics"]["general_train"] == 50
    files = {name: entry["sha256"] for name, entry in found["files"].items() if "general" not in name}
    old = read_manifest(kitchen["masked"])["files"]
    assert all(files[name] == entry["sha256"] for name, entry in old.items() if name != "preview.md")


def test_several_processes_mask_the_same_general_text(kitchen, masked, tmp_path):
    _, folders = kitchen.made_from("masked")
    kitchen.by_two("mask", tmp_path / "toy" / "masked", "--set", "masked.general_documents=50", **folders)
    assert read_manifest(tmp_path / "toy" / "masked")["digest"] == read_manifest(masked)["digest"]


def test_a_training_says_what_it_forgot_and_replay_lessens_it(kitchen, masked, tmp_path):
    plain = pretrained(kitchen, masked, tmp_path / "plain" / "dapt")
    replayed = pretrained(kitchen, masked, tmp_path / "replay" / "dapt", "dapt.replay=0.25")
    before = {one["dev_general_loss_before"] for one in (plain, replayed)}
    assert len(before) == 1 and before.pop() > 0
    assert plain["dev_general_loss"] != replayed["dev_general_loss"]
    assert "replayed" not in plain and replayed["replayed"] == 80 and replayed["steps"] == plain["steps"] == 20


def test_the_keys_of_what_was_made_before_are_as_they_were(kitchen):
    for artifact, stage, kind in (("masked", "mask", MaskConfig), ("dapt", "pretrain", PretrainConfig)):
        manifest, settings = read_manifest(kitchen[artifact]), keyed(kitchen.config(kind, artifact))
        assert not {"general_documents", "replay"} & settings.keys()
        assert manifest["key"] == make_key(stage, manifest["version"], settings, manifest["inputs"])


def test_replay_without_general_text_is_one_line_with_the_remedy(kitchen, tmp_path, capsys):
    folders = {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}
    assert kitchen.make("pretrain", tmp_path / "dapt", "--set", "dapt.replay=0.25", **folders) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "replay = 0.25 reads general text again, and none is masked: set masked.general_documents" in said


def test_general_documents_of_a_corpus_without_general_text_are_one_line(kitchen, tmp_path, capsys):
    (tmp_path / "corpus").mkdir()
    for name in ("domain", "task", "manifest.json"):
        (tmp_path / "corpus" / name).symlink_to(kitchen["corpus"] / name)
    folders = {"init": kitchen["base"], "corpus": tmp_path / "corpus", "tagger": kitchen["tagger"]}
    assert kitchen.make("mask", tmp_path / "masked", "--set", "masked.general_documents=5", **folders) == 2
    assert "has no general text: name some in [corpus] general" in capsys.readouterr().err.splitlines()[-1]


def test_similar_words_stand_in_general_text_as_well(kitchen, tmp_path):
    _, folders = kitchen.made_from("masked")
    settings = ("--set", "masked.general_documents=5", "masked.replacement=similar", "masked.policy=whole_word")
    assert kitchen.make("mask", tmp_path / "masked", *settings, **folders) == 0
    assert read_manifest(tmp_path / "masked")["metrics"]["substitutes_general"] > 0
    assert pretrained(kitchen, tmp_path / "masked", tmp_path / "dapt", "dapt.replay=0.5")["replayed"] == 160
