"""Trackers by name are told numbers and names, and can neither stop a training nor be told a secret."""

import json

import pytest
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from pipeline.run.errors import InputError
from pipeline.training import trackers
from pipeline.training.journal import Journal


class Fake(GeneralTracker):
    """As Accelerate's are, but for what they do with what they are told."""

    name, requires_logging_directory, main_process_only = "wandb", False, False
    told: list

    def __init__(self, project, **how):
        super().__init__()
        self.told.append(("init", project, how))

    @property
    def tracker(self):
        return None

    def start(self):
        self.told.append(("start",))

    def store_init_configuration(self, values):
        pytest.fail("settings were told")

    def log(self, values, step=None, **more):
        self.told.append(("log", values, step))
        if values.get("loss") == 0.0:
            raise ConnectionError("token=secret-in-a-second-line\nsecret")

    def finish(self):
        self.told.append(("finish",))


@pytest.fixture
def told(monkeypatch):
    """What a fake wandb is told, and an environment that is put back."""
    for name in trackers.QUIET:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(trackers, "find_spec", lambda name: "wandb" if name == "wandb" else None)
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", Fake)
    monkeypatch.setenv("TRACK", "wandb")
    monkeypatch.setenv("WANDB_API_KEY", "a-secret")
    Fake.told = []
    return Fake.told


def test_a_tracker_is_told_what_metrics_jsonl_is_and_nothing_else(tmp_path, told):
    folder = tmp_path / "demo" / "dapt.partial"
    journal = Journal(folder, 0)
    journal.write(0, {"loss": 3.0})
    journal.write(0, {"dev/loss": 2.5})
    journal.close()
    assert told == [
        ("init", "demo", {"name": "dapt", "dir": str(tmp_path / "demo")}),
        *(("start",), ("log", {"loss": 3.0}, 0), ("log", {"dev/loss": 2.5}, 0), ("finish",)),
    ]
    lines = (folder / "logs" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"step": 0, "loss": 3.0}, {"step": 0, "dev/loss": 2.5}]


@pytest.mark.parametrize(("said", "mode"), [(None, "offline"), ("online", "online"), ("disabled", "disabled")])
def test_nothing_leaves_the_machine_unless_its_user_says_so(tmp_path, told, monkeypatch, said, mode):
    if said:
        monkeypatch.setenv("WANDB_MODE", said)
    trackers.Trackers(tmp_path)
    assert trackers.os.environ["WANDB_MODE"] == mode


def test_a_tracker_that_fails_is_left_alone_and_the_training_goes_on(tmp_path, told, capsys):
    journal = Journal(tmp_path / "demo" / "dapt.partial", 0)
    for step, loss in enumerate((1.0, 0.0, 2.0)):
        journal.write(step, {"loss": loss})
    journal.close()
    assert [entry[2] for entry in told if entry[0] == "log"] == [0, 1] and told[-1][0] == "log"
    assert len((tmp_path / "demo" / "dapt.partial" / "logs" / "metrics.jsonl").read_text().splitlines()) == 3
    said = capsys.readouterr().err
    assert said.count("goes on without it") == 1 and "ConnectionError" in said


@pytest.mark.parametrize(
    ("named", "refused"),
    [
        ("trackio", r"trackio is not installed: \.venv/bin/pip install trackio$"),
        ("wanb", "no tracker known here: trackio, wandb"),
    ],
)
def test_a_tracker_that_is_not_there_is_refused_before_a_step_is_made(tmp_path, told, monkeypatch, named, refused):
    monkeypatch.setenv("TRACK", f"wandb {named}")
    with pytest.raises(InputError, match=refused):
        Journal(tmp_path, 0)
    assert told == []


def test_without_a_name_there_is_none(tmp_path, told, monkeypatch):
    monkeypatch.delenv("TRACK")
    Journal(tmp_path, 0).close()
    assert told == [] and "WANDB_MODE" not in trackers.os.environ
