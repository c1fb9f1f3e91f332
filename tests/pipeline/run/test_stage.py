"""A stage as a user meets it: a command, an artifact, one line when something is wrong."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.run import artifact
from pipeline.run.artifact import lock, read_manifest
from pipeline.run.key import file_digest
from pipeline.run.stage import config_class, run, section_of

ROOT = Path(__file__).parent.parent.parent.parent

TOY = '''
"""A toy stage."""
import sys
from dataclasses import dataclass, field
from pathlib import Path
from pipeline.run import errors
from pipeline.run.errors import InputError
from pipeline.run.stage import run

@dataclass(frozen=True)
class ToyConfig:
    times: int = 1
    fail: str = ""
    held: int = field(default=8, metadata={"key": False})
    words: str = field(default="", metadata={"file": True})

def toy(config: ToyConfig, source: Path | None, out: Path) -> dict[str, float]:
    (out / "begun").write_text((out / "begun").read_text() + "x" if (out / "begun").exists() else "x")
    if config.fail == "ours":
        raise RuntimeError("a fault of ours")
    if config.fail == "theirs":
        raise InputError("fact, place, remedy")
    if config.fail == "disk":
        Path("/dev/full").write_text("x")
    if config.fail:
        raise getattr(errors, config.fail)("fact, place, remedy")
    (out / "result").write_text("result " * config.times)
    return {"rows": config.times}

def sources(config: ToyConfig) -> list[Path]:
    return sorted(Path("raw").glob("*"))

if __name__ == "__main__":
    run(toy, sources=sources)
'''


@dataclass(frozen=True)
class Done:
    code: int
    error: str


class Desk:
    """A folder with a toy stage and a recipe, and a command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "toy.py").write_text(TOY)
        (folder / "r.toml").write_text("[made]\ntimes = 2\n")

    def run(self, *arguments: str, out: str = "runs/r/made", debug: str = "", fault: str = "") -> Done:
        told = {"PYTHONPATH": f"{ROOT}:{self.folder}", "DEBUG": debug, "KEYMASK_FAULT": fault}
        environment = {**os.environ, **told}
        command = [sys.executable, "-m", "toy", "--recipe", "r.toml", "--out", out, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stderr)

    def manifest(self, out: str = "runs/r/made") -> dict:
        return json.loads((self.folder / out / "manifest.json").read_text())


@pytest.fixture
def desk(tmp_path) -> Desk:
    return Desk(tmp_path)


def test_a_stage_makes_its_artifact_and_says_what_went_in(desk):
    done = desk.run("--set", "made.times=3")
    assert (done.code, (desk.folder / "runs/r/made/result").read_text()) == (0, "result " * 3)
    manifest = desk.manifest()
    assert (manifest["stage"], manifest["version"], manifest["metrics"]) == ("toy", 1, {"rows": 3})
    assert manifest["config"] == {"times": 3, "fail": "", "held": 8, "words": ""}
    assert manifest["provenance"]["processes"] == 1
    assert "rows 3" in done.error and not (desk.folder / "runs/r/made.partial").exists()


def test_a_second_run_finds_it_up_to_date(desk):
    desk.run()
    before = desk.manifest()
    assert "up to date" in desk.run().error and desk.manifest() == before


def test_a_changed_setting_makes_it_again(desk):
    desk.run()
    desk.run("--set", "made.times=5")
    assert desk.manifest()["metrics"] == {"rows": 5}


def test_a_setting_that_only_says_what_the_hardware_holds_makes_nothing_again(desk):
    desk.run()
    assert "up to date" in desk.run("--set", "made.held=64").error


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_goes_wrong_makes_nothing_again(desk, hours):
    desk.run()
    wrong = time.time() + 3600 * hours
    for path in (desk.folder / "runs/r/made").iterdir():
        os.utime(path, (wrong, wrong))
    assert "up to date" in desk.run().error


def test_a_changed_source_makes_it_again(desk):
    (desk.folder / "raw").mkdir()
    (desk.folder / "raw" / "a.txt").write_text("1")
    keys = [desk.run() and desk.manifest()["key"]]
    (desk.folder / "raw" / "a.txt").touch()
    keys.append(desk.run() and desk.manifest()["key"])
    (desk.folder / "raw" / "a.txt").write_text("2")
    keys.append(desk.run() and desk.manifest()["key"])
    assert keys[0] == keys[1] != keys[2]


