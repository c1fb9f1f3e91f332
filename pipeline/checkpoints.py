"""Training checkpoints: what a killed run resumes from.

    <folder>/step-000500/  model.safetensors, optimizer.pt, state.json (sizes and hashes of the others, and the step)

Written beside, synced, renamed; the one before is removed only then. Loading takes the newest that verifies.
"""

import json
import os
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.optim import Optimizer

from pipeline.run.artifact import file_digest
from pipeline.run.processes import rank, say, wait_for_all

STATE = "state.json"


def save_checkpoint(folder: Path, step: int, model: nn.Module, optimizer: Optimizer, extra: dict[str, float]) -> None:
    """Write `step-<step>`; every process calls it, the first one writes. One checkpoint before it is kept."""
    if rank() == 0:
        draft = folder / f"tmp-{step:06d}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in _unique(model).items()}, draft / "model.safetensors")
        torch.save(optimizer.state_dict(), draft / "optimizer.pt")
        files = {path.name: file_digest(path) for path in draft.iterdir()}
        (draft / STATE).write_text(json.dumps({"step": step, "files": files, "extra": extra}))
        for path in draft.iterdir():
            _sync(path)
        shutil.rmtree(folder / f"step-{step:06d}", ignore_errors=True)  # a damaged one, or it would not come again
        os.rename(draft, folder / f"step-{step:06d}")
        _sync(folder)
        for old in _steps(folder)[:-2]:
            shutil.rmtree(old)
    wait_for_all()


def load_checkpoint(folder: Path, model: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, float]]:
    """Restore the newest whole checkpoint; the step to go on with and what was saved with it, or (0, {})."""
    for path in reversed(_steps(folder)):
        state = _verified(path)
        if state is None:
            say(f"! {path} is damaged: going back to the checkpoint before it")
            continue
        model.load_state_dict(load_file(path / "model.safetensors"), strict=False)  # tied weights are stored once
        optimizer.load_state_dict(torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu"))
        say(f"  continuing at step {state['step']}")
        return state["step"], state["extra"]
    return 0, {}


def _steps(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"))


def _verified(path: Path) -> dict | None:
    try:
        state = json.loads((path / STATE).read_text())
        whole = all(file_digest(path / name) == digest for name, digest in state["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return state if whole else None


def _unique(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state without the second names of shared tensors, which safetensors refuses."""
    seen, unique = set(), {}
    for name, tensor in model.state_dict().items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            unique[name] = tensor
    return unique


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


class Checkpoints:
    """The checkpoints of one training."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, model: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, float]]:
        """Restore the newest whole checkpoint."""
        return load_checkpoint(self.folder, model, optimizer)

    def save(self, step: int, model: nn.Module, optimizer: Optimizer, state: dict[str, float]) -> bool:
        """Write one."""
        save_checkpoint(self.folder, step, model, optimizer, state)
        return True
