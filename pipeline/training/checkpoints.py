"""Training checkpoints: what a killed run resumes from.

    <folder>/step-000500/  model.safetensors, optimizer.pt, state.json (step, counters, sizes and hashes of the others)
    <folder>/LATEST        the name of the newest, for people and scripts; loading looks at the folders themselves

Written beside, synced, renamed; the ones before are removed only then. Loading takes the newest that verifies. A
checkpoint that cannot be written does not end a training: the one before is still good, and the disk may empty.
"""

import json
import os
import pickle
import shutil
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.run.artifact import sync
from pipeline.run.errors import StorageError
from pipeline.run.faults import fault
from pipeline.run.key import file_digest
from pipeline.run.processes import gathered, rank, wait_for_all, world
from pipeline.run.progress import say
from pipeline.training.sharding import whole_state

MODEL, OPTIMIZER, STATE, LATEST = "model.safetensors", "optimizer.pt", "state.json", "LATEST"
BEST = "best"
"""Beside the moments in OPTIMIZER: the weights of the best measurement."""
GIVE_UP_AFTER = 3
"""So many checkpoints in a row that could not be written end the training."""

DAMAGE = (OSError, ValueError, KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError)
"""What reading a damaged checkpoint raises."""

State = dict[str, object]
Moments = dict[str, object]
"""An optimiser's state, all tensors whole."""
Read = tuple[State, dict[str, Tensor], Moments]
"""A checkpoint in memory: what state.json says, the weights, the optimiser's state."""


