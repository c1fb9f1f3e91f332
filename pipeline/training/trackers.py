"""Experiment trackers by name, beside the logs that are always written: TRACK=wandb, TRACK="trackio wandb".

They are Accelerate's. What they are told is the name of recipe and artifact and the numbers of metrics.jsonl: no
settings, no text, no command, nothing of the environment. Nothing leaves the machine unless that was asked for: wandb
is offline unless WANDB_MODE says otherwise, trackio writes to its own folder. A tracker that fails does not stop a
training. As it changes no result, it is a variable of the environment and no setting.
"""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker

from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.run.progress import say

VARIABLE = "TRACK"
KNOWN = ("trackio", "wandb")
QUIET = {
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
    "WANDB_CONSOLE": "off",
    "WANDB_DISABLE_CODE": "true",
    "WANDB_DISABLE_GIT": "true",
}
"""What holds where the user's environment says nothing: no network, no output, no source code."""


class Trackers:
    """Those that TRACK names, begun for one training; none where it names none."""

    def __init__(self, folder: Path) -> None:
        names = os.environ.get(VARIABLE, "").replace(",", " ").split()
        for name in names:
            _check(name)
        for name, value in QUIET.items() if names else ():
            os.environ.setdefault(name, value)
        self.begun: dict[str, GeneralTracker] = {}
        if names:
            processes()  # Accelerate's trackers ask its state
        for name in dict.fromkeys(names):
            self._begin(name, folder)

    def _begin(self, name: str, folder: Path) -> None:
        place = {"dir": str(folder.parent)} if name == "wandb" else {}
        run = folder.name.removesuffix(".partial")
        self.begun[name] = LOGGER_TYPE_TO_CLASS[name](folder.parent.name, name=run, **place)
        self._ask(name, "start")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """A point of every number."""
        for name in [*self.begun]:
            self._ask(name, "log", dict(values), step=step)

    def finish(self) -> None:
        """Have all of it written."""
        for name in [*self.begun]:
            self._ask(name, "finish")
        self.begun.clear()

    def _ask(self, name: str, what: str, *values: object, **more: object) -> None:
        """Whatever it raises is told once, and it is left alone from then on."""
        try:
            getattr(self.begun[name], what)(*values, **more)
        except Exception as error:  # of a stranger's code, a network, a full disk
            del self.begun[name]
            reason = (str(error).strip().splitlines() or [""])[0][:200]
            say(f"! {name} failed ({type(error).__name__}: {reason}): the training goes on without it")


def _check(name: str) -> None:
    if name not in KNOWN:
        raise InputError(
            f"{VARIABLE}={name} is no tracker known here: {', '.join(KNOWN)} (TensorBoard is always written)"
        )
    if find_spec(name) is None:
        raise InputError(f"{VARIABLE}={name}, but the package {name} is not installed: .venv/bin/pip install {name}")
