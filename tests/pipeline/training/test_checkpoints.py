"""A checkpoint is whole or it is passed over."""

import json
import os
import resource
import shutil
from contextlib import contextmanager

import pytest
import torch
from launcher import launched
from torch import nn

from pipeline.run import faults
from pipeline.run.errors import StorageError
from pipeline.run.faults import read_order
from pipeline.run.key import file_digest
from pipeline.training.checkpoints import GIVE_UP_AFTER, Checkpoints


class Toy:
    """A model of one layer and its optimiser, trained a step for every number."""

    def __init__(self, steps: int = 0) -> None:
        torch.manual_seed(0)
        self.model = nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=0.1)
        for _ in range(steps):
            self.model(torch.ones(3)).sum().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()

    def save(self, place, step: int) -> bool:
        return kept(place).save(step, self.model, self.optimizer, {"tokens": 10 * step})

    def load(self, place) -> tuple[int, dict]:
        return kept(place).load(self.model, self.optimizer)


def kept(place) -> Checkpoints:
    """Those of a training under way, or of one begun anew on this folder."""
    return place if isinstance(place, Checkpoints) else Checkpoints(place)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Killed(BaseException):
    """As good as a power cut: no handler of errors runs."""


@pytest.fixture
def order(monkeypatch):
    """`order("checkpoint.rename:kill")`: break there, at the next visit alone."""

    def die() -> None:
        raise Killed

    monkeypatch.setitem(faults.KINDS, "kill", die)
    return lambda text: monkeypatch.setattr(faults, "ORDER", read_order(text))


def test_weights_moments_and_counters_come_back(tmp_path):
    saved, found = Toy(steps=3), Toy()
    saved.save(tmp_path, 3)
    assert found.load(tmp_path) == (3, {"tokens": 30})
    assert all(torch.equal(a, b) for a, b in zip(saved.model.parameters(), found.model.parameters(), strict=True))
    moments = [toy.optimizer.state_dict()["state"] for toy in (saved, found)]
    assert all(torch.equal(moments[0][i][name], moments[1][i][name]) for i in moments[0] for name in moments[0][i])


def test_without_a_checkpoint_a_run_begins_at_the_beginning(tmp_path):
    assert Toy().load(tmp_path / "nothing") == (0, {})


def test_the_last_two_are_kept(tmp_path):
    for step in (1, 2, 3, 4):
        Toy(steps=step).save(tmp_path, step)
    assert names(tmp_path) == ["LATEST", "step-000003", "step-000004"]
    assert (tmp_path / "LATEST").read_text() == "step-000004"


def test_a_checkpoint_says_what_it_is_of(tmp_path):
    Toy(steps=1).save(tmp_path, 1)
    state = json.loads((tmp_path / "step-000001" / "state.json").read_text())
    assert (state["step"], state["processes"], state["versions"]["torch"]) == (1, 1, torch.__version__)
    assert {n: f["size"] for n, f in state["files"].items()} == {
        n: (tmp_path / "step-000001" / n).stat().st_size for n in ("model.safetensors", "optimizer.pt")
    }


def test_step_a_million_is_later_than_the_one_before_it(tmp_path):
    for step in (999_999, 1_000_000):
        Toy(steps=1).save(tmp_path, step)
    assert Toy().load(tmp_path)[0] == 1_000_000


def test_a_step_that_is_kept_is_not_written_again(tmp_path):
    Toy(steps=2).save(tmp_path, 2)
    written = (tmp_path / "step-000002" / "state.json").stat().st_mtime_ns
    resumed, place = Toy(), Checkpoints(tmp_path)
    resumed.load(place)
    assert resumed.save(place, 2) and (tmp_path / "step-000002" / "state.json").stat().st_mtime_ns == written


