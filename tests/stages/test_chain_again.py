"""The chain again, broken off, and by two processes: the same artifacts in the end."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from kitchen import ARTIFACTS, Kitchen, metrics, rows
from launcher import ended, launched
from safetensors.torch import load_file

import stages.finetune as finetune_stage
import stages.mask as mask_stage
from corpora import parquet
from corpora.parquet import read_rows
from pipeline.finetuning.classifier import ModelConfig
from pipeline.finetuning.task import Task
from pipeline.run.artifact import draft_of, open_draft, read_manifest, seal
from pipeline.run.key import file_digest
from pipeline.run.processes import rank


def test_made_again_everything_is_up_to_date(kitchen, capsys):
    kitchen.make("prepare", "corpus", data=kitchen.data)
    kitchen.make("mask", "masked", init=kitchen["base"], corpus=kitchen["corpus"], tagger=kitchen["tagger"])
    kitchen.make("report", "report", runs=kitchen.runs / "toy")
    marks = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert marks == ["·"] * 3


def test_another_recipe_with_the_same_settings_shares_what_is_made(kitchen):
    out = kitchen.runs / "twin" / "corpus"
    kitchen.make("prepare", out, data=kitchen.data)
    assert read_manifest(out)["linked_from"] == str(kitchen["corpus"])
    shutil.rmtree(out.parent)


def test_masking_broken_off_and_run_again_writes_the_same_rows(kitchen, tmp_path, monkeypatch):
    config = kitchen.config(mask_stage.MaskConfig, "masked")
    folders = [*(kitchen[name] for name in ("base", "corpus", "tagger")), None, None]
    written = []

    def until_the_third(path: Path, *more: object) -> int:
        if len(written) == 2:
            raise RuntimeError("killed")
        written.append(path)
        return write_shard(path, *more)

    write_shard = mask_stage.write_shard
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(mask_stage, "write_shard", until_the_third)
        mask_stage.mask(config, *folders, tmp_path)
    times = [path.stat().st_mtime_ns for path in written]
    found = mask_stage.mask(config, *folders, tmp_path)
    assert [path.stat().st_mtime_ns for path in written] == times  # what was whole was kept
    assert found == metrics(kitchen, "masked")
    assert list(read_rows(tmp_path)) == list(read_rows(kitchen["masked"]))


def test_masks_do_not_depend_on_what_is_tagged_together(kitchen, tmp_path):
    config = kitchen.config(mask_stage.MaskConfig, "masked", "masked.batch_documents=1")
    mask_stage.mask(config, *(kitchen[name] for name in ("base", "corpus", "tagger")), None, None, tmp_path)
    found, wanted = rows(tmp_path), rows(kitchen["masked"])
    assert found.keys() == wanted.keys()
    assert all(found[name]["masked"] == wanted[name]["masked"] for name in wanted)
    gap = max(abs(np.array(found[n]["importance"]) - np.array(wanted[n]["importance"])).max() for n in wanted)
    assert gap <= 1  # the last bit of a sum may depend on the shape of a batch


def test_two_processes_mask_the_same_rows_as_one(kitchen):
    out = kitchen.runs / "masked by two" / "runs" / "r" / "masked"
    kitchen.by_two("mask", out, init=kitchen["base"], corpus=kitchen["corpus"], tagger=kitchen["tagger"])
    assert read_manifest(out)["metrics"] == metrics(kitchen, "masked")
    assert list(read_rows(out)) == list(read_rows(kitchen["masked"]))


def test_a_shard_whose_process_was_killed_over_it_is_made_by_the_next_run(kitchen, tmp_path):
    out = kitchen.runs / "masked and killed" / "runs" / "r" / "masked"
    folders = {"init": kitchen["base"], "corpus": kitchen["corpus"], "tagger": kitchen["tagger"]}

    def deadly(rows: Iterator[dict]) -> Iterator[dict]:
        yield next(rows)
        os.kill(os.getpid(), signal.SIGKILL)

    def write(path: Path, schema: object, rows: Iterator[dict], metadata: dict[str, str]) -> int:
        while rank() == 0 and not list(out.parent.rglob(".part-*")):  # the other has one
            time.sleep(0.01)
        return write_shard(path, schema, deadly(rows) if rank() == 1 else rows, metadata)

    def work() -> int:
        parquet.write_shard = write
        return kitchen.make("mask", out, **folders)

    write_shard = parquet.write_shard
    assert [left.code for left in launched(work, tmp_path)] == [1, -signal.SIGKILL]
    kept = {path: path.stat().st_mtime_ns for path in draft_of(out).rglob("part-*.parquet")}
    kitchen.by_two("mask", out, **folders)
    assert len(kept) == len(list(out.rglob("part-*.parquet"))) - 1
    assert all((out / path.relative_to(draft_of(out))).stat().st_mtime_ns == time for path, time in kept.items())
    assert read_manifest(out)["digest"] == read_manifest(kitchen["masked"])["digest"]


def without_dropout(kitchen: Kitchen, out: Path) -> Path:
    """The base as an artifact whose model has no dropout."""
    draft = open_draft(out, "no dropout", {})
    shutil.copytree(kitchen["base"], draft, dirs_exist_ok=True)
    (draft / "manifest.json").unlink()
    config = json.loads((draft / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (draft / "config.json").write_text(json.dumps(config))
    seal(draft, out, {"stage": "toy", "key": "no dropout"})
    return out


def losses(folder: Path) -> list[float]:
    lines = map(json.loads, (folder / "logs" / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_a_training_repeated_draws_anew_and_is_measured_as_before(kitchen, tmp_path):
    """Masks as well as order and dropout: with another seed of the training alone the masks of a visit stay."""
    folders = {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}
    settings = {"dapt": (), "dapt-2": ("dapt.repeat=2",), "other/dapt": ("dapt.trainer.seed=1",)}
    for name, more in settings.items():
        out = tmp_path / "toy" / name
        assert kitchen.make("pretrain", out, "--set", "dapt.trainer.steps=10", *more, **folders) == 0
    made = {name: read_manifest(tmp_path / "toy" / name) for name in settings}
    assert len({one["metrics"]["dev_loss_before"] for one in made.values()}) == 1
    assert len({one["metrics"]["dev_loss"] for one in made.values()}) == 3
    assert made["dapt-2"]["metrics"]["tokens"] == made["other/dapt"]["metrics"]["tokens"]  # the same sequences
    assert made["dapt-2"]["config"]["trainer"]["seed"] == made["dapt"]["config"]["trainer"]["seed"]


@pytest.mark.parametrize("file", ["cpu2.yaml", "fsdp2.yaml"])
def test_two_processes_learn_the_same_as_one(kitchen, file):
    still, masked = kitchen.runs / "still" / file, kitchen["masked"] / "domain"
    init, settings = without_dropout(kitchen, still / "base"), ["--set", "dapt.trainer.steps=12"]
    one, two = still / "dapt", kitchen.runs / "apart" / file / "runs" / "two" / "dapt"
    done = kitchen.launch(file, "pretrain", two, *settings, init=init, masked=masked)
    kitchen.make("pretrain", one, *settings, init=init, masked=masked)
    assert "✓" in done.communicate()[1] and done.returncode == 0
    assert read_manifest(two)["provenance"]["processes"] == 2
    np.testing.assert_allclose(losses(two), losses(one), atol=1e-4)
    weights = [load_file(path / "model.safetensors") for path in (two, one)]
    for name in weights[0]:  # a key's bias has no gradient but rounding errors, of which Adam makes steps
        close = 1e-4 if name.endswith("key.bias") else 1e-5
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=0, atol=close)
    found, wanted = read_manifest(two)["metrics"], read_manifest(one)["metrics"]
    assert found["tokens"] == wanted["tokens"] and found["dev_loss"] == pytest.approx(wanted["dev_loss"], abs=1e-4)


def pretrained_elsewhere(kitchen, name: str) -> tuple[Path, dict[str, Path]]:
    """Where to pretrain out of sight of the finished artifact, and from what."""
    out = kitchen.runs / "elsewhere" / name / "runs" / "r" / "dapt"
    return out, {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}


def ends_with_the_same_bits(kitchen, out: Path, folders: dict[str, Path]) -> None:
    """Run again what was broken off: it continues, and nothing shows that it was broken."""
    [again] = ended([kitchen.begun("pretrain", out, **folders)])
    assert "continuing at step" in again.said and again.code == 0
    hashes = [file_digest(folder / "model.safetensors") for folder in (out, kitchen["dapt"])]
    assert hashes[0] == hashes[1] and read_manifest(out)["digest"] == read_manifest(kitchen["dapt"])["digest"]
    assert len(losses(out)) == 60 and not list(out.parent.glob("*.partial"))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_pretraining_stopped_by_a_signal_and_run_again_ends_with_the_same_bits(kitchen, sent, code):
    out, folders = pretrained_elsewhere(kitchen, sent.name)
    first = kitchen.begun("pretrain", out, **folders)
    while not list((draft_of(out) / "scratch" / "checkpoints").glob("step-*")) and first.process.is_alive():
        time.sleep(0.002)
    os.kill(first.process.pid, sent)
    [left] = ended([first])
    assert left.code == code and not out.exists()
    if sent == signal.SIGTERM:
        assert "stopped by SIGTERM" in left.said and "SIGTERM" in (draft_of(out) / "PREEMPTED").read_text()
    ends_with_the_same_bits(kitchen, out, folders)


def test_pretraining_that_dies_while_it_writes_a_checkpoint_continues_from_the_one_before(kitchen):
    out, folders = pretrained_elsewhere(kitchen, "torn")
    [left] = ended([kitchen.begun("pretrain", out, fault="checkpoint.rename@3:kill", **folders)])
    there = sorted(path.name for path in (draft_of(out) / "scratch" / "checkpoints").iterdir())
    assert left.code == -signal.SIGKILL
    assert there[:3] == ["LATEST", "step-000005", "step-000010"] and there[3].startswith("tmp-000015")
    ends_with_the_same_bits(kitchen, out, folders)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["stage.begun", "stage.done", "seal.manifest", "seal.rename"])
@pytest.mark.parametrize("artifact", [name for name in ARTIFACTS if name != "dapt-tapt"])
def test_a_stage_killed_anywhere_and_run_again_makes_the_same_artifact(kitchen, artifact, point):
    out = kitchen.runs / "elsewhere" / f"{artifact}-{point}" / "runs" / "toy" / artifact
    stage, folders = kitchen.made_from(artifact)
    [first] = ended([kitchen.begun(stage, out, fault=f"{point}:kill", **folders)])
    assert first.code == -signal.SIGKILL and not out.exists()
    [again] = ended([kitchen.begun(stage, out, **folders)])
    assert again.code == 0, again.said
    assert read_manifest(out)["digest"] == read_manifest(kitchen[artifact])["digest"]
    assert not list(out.parent.glob("*.partial"))


def test_fine_tuning_broken_off_between_seeds_ends_with_the_same_bits(kitchen, tmp_path, monkeypatch):
    config = kitchen.config(finetune_stage.FinetuneConfig, "finetuned")
    folders = kitchen["base"], kitchen["corpus"] / "task"
    make, seeds = finetune_stage.new_model, []

    def once(init: Path, task: Task, config: ModelConfig, seed: int) -> torch.nn.Module:
        seeds.append(seed)
        if seeds == [13, 43]:
            raise RuntimeError("killed")
        return make(init, task, config, seed)

    monkeypatch.setattr(finetune_stage, "new_model", once)
    with pytest.raises(RuntimeError, match="killed"):
        finetune_stage.finetune(config, *folders, tmp_path)
    assert finetune_stage.finetune(config, *folders, tmp_path) == metrics(kitchen, "finetuned-base")
    assert seeds == [13, 43, 43]
    for name in ("model.safetensors", "predictions/part-00000.parquet"):
        assert file_digest(tmp_path / name) == file_digest(kitchen["finetuned-base"] / name)
