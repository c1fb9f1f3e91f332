"""An artifact is finished, or it is not there."""

import os
import shutil
import subprocess
import sys

import pytest

from pipeline.run import faults
from pipeline.run.artifact import (
    find_equal,
    input_digest,
    is_finished,
    is_sealed,
    link,
    lock,
    missing_inputs,
    open_draft,
    publish,
    read_manifest,
    seal,
)
from pipeline.run.errors import Busy, InputError
from pipeline.run.faults import read_order
from pipeline.run.key import file_digest


def made(folder, key: str = "k", **files: str):
    """A finished artifact with these files."""
    draft = open_draft(folder, key, {})
    for name, text in files.items():
        path = draft / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    seal(draft, folder, {"stage": "toy", "key": key})
    return folder


def names(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_sealed_artifact_lists_every_file_with_size_and_hash(tmp_path):
    folder = made(tmp_path / "a", a__b="hello", c="")
    files = read_manifest(folder)["files"]
    assert files == {n: {"size": (folder / n).stat().st_size, "sha256": file_digest(folder / n)} for n in ("a/b", "c")}
    assert names(tmp_path) == ["a/a/b", "a/c", "a/manifest.json"]


def test_what_a_killed_run_needs_is_gone_once_sealed(tmp_path):
    folder = made(tmp_path / "a", scratch__checkpoint="x", result="y")
    assert names(folder) == ["manifest.json", "result"]


def test_the_digest_depends_on_content_alone(tmp_path):
    digests = [
        read_manifest(made(tmp_path / "a", "k1", x="1"))["digest"],
        read_manifest(made(tmp_path / "elsewhere" / "b", "k2", x="1"))["digest"],
        read_manifest(made(tmp_path / "c", "k1", x="2"))["digest"],
        read_manifest(made(tmp_path / "d", "k1", y="1"))["digest"],
    ]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_logs_are_listed_but_left_out_of_the_digest(tmp_path):
    one, other = made(tmp_path / "a", x="1", logs__time="12:00"), made(tmp_path / "b", x="1", logs__time="13:00")
    assert "logs/time" in read_manifest(one)["files"]
    assert read_manifest(one)["digest"] == read_manifest(other)["digest"]


def test_a_draft_is_no_artifact(tmp_path):
    folder = tmp_path / "toy" / "a"
    open_draft(folder, "k", {})
    assert not is_finished(folder, "k") and find_equal(tmp_path, "k") is None
    with pytest.raises(InputError, match=r"no finished artifact in .*/a: run make a"):
        read_manifest(folder)


@pytest.mark.parametrize(("key", "left"), [("k", [".key", "half"]), ("other", [".key"])])
def test_a_draft_is_continued_for_its_own_key_and_emptied_for_another(tmp_path, key, left):
    (open_draft(tmp_path / "a", "k", {}) / "half").write_text("x")
    assert names(open_draft(tmp_path / "a", key, {})) == left


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            {"trainer": {"learning_rate": 5e-4, "betas": (0.9, 0.98)}},
            "settings (trainer.learning_rate 0.001 -> 0.0005)",
        ),
        ({"trainer": {"learning_rate": 1e-3, "betas": (0.9, 0.98)}}, "inputs"),
    ],
)
def test_a_draft_that_is_emptied_says_what_changed(tmp_path, capsys, config, said):
    open_draft(tmp_path / "a", "k", {"trainer": {"learning_rate": 1e-3, "betas": (0.9, 0.98)}})
    open_draft(tmp_path / "a", "k2", config)
    open_draft(tmp_path / "a", "k2", config)
    assert capsys.readouterr().err == f"! {tmp_path / 'a.partial'} was begun with other {said}: begun anew\n"


def test_a_new_artifact_takes_the_place_of_the_old_one(tmp_path):
    made(tmp_path / "a", "k1", old="1")
    made(tmp_path / "a", "k2", new="2")
    assert names(tmp_path) == ["a/manifest.json", "a/new"] and is_finished(tmp_path / "a", "k2")


class Killed(BaseException):
    """As good as a power cut: no handler of errors runs."""


@pytest.fixture
def power_cut(monkeypatch):
    """`power_cut("seal.rename")`: the next visit of this point is the last."""

    def cut() -> None:
        raise Killed

    monkeypatch.setitem(faults.KINDS, "kill", cut)
    return lambda point: monkeypatch.setattr(faults, "ORDER", read_order(f"{point}:kill"))


@pytest.mark.parametrize(("point", "sealed"), [("seal.manifest", False), ("seal.rename", True)])
def test_a_run_killed_while_sealing_leaves_the_old_artifact(tmp_path, power_cut, point, sealed):
    made(tmp_path / "a", "k1", old="1")
    power_cut(point)
    with pytest.raises(Killed):
        made(tmp_path / "a", "k2", new="2", scratch__checkpoint="x")
    assert is_finished(tmp_path / "a", "k1") and (tmp_path / "a" / "old").exists()
    assert is_sealed(tmp_path / "a", "k2") == sealed
    assert (open_draft(tmp_path / "a", "k2", {}) / "scratch" / "checkpoint").exists()