def test_a_file_that_a_setting_names_is_part_of_what_went_in(desk):
    (desk.folder / "r.toml").write_text('[made]\nwords = "words.txt"\n')
    (desk.folder / "words.txt").write_text("1")
    keys = [desk.run() and desk.manifest()["key"]]
    (desk.folder / "words.txt").rename(desk.folder / "moved.txt")
    keys.append(desk.run("--set", "made.words=moved.txt") and desk.manifest()["key"])
    (desk.folder / "moved.txt").write_text("2")
    keys.append(desk.run("--set", "made.words=moved.txt") and desk.manifest()["key"])
    assert keys[0] == keys[1] != keys[2]
    assert desk.manifest()["inputs"] == {"words": file_digest(desk.folder / "moved.txt")}


def test_the_key_does_not_depend_on_the_place(desk, tmp_path):
    desk.run(out="a/r/made")
    elsewhere = Desk(Path(shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-elsewhere"))))
    shutil.rmtree(elsewhere.folder / "a")
    elsewhere.run(out="b/c/made")
    assert elsewhere.manifest("b/c/made")["key"] == desk.manifest("a/r/made")["key"]
    shutil.rmtree(elsewhere.folder)


def test_an_equal_artifact_of_another_recipe_is_linked(desk):
    desk.run()
    assert "the same as runs/r/made: linked" in desk.run(out="runs/other/made").error
    shutil.rmtree(desk.folder / "runs/r")
    assert (desk.folder / "runs/other/made/result").read_text() == "result " * 2
    assert "up to date" in desk.run(out="runs/other/made").error


@pytest.mark.parametrize(
    ("fail", "code"), [("ours", 1), ("theirs", 2), ("disk", 3), ("Diverged", 4), ("Interrupted", 75)]
)
def test_a_stage_that_fails_leaves_no_artifact(desk, fail, code):
    assert desk.run("--set", f"made.fail={fail}").code == code
    assert not (desk.folder / "runs/r/made").exists()


def test_a_stage_that_fails_leaves_the_artifact_that_was_there(desk):
    desk.run()
    before = desk.manifest()
    desk.run("--set", "made.fail=ours")
    assert desk.manifest() == before


def test_a_fault_of_the_user_is_one_line_and_a_traceback_only_when_asked_for(desk):
    arguments = ("--set", "made.fail=theirs")
    assert desk.run(*arguments).error.splitlines() == ["▸ runs/r/made", "toy: fact, place, remedy"]
    assert "Traceback" in desk.run(*arguments, debug="1").error


def test_a_fault_of_ours_comes_with_its_traceback(desk):
    assert "Traceback" in desk.run("--set", "made.fail=ours").error


def test_the_same_command_continues_what_failed_and_another_one_begins_anew(desk):
    begun = desk.folder / "runs/r/made.partial/begun"
    assert [desk.run("--set", "made.fail=ours") and begun.read_text() for _ in range(2)] == ["x", "xx"]
    told = desk.run("--set", "made.fail=ours", "made.times=3").error
    assert begun.read_text() == "x"
    assert told.startswith("! runs/r/made.partial was begun with other settings (times 2 -> 3): begun anew\n")


def test_a_full_disk_is_one_line_with_place_and_remedy_and_leaves_the_artifact_that_was_there(desk):
    desk.run()
    before = desk.manifest()
    done = desk.run("--set", "made.fail=disk")
    assert done.code == 3 and desk.manifest() == before
    assert re.fullmatch(
        r"▸ runs/r/made\ntoy: the disk took no more while runs/r/made.partial was written .*MB are free.*: "
        r"free space there, then run the same command\n",
        done.error,
    )


@pytest.mark.parametrize("fault", ["seal.manifest", "stage.done"])
def test_a_disk_that_fills_up_at_the_end_costs_nothing_once_there_is_space(desk, fault):
    assert desk.run(fault=f"{fault}:enospc").code == 3
    assert desk.run().code == 0 and (desk.folder / "runs/r/made/begun").read_text() == "xx"  # continued


@pytest.mark.parametrize("fault", ["stage.begun", "stage.done", "seal.manifest", "seal.rename", "publish"])
def test_a_stage_killed_anywhere_is_finished_by_the_same_command(desk, fault):
    assert desk.run(fault=f"{fault}:kill").code == -signal.SIGKILL and not (desk.folder / "runs/r/made").exists()
    assert desk.run().code == 0
    found = sorted(path.name for path in (desk.folder / "runs/r").iterdir())
    assert found == [".made.lock", "made"] and (desk.folder / "runs/r/made/result").read_text() == "result " * 2


def test_what_was_sealed_by_a_killed_run_is_not_made_again(desk):
    desk.run(fault="seal.rename:kill")
    assert desk.run().error == "✓ runs/r/made  finished by the run before: now it has its name\n"
    assert (desk.folder / "runs/r/made/begun").read_text() == "x"


def test_a_second_run_of_an_artifact_is_told_who_makes_it_and_leaves_with_5(desk):
    (desk.folder / "runs/r").mkdir(parents=True)
    with lock(desk.folder / "runs/r/made"):
        done = desk.run()
    assert done.code == 5 and re.fullmatch(
        rf"toy: runs/r/made is being made by process {os.getpid()} on .* since .*: wait for it or stop it\n",
        done.error,
    )


def test_an_equal_artifact_is_not_linked_into_the_work_of_another_run(desk):
    desk.run()
    (desk.folder / "runs/other").mkdir(parents=True)
    with lock(desk.folder / "runs/other/made"):
        assert desk.run(out="runs/other/made").code == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "made.tims=3"], "toy: unknown setting made.tims (did you mean times?); known: times, fail, held"),
        (["--set", "made.times=many"], 'toy: made.times = "many" must be a whole number'),
        (["--set", "times=3"], 'toy: cannot read SET="times=3": write section.key=value'),
        (["--recipe", "nosuch"], "toy: no recipe nosuch: known are"),
        (["--source", "runs/r/base"], "toy: no finished artifact in runs/r/base: run make base"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_code_2(desk, arguments, message):
    done = desk.run(*arguments)
    assert done.code == 2 and len(done.error.splitlines()) == 1 and done.error.startswith(message)
    assert not (desk.folder / "runs").exists()


def test_an_output_below_a_file_is_refused(desk):
    (desk.folder / "file").write_text("")
    done = desk.run(out="file/r/made")
    assert done.code == 2 and len(done.error.splitlines()) == 1 and "is a file" in done.error


def test_an_output_that_cannot_be_written_is_refused(tmp_path, monkeypatch, capsys):
    """The system lets root write anywhere, so its answer is put in its place."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert called(monkeypatch, tmp_path / "r" / "made") == 2
    assert capsys.readouterr().err.startswith(f"plain: cannot write to {tmp_path / 'r'}: change its permissions")


@dataclass(frozen=True)
class PlainConfig:
    """Nothing to set."""


def plain(config: PlainConfig, out: Path) -> dict[str, float]:
    (out / "result").write_text("result")
    return {}


def called(monkeypatch, out: Path, version: int = 1) -> int:
    """Run the plain stage in this process; its exit code."""
    (out.parent.parent / "r.toml").write_text("")
    monkeypatch.setattr(sys, "argv", ["plain", "--recipe", str(out.parent.parent / "r.toml"), "--out", str(out)])
    try:
        run(plain, version)
    except SystemExit as left:
        return left.code
    return 0


def test_a_new_version_of_a_stage_makes_its_artifact_again(tmp_path, monkeypatch, capsys):
    out = tmp_path / "r" / "made"
    assert [called(monkeypatch, out, version) for version in (1, 1, 2)] == [0, 0, 0]
    marks = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert marks == ["▸", "✓", "·", "▸", "✓"]


def test_the_time_of_runs_that_did_not_finish_counts_until_the_artifact_is_begun_anew(tmp_path, monkeypatch):
    out, seal, seconds = tmp_path / "r" / "made", artifact.seal, []
    for version in (1, 2):
        monkeypatch.setattr(artifact, "seal", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert called(monkeypatch, out, version=1) == 130
        (tmp_path / "r" / "made.partial" / "scratch" / "seconds").write_text("3600")  # as if it had taken an hour
        monkeypatch.setattr(artifact, "seal", seal)
        assert called(monkeypatch, out, version) == 0
        seconds.append(read_manifest(out)["provenance"]["seconds"])
        shutil.rmtree(out)
    assert seconds[1] < 60 and 3600 <= seconds[0] < 3660


def test_an_interrupted_stage_says_nothing_more(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.run.artifact.seal", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert called(monkeypatch, tmp_path / "r" / "made") == 130


@pytest.mark.parametrize(
    ("artifact", "section"),
    [
        ("corpus", "corpus"),
        ("finetuned-dapt-tapt", "finetuned"),
        ("dapt", "dapt"),
        ("dapt-tapt", "tapt"),
        ("tapt", "tapt"),
        ("masked-control", "masked"),
        ("tapt-control", "tapt"),
        ("general", "dapt"),
    ],
)
def test_an_artifact_reads_its_section(artifact, section):
    assert section_of(artifact) == section


def test_the_signature_of_a_stage_is_its_declaration():
    assert config_class(plain) is PlainConfig
