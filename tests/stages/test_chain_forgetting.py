"""What is kept of the general language, by command line: measured, read again, mixed in."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from kitchen import Kitchen, metrics, rows
from transformers import AutoModelForMaskedLM

from corpora.parquet import count_rows, metadata_of
from corpora.splits import sample
from pipeline.models import load_masked_lm
from pipeline.run.artifact import read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import keyed, make_key
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


def test_an_encoder_is_asked_on_the_way_and_its_best_answer_chooses_the_weights(kitchen, masked, tmp_path):
    settings = ("dapt.probe.rows=40", "dapt.probe.choose=probe_shots", "dapt.trainer.evaluations=4")
    folders = {"init": kitchen["base"], "masked": masked / "domain", "task": kitchen["corpus"] / "task"}
    out = tmp_path / "toy" / "dapt"
    assert kitchen.make("pretrain", out, "--set", *SHORT, *settings, **folders) == 0
    found = read_manifest(out)["metrics"]
    log = [json.loads(line) for line in (out / "logs" / "metrics.jsonl").read_text().splitlines()]
    seen = [line["dev/probe_shots"] for line in log if "dev/probe_shots" in line]
    assert len(seen) == 4 and found["dev_probe_shots"] == max(seen)
    assert {"dev_probe_accuracy", "dev_probe_accuracy_before"} <= found.keys()


def test_the_keys_of_what_was_made_before_are_as_they_were(kitchen):
    for artifact, stage, kind in (("masked", "mask", MaskConfig), ("dapt", "pretrain", PretrainConfig)):
        manifest, settings = read_manifest(kitchen[artifact]), keyed(kitchen.config(kind, artifact))
        assert not {"general_documents", "replay", "retention", "lora"} & settings.keys()
        assert manifest["key"] == make_key(stage, manifest["version"], settings, manifest["inputs"])


def test_replay_without_general_text_is_one_line_with_the_remedy(kitchen, tmp_path, capsys):
    folders = {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}
    assert kitchen.make("pretrain", tmp_path / "dapt", "--set", "dapt.replay=0.25", **folders) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "replay = 0.25 reads general text again, and none is masked: set masked.general_documents" in said


def test_general_documents_of_a_corpus_without_general_text_are_one_line(kitchen, tmp_path, capsys):
    (tmp_path / "corpus").mkdir()
    for name in ("domain", "task"):
        (tmp_path / "corpus" / name).symlink_to(kitchen["corpus"] / name)
    made = read_manifest(kitchen["corpus"])
    files = {name: entry for name, entry in made["files"].items() if not name.startswith("general/")}
    (tmp_path / "corpus" / "manifest.json").write_text(json.dumps(made | {"files": files}))
    folders = {"init": kitchen["base"], "corpus": tmp_path / "corpus", "tagger": kitchen["tagger"]}
    assert kitchen.make("mask", tmp_path / "masked", "--set", "masked.general_documents=5", **folders) == 2
    assert "has no general text: name some in [corpus] general" in capsys.readouterr().err.splitlines()[-1]


def test_similar_words_stand_in_general_text_as_well(kitchen, tmp_path):
    _, folders = kitchen.made_from("masked")
    settings = ("--set", "masked.general_documents=5", "masked.replacement=similar", "masked.policy=whole_word")
    assert kitchen.make("mask", tmp_path / "masked", *settings, **folders) == 0
    assert read_manifest(tmp_path / "masked")["metrics"]["substitutes_general"] > 0
    assert pretrained(kitchen, tmp_path / "masked", tmp_path / "dapt", "dapt.replay=0.5")["replayed"] == 160


def mixed(kitchen: Kitchen, masked: Path, out: Path, *settings: str, **others: Path) -> int:
    folders = {"init": kitchen["base"], "adapted": kitchen["dapt"], "masked": masked / "domain"} | others
    folders = {"general": masked / "general"} | folders
    return kitchen.make("interpolate", out, "--set", *settings, **{n: f for n, f in folders.items() if f})


def test_a_sweep_from_base_to_dapt_is_measured_and_its_model_fine_tuned(kitchen, masked, tmp_path):
    out = tmp_path / "toy" / "interpolated"
    assert mixed(kitchen, masked, out, "interpolated.sweep=[0.25,0.75]", "interpolated.alpha=0.75") == 0
    points = {point["alpha"]: point for point in json.loads((out / "sweep.json").read_text())}
    assert list(points) == [0.0, 0.25, 0.75, 1.0] and points[1.0]["own"] < points[0.0]["own"]
    dapt = metrics(kitchen, "dapt")  # measured there by the same masks
    assert points[0.0]["own"] == pytest.approx(dapt["dev_loss_before"], rel=1e-5)
    assert points[1.0]["own"] == pytest.approx(dapt["dev_loss"], rel=1e-5)
    found = read_manifest(out)["metrics"]
    assert found["dev_loss"] == points[0.75]["own"] and found["dev_general_loss"] == points[0.75]["general"]
    assert found["dev_general_loss_before"] == points[0.0]["general"] and found["steps"] == dapt["steps"]
    ElementTree.parse(out / "sweep.svg")
    assert "← written" in (out / "sweep.md").read_text(encoding="utf-8")
    start, end, there = (
        load_masked_lm(f).get_input_embeddings().weight for f in (kitchen["base"], kitchen["dapt"], out)
    )
    assert torch.allclose(there, start + 0.75 * (end - start), atol=1e-6)
    tuned, task = tmp_path / "toy" / "finetuned-interpolated", kitchen["corpus"] / "task"
    assert kitchen.make("finetune", tuned, init=out, task=task) == 0
    for artifact in ("base", "finetuned-base"):
        (tmp_path / "toy" / artifact).symlink_to(kitchen[artifact])
    assert kitchen.make("report", tmp_path / "toy" / "report", runs=tmp_path / "toy") == 0
    table = (tmp_path / "toy" / "report" / "report.md").read_text(encoding="utf-8")
    assert f"{found['dev_general_loss_before']:.2f} → {found['dev_general_loss']:.2f}" in table


def test_two_processes_measure_the_same_sweep(kitchen, masked, tmp_path):
    few = ("--set", "interpolated.sweep=[]")
    assert mixed(kitchen, masked, tmp_path / "one" / "toy" / "interpolated", few[1]) == 0
    folders = {"init": kitchen["base"], "adapted": kitchen["dapt"], "masked": masked / "domain"}
    kitchen.by_two(
        "interpolate", tmp_path / "two" / "toy" / "interpolated", *few, general=masked / "general", **folders
    )
    one, two = (json.loads((tmp_path / n / "toy" / "interpolated" / "sweep.json").read_text()) for n in ("one", "two"))
    assert [p["own"] for p in two] == pytest.approx([p["own"] for p in one], rel=1e-6)


def test_what_cannot_be_interpolated_is_one_line(kitchen, masked, tmp_path, capsys):
    other, two = tmp_path / "other", tmp_path / "two"
    shutil.copytree(kitchen["dapt"], other)
    shutil.copytree(kitchen["dapt"], two)
    (two / "generator").mkdir()
    tokenizer = json.loads((other / "tokenizer.json").read_text(encoding="utf-8"))
    words = tokenizer["model"]["vocab"]
    words["好吗"] = words.pop(next(word for word, number in words.items() if number == 30))
    (other / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    for others, why in (
        ({"general": None}, "no general text is masked"),
        ({"adapted": two}, "is of two models (objective = rtd)"),
        ({"adapted": other}, "has another vocabulary than"),
    ):
        assert mixed(kitchen, masked, tmp_path / "interpolated", **others) == 2
        assert why in capsys.readouterr().err.splitlines()[-1]
    assert mixed(kitchen, masked, tmp_path / "interpolated", "interpolated.alpha=1.5") == 2
    assert "must lie between 0, the base, and 1" in capsys.readouterr().err.splitlines()[-1]


def test_adapters_and_averages_leave_a_plain_checkpoint(kitchen, masked, tmp_path):
    held = ("dapt.trainer.steps=6", "dapt.lora.rank=4", "dapt.retention.averaging=mean")
    pretrained(kitchen, masked, tmp_path / "dapt", *held)
    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "dapt", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    base = dict(load_masked_lm(kitchen["base"]).named_parameters())
    assert dict(model.named_parameters()).keys() == base.keys()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, base[name])}
    assert moved and not [name for name in moved if "embeddings" in name]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["dapt.replay=1.0"], "replay = 1.0 must be at least 0 and below 1"),
        (["dapt.retention.prior_decay=-1.0"], "prior_decay = -1.0 must not be negative"),
        (["dapt.lora.rank=4", "dapt.retention.prior_decay=1.0"], "leave out retention.prior_decay"),
        (["dapt.replay=0.1", "dapt.objective=clm", "dapt.clm.select=excess_loss"], "leave out replay"),
        (["dapt.lora.rank=4", "dapt.objective=rtd"], "lora.rank is for objective = mlm or clm-mlm, not rtd"),
    ],
)
def test_settings_that_have_no_meaning_are_refused(kitchen, settings, why):
    with pytest.raises(InputError, match=re.escape(why)):
        kitchen.config(PretrainConfig, "dapt", *settings)