class Checkpoints:
    """The checkpoints of one training, below a folder of its own. Every process calls, the first one writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last = 0
        """The step of the newest good checkpoint, 0 for none."""
        self.failures = 0
        """Checkpoints in a row that could not be written."""
        self.best: dict[str, Tensor] = {}
        """The best weights so far, of a training that keeps them: as loaded, and to be saved."""

    def load(self, model: nn.Module, optimizer: Optimizer) -> tuple[int, State]:
        """Restore the newest one that verifies; the step to go on with and what was saved with it, or (0, {})."""
        read = self._newest(model) if rank() == 0 else None
        self.last = gathered([read[0]["step"] if read else 0])[0]
        if self.last:
            state, weights, moments = read or _read(self._path(self.last))
            self.best = moments.pop(BEST, {})
            model.load_state_dict(weights, strict=False)  # tied weights are stored once
            optimizer.load_state_dict(moments)
            say(f"  continuing at step {self.last}{_other_world(state)}")
        wait_for_all()
        return (self.last, state["state"]) if self.last else (0, {})

    def save(self, step: int, model: nn.Module, optimizer: Optimizer, state: State) -> bool:
        """Write `step-<step>`; False, with a line that says why, where that was not possible."""
        if step == self.last:
            return True
        moments = whole_state(optimizer.state_dict()) | ({BEST: self.best} if self.best else {})
        problem = gathered([self._try(step, model, moments, state) if rank() == 0 else ""])[0]
        if not problem:
            self.last, self.failures = step, 0
            return True
        self.failures += 1
        say(f"! no checkpoint of step {step}: {problem}; the one before is kept, the training goes on")
        if self.failures == GIVE_UP_AFTER:
            raise StorageError(
                f"{GIVE_UP_AFTER} checkpoints in a row could not be written in {self.folder} ({problem}): "
                "free space there, then run the same command"
            )
        return False

    def _newest(self, model: nn.Module) -> Read | None:
        self._tidy()
        names = set(_unique(model))
        for step in reversed(self._steps()):
            try:
                return _verified(self._path(step), names)
            except DAMAGE as error:
                why = str(error).partition("\n")[0] or type(error).__name__
                say(f"! {self._path(step)} is damaged ({why}): going back to the checkpoint before it")
        return None

    def _try(self, step: int, model: nn.Module, moments: Moments, state: State) -> str:
        """Write and publish; why it could not be done, or "" where it was."""
        draft = self.folder / f"tmp-{step:06d}-{socket.gethostname()}-{os.getpid()}"
        try:
            draft.mkdir(parents=True, exist_ok=True)
            self._check_space(model, moments)
            _write(draft, step, model, moments, state)
            fault("checkpoint.rename")
            self._publish(draft, step)
            self._prune(step)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(draft, ignore_errors=True)
            return str(error)
        return ""

    def _check_space(self, model: nn.Module, moments: Moments) -> None:
        tensors = [*_unique(model).values(), *_tensors(moments)]
        needed, free = 2 * sum(t.numel() * t.element_size() for t in tensors), shutil.disk_usage(self.folder).free
        if free < needed:
            raise OSError(f"{needed / 1e6:,.0f} MB must be free in {self.folder} to be safe, {free / 1e6:,.0f} MB are")

    def _publish(self, draft: Path, step: int) -> None:
        path = self._path(step)
        if path.exists():  # a damaged one: loading went back past it
            os.rename(path, draft.with_name(f"{draft.name}-replaced"))
        os.rename(draft, path)
        sync(self.folder)
        fault("checkpoint.latest")
        beside = draft.with_name(f"{draft.name}-{LATEST}")
        _write_synced(beside, path.name)
        os.rename(beside, self.folder / LATEST)

    def _prune(self, step: int) -> None:
        """Keep this one and the one before it; what is numbered later was damaged, or loading would have taken it."""
        steps = self._steps()
        for other in set(steps) - {step, *[s for s in steps if s < step][-1:]}:
            fault("checkpoint.prune")
            shutil.rmtree(self._path(other))
        self._tidy()

    def _tidy(self) -> None:
        """Remove what a killed process, or a replaced checkpoint, left behind."""
        for path in self.folder.glob("tmp-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _path(self, step: int) -> Path:
        return self.folder / _name(step)

    def _steps(self) -> list[int]:
        names = [path.name.removeprefix("step-") for path in self.folder.glob("step-*")]
        return sorted(int(name) for name in names if name.isdigit())


def _name(step: int) -> str:
    return f"step-{step:06d}"


def _write(draft: Path, step: int, model: nn.Module, moments: Moments, state: State) -> None:
    """Every file, synced; state.json, which vouches for the others, last."""
    save_file({name: tensor.contiguous() for name, tensor in _unique(model).items()}, draft / MODEL)
    fault("checkpoint.write")
    with open(draft / OPTIMIZER, "wb") as file:  # a file of Python's: its errors are the system's own
        torch.save(moments, file)
    files = {}
    for name in (MODEL, OPTIMIZER):
        sync(draft / name)
        files[name] = {"size": (draft / name).stat().st_size, "sha256": file_digest(draft / name)}
    versions = {name: version(name) for name in ("torch", "transformers", "accelerate")}
    told = {"step": step, "files": files, "state": state, "processes": world(), "versions": versions}
    _write_synced(draft / STATE, json.dumps(told))
    sync(draft)


def _verified(path: Path, names: set[str]) -> Read:
    """A checkpoint whose files are as they were written and which is one of this model, or an error."""
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    if path.name != _name(state["step"]):
        raise ValueError(f"it says it is of step {state['step']}")
    for name in (MODEL, OPTIMIZER):
        if file_digest(path / name) != state["files"][name]["sha256"]:
            raise ValueError(f"{name} is not as it was written")
    read = _read(path)
    if set(read[1]) != names:
        raise ValueError("it is one of another model")
    return read


def _read(path: Path) -> Read:
    state = json.loads((path / STATE).read_text(encoding="utf-8"))
    moments = torch.load(path / OPTIMIZER, weights_only=True, map_location="cpu")  # runs no code it may hold
    return state, load_file(path / MODEL), moments


def _other_world(state: State) -> str:
    return "" if state["processes"] == world() else f" (saved by {state['processes']} processes, now {world()})"


def _unique(model: nn.Module) -> dict[str, Tensor]:
    """The state without the second names of shared tensors, which safetensors refuses."""
    seen, unique = set(), {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            unique[name] = tensor
    return unique


def _tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, dict):
        for value in state.values():
            yield from _tensors(value)


def _write_synced(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