def flip(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.safetensors"),
        lambda folder: (folder / "optimizer.pt").unlink(),
        lambda folder: (folder / "state.json").unlink(),
        lambda folder: (folder / "state.json").write_text('{"step": 4, "fi'),
        lambda folder: (folder / "state.json").write_text("[]"),
        lambda folder: os.truncate(folder / "optimizer.pt", 100),
        lambda folder: os.truncate(folder / "model.safetensors", 0),
        lambda folder: [path.unlink() for path in folder.iterdir()],
        lambda folder: shutil.copytree(folder.with_name("step-000002"), folder, dirs_exist_ok=True),
    ],
    ids=["flip", "file gone", "state gone", "state cut", "no state", "file cut", "file empty", "empty", "other step"],
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(tmp_path, damage, capsys):
    Toy(steps=2).save(tmp_path, 2)
    Toy(steps=4).save(tmp_path, 4)
    damage(tmp_path / "step-000004")
    found = Toy()
    assert found.load(tmp_path) == (2, {"tokens": 20})
    assert torch.equal(found.model.weight, Toy(steps=2).model.weight)
    assert "step-000004 is damaged" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_replaced_when_its_step_comes_again(tmp_path):
    Toy(steps=2).save(tmp_path, 2)
    Toy(steps=4).save(tmp_path, 4)
    flip(tmp_path / "step-000004" / "model.safetensors")
    Toy(steps=4).save(tmp_path, 4)
    assert Toy().load(tmp_path) == (4, {"tokens": 40})


def test_a_checkpoint_of_another_model_is_passed_over(tmp_path):
    other = nn.Sequential(nn.Linear(3, 2))
    Checkpoints(tmp_path).save(4, other, torch.optim.AdamW(other.parameters()), {})
    assert Toy().load(tmp_path) == (0, {})


def test_what_was_damaged_does_not_crowd_out_what_is_whole(tmp_path):
    for step in (10, 12):
        Toy(steps=1).save(tmp_path, step)
        (tmp_path / f"step-{step:06d}" / "optimizer.pt").unlink()
    again, place = Toy(), Checkpoints(tmp_path)
    assert again.load(place) == (0, {})
    again.save(place, 5)
    assert Toy().load(tmp_path)[0] == 5 and names(tmp_path) == ["LATEST", "step-000005"]


@pytest.mark.parametrize(
    ("point", "found"),
    [
        ("checkpoint.write", 2),
        ("checkpoint.rename", 2),
        ("checkpoint.latest", 3),
        ("checkpoint.prune", 3),
    ],
)
def test_a_run_killed_while_writing_goes_on_from_the_newest_whole_checkpoint(tmp_path, order, point, found):
    for step in (1, 2):
        Toy(steps=step).save(tmp_path, step)
    order(f"{point}:kill")
    with pytest.raises(Killed):
        Toy(steps=3).save(tmp_path, 3)
    resumed, place = Toy(), Checkpoints(tmp_path)
    assert resumed.load(place) == (found, {"tokens": 10 * found})
    assert torch.equal(resumed.model.weight, Toy(steps=found).model.weight)
    assert not list(tmp_path.glob("tmp-*"))
    Toy(steps=4).save(place, 4)
    assert names(tmp_path) == ["LATEST", f"step-{found:06d}", "step-000004"]


