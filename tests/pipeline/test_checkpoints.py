"""A checkpoint is whole or it is passed over."""

import json
import os
import pickle

import pytest
import torch
from torch import nn

from pipeline import checkpoints
from pipeline.checkpoints import load_checkpoint, save_checkpoint
from pipeline.run.artifact import file_digest


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

    def save(self, folder, step: int) -> None:
        save_checkpoint(folder, step, self.model, self.optimizer, {"tokens": 10 * step})

    def load(self, folder) -> tuple[int, dict]:
        return load_checkpoint(folder, self.model, self.optimizer)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


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
    assert names(tmp_path) == ["step-000003", "step-000004"]


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
        lambda folder: os.truncate(folder / "optimizer.pt", 100),
    ],
    ids=["flipped bit", "file gone", "state gone", "state cut", "file cut"],
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


def test_a_run_killed_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    Toy(steps=1).save(tmp_path, 1)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="disk full"):
        patch.setattr(checkpoints, "_sync", lambda path: (_ for _ in ()).throw(OSError("disk full")))
        Toy(steps=2).save(tmp_path, 2)
    assert Toy().load(tmp_path) == (1, {"tokens": 10})
    Toy(steps=2).save(tmp_path, 2)
    assert Toy().load(tmp_path) == (2, {"tokens": 20}) and names(tmp_path) == ["step-000001", "step-000002"]


def test_tied_weights_are_stored_once_and_come_back_tied(tmp_path, new_model):
    saved, found = new_model(), new_model(seed=1)
    save_checkpoint(tmp_path, 1, saved, torch.optim.AdamW(saved.parameters()), {})
    load_checkpoint(tmp_path, found, torch.optim.AdamW(found.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(saved.parameters(), found.parameters(), strict=True))
    assert found.cls.predictions.decoder.weight is found.bert.embeddings.word_embeddings.weight


class Malice:
    """A pickle that would make a file when loaded."""

    def __init__(self, target) -> None:
        self.target = target

    def __reduce__(self):
        return open, (str(self.target), "w")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    Toy(steps=1).save(tmp_path, 1)
    folder, sign = tmp_path / "step-000001", tmp_path / "was-here"
    torch.save({"state": Malice(sign)}, folder / "optimizer.pt")
    state = json.loads((folder / "state.json").read_text())
    state["files"]["optimizer.pt"] = file_digest(folder / "optimizer.pt")
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(pickle.UnpicklingError):
        Toy().load(tmp_path)
    assert not sign.exists()