@pytest.mark.parametrize("point", ["seal.rename", "publish"])
def test_what_a_killed_run_had_sealed_only_needs_its_name(tmp_path, power_cut, point):
    made(tmp_path / "a", "k1", old="1")
    power_cut(point)
    with pytest.raises(Killed):
        made(tmp_path / "a", "k2", new="2", scratch__checkpoint="x")
    publish(tmp_path / "a")
    assert is_finished(tmp_path / "a", "k2") and names(tmp_path) == ["a/manifest.json", "a/new"]


def test_a_half_linked_artifact_is_not_taken_for_a_sealed_one(tmp_path, power_cut):
    first, second = made(tmp_path / "one" / "a", "k", x="1"), tmp_path / "two" / "a"
    second.parent.mkdir()
    power_cut("link.manifest")
    with pytest.raises(Killed):
        link(first, second)
    assert not is_sealed(second, "k")


def test_a_damaged_manifest_elsewhere_troubles_nobody(tmp_path):
    (made(tmp_path / "one" / "a", "k") / "manifest.json").write_text('{"key": ')
    assert find_equal(tmp_path, "k") is None and not is_finished(tmp_path / "one" / "a", "k")


def test_a_linked_artifact_survives_the_removal_of_the_first(tmp_path):
    first = made(tmp_path / "one" / "a", "k", x__y="1")
    second = tmp_path / "two" / "a"
    second.parent.mkdir()
    assert find_equal(tmp_path, "k") == first
    link(first, second)
    assert (second / "x" / "y").samefile(first / "x" / "y")
    assert read_manifest(second)["linked_from"] == str(first)
    shutil.rmtree(first)
    assert is_finished(second, "k") and (second / "x" / "y").read_text() == "1"
    assert input_digest(second) == input_digest(made(tmp_path / "three" / "a", "k", x__y="1"))


def test_making_an_artifact_again_does_not_touch_what_was_linked_to_it(tmp_path):
    first, second = made(tmp_path / "one" / "a", "k", x="1"), tmp_path / "two" / "a"
    second.parent.mkdir()
    link(first, second)
    made(first, "k2", x="2")
    assert (second / "x").read_text() == "1"


def test_a_folder_of_an_artifact_has_a_digest_of_its_own(tmp_path):
    one = made(tmp_path / "a", task__train="1", task__dev="2", domain__train="3")
    other = made(tmp_path / "b", task__train="1", task__dev="2", domain__train="4")
    assert input_digest(one) != input_digest(other)
    assert input_digest(one / "task") == input_digest(other / "task") != input_digest(one / "domain")
    assert input_digest(one / "domain") != input_digest(other / "domain")


def test_a_folder_the_artifact_does_not_have_is_told(tmp_path):
    folder = made(tmp_path / "corpus", task__train="1")
    with pytest.raises(InputError, match=r"corpus has no domain: add it to the recipe and run make corpus"):
        input_digest(folder / "domain")


def test_an_artifact_with_a_shard_gone_or_cut_short_is_no_input(tmp_path):
    shards = {"task__a.parquet": "12", "domain__a.parquet": "34"}
    folder = made(tmp_path / "corpus", logs__time="5", page="6", **shards)
    shutil.rmtree(folder / "logs")
    (folder / "page").unlink()
    whole = input_digest(folder)
    (folder / "domain" / "a.parquet").write_text("3")
    with pytest.raises(InputError, match=r"parquet has 1 bytes in place of 2: remove .*/corpus and make it again"):
        input_digest(folder)
    (folder / "domain" / "a.parquet").unlink()
    assert [line.partition(":")[0] for line in missing_inputs([folder, folder / "domain", folder / "task"])] == [
        f"{folder / 'domain' / 'a.parquet'} is gone"
    ] * 2
    (folder / "domain" / "a.parquet").write_text("34")
    assert input_digest(folder) == whole


def test_every_missing_input_is_named(tmp_path):
    told = missing_inputs([tmp_path / "tagger", made(tmp_path / "base"), tmp_path / "corpus" / "task"])
    assert [line.split(":")[-1] for line in told] == [" run make tagger", " run make task"]


def test_a_damaged_manifest_says_what_to_remove(tmp_path):
    folder = made(tmp_path / "a")
    (folder / "manifest.json").write_text('{"key": ')
    with pytest.raises(InputError, match=r"is damaged .* remove .*/a and make it again"):
        read_manifest(folder)


HOLD = "import sys, time; from pathlib import Path; from pipeline.run.artifact import lock\n"
HOLD += "with lock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"


def test_a_second_run_is_refused_while_the_first_lives_and_let_in_when_it_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "a")], stdout=subprocess.PIPE) as first:
        first.stdout.readline()
        with (
            pytest.raises(Busy, match=f"is being made by process {first.pid} on .* since"),
            lock(tmp_path / "a"),
        ):
            pass
        first.kill()
    with lock(tmp_path / "a"):
        assert str(os.getpid()) in (tmp_path / ".a.lock").read_text()