@contextmanager
def files_no_longer_than(size: int):
    """What a full disk does: writing fails in the middle of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [10, 1000], ids=["the weights", "the moments"])
def test_a_training_goes_on_when_a_checkpoint_does_not_fit(tmp_path, capsys, size):
    place = Checkpoints(tmp_path)
    Toy(steps=1).save(place, 1)
    with files_no_longer_than(size):
        assert Toy(steps=2).save(place, 2) is False
    assert names(tmp_path) == ["LATEST", "step-000001"] and Toy().load(tmp_path)[0] == 1
    said = capsys.readouterr().err
    assert (
        said.startswith("! no checkpoint of step 2: ") and "File too large" in said and "the training goes on" in said
    )
    assert Toy(steps=3).save(place, 3) and Toy().load(tmp_path)[0] == 3


@pytest.mark.parametrize("point", ["checkpoint.write", "checkpoint.rename"])
def test_a_full_disk_leaves_no_half_checkpoint(tmp_path, order, point):
    Toy(steps=1).save(tmp_path, 1)
    order(f"{point}:enospc")
    assert Toy(steps=2).save(tmp_path, 2) is False and names(tmp_path) == ["LATEST", "step-000001"]


def test_nothing_is_written_where_there_is_no_room_for_two(tmp_path, monkeypatch, capsys):
    toy, nearly = Toy(steps=1), 2 * 4 * (8 + 2 * 8 + 2) - 1  # weights, two moments of each, two counts of steps
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, nearly))
    assert toy.save(tmp_path, 1) is False and names(tmp_path) == []
    assert f"MB must be free in {tmp_path} to be safe" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 0, nearly + 1))
    assert toy.save(tmp_path, 1) is True


def test_a_disk_that_stays_full_ends_the_training(tmp_path):
    place = Checkpoints(tmp_path)
    Toy(steps=1).save(place, 1)
    with files_no_longer_than(10):
        assert [Toy(steps=1).save(place, step) for step in range(2, GIVE_UP_AFTER + 1)] == [False, False]
        with pytest.raises(StorageError, match=f"{GIVE_UP_AFTER} checkpoints in a row .* free space there"):
            Toy(steps=1).save(place, GIVE_UP_AFTER + 1)
    assert Toy().load(tmp_path) == (1, {"tokens": 10})


def test_failures_that_do_not_follow_each_other_end_nothing(tmp_path):
    place = Checkpoints(tmp_path)
    for step in range(1, 9, 2):
        with files_no_longer_than(10):
            assert not Toy(steps=1).save(place, step)
        assert Toy(steps=1).save(place, step + 1)


def test_two_processes_come_to_one_answer(tmp_path, order):
    place, said = tmp_path / "kept", tmp_path / "said"
    said.mkdir()
    Toy(steps=1).save(place, 1)
    order("checkpoint.rename@2:enospc")

    def work():
        toy, checkpoints = Toy(), Checkpoints(place)
        found = [toy.load(checkpoints)[0], *(toy.save(checkpoints, step) for step in (2, 3, 4))]
        assert found == [1, True, False, True] and torch.equal(toy.model.weight, Toy(steps=1).model.weight)

    left = launched(work, said)
    assert [one.code for one in left] == [0, 0], left
    assert "continuing at step 1 (saved by 1 processes, now 2)" in left[0].said and left[1].said == ""
    assert names(place) == ["LATEST", "step-000002", "step-000004"]


def test_tied_weights_are_stored_once_and_come_back_tied(tmp_path, new_model):
    saved, found = new_model(), new_model(seed=1)
    Checkpoints(tmp_path).save(1, saved, torch.optim.AdamW(saved.parameters()), {})
    Checkpoints(tmp_path).load(found, torch.optim.AdamW(found.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), found.parameters(), strict=True))
    assert found.cls.predictions.decoder.weight is found.bert.embeddings.word_embeddings.weight


class Malice:
    """A pickle that would make a file when loaded."""

    def __init__(self, target) -> None:
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_code_in_a_checkpoint_is_not_run_and_the_checkpoint_passed_over(tmp_path, capsys):
    for step in (1, 2):
        Toy(steps=step).save(tmp_path, step)
    folder, sign = tmp_path / "step-000002", tmp_path / "was-here"
    torch.save({"state": Malice(sign)}, folder / "optimizer.pt")
    state = json.loads((folder / "state.json").read_text())
    state["files"]["optimizer.pt"]["sha256"] = file_digest(folder / "optimizer.pt")
    (folder / "state.json").write_text(json.dumps(state))
    assert Toy().load(tmp_path)[0] == 1 and not sign.exists()
    assert "step-000002 is damaged (Weights only load failed" in capsys.readouterr().err
