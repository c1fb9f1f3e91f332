"""What a training says of itself: metrics.jsonl, TensorBoard, trackers; what was odd, with its documents.

<artifact>/logs/metrics.jsonl   a line a step and a measurement
<artifact>/logs/events.jsonl    steps left out, loss spikes: with the ids of the documents read
"""

import json
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from pipeline.run.artifact import LOGS
from pipeline.run.processes import rank
from pipeline.training.trackers import Trackers

SPIKE = 6.0
"""A loss so many standard deviations above the mean of the last losses is a spike."""

REMEMBERED = 100
"""Losses a spike is measured against; none is called one before a quarter of them is known."""


class Journal:
    """The logs of one training, continued without gap or overlap after a kill; silent without a folder."""

    def __init__(self, folder: Path | None, first: int) -> None:
        self.losses: deque[float] = deque(maxlen=REMEMBERED)
        self.metrics = self.events = self.board = self.trackers = None
        if folder is None or rank() != 0:
            return
        self.trackers = Trackers(folder)
        logs = folder / LOGS
        logs.mkdir(parents=True, exist_ok=True)
        before = _kept(logs / "metrics.jsonl", first)
        self.losses.extend(line["loss"] for line in before if line.get("loss") is not None)
        _kept(logs / "events.jsonl", first)
        self.metrics = open(logs / "metrics.jsonl", "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self.events = open(logs / "events.jsonl", "a", encoding="utf-8")  # noqa: SIM115
        self.board = SummaryWriter(str(logs), purge_step=first)

    def write(self, step: int, values: dict[str, float]) -> None:
        """A line of metrics.jsonl and a point on each board."""
        if self.metrics:
            _write(self.metrics, {"step": step, **values})
            with suppress(OSError):
                for name, value in values.items():
                    self.board.add_scalar(name, value, step)
            self.trackers.log(values, step)

    def odd(self, step: int, what: str, documents: list[str]) -> None:
        """A line of events.jsonl."""
        if self.events:
            _write(self.events, {"step": step, "what": what, "documents": documents})

    def is_spike(self, loss: float) -> bool:
        """Whether a loss stands far above the last ones; then it does not count among them."""
        known = np.array(self.losses)
        spike = len(known) >= REMEMBERED // 4 and loss > known.mean() + SPIKE * max(known.std(), 1e-3)
        if not spike and np.isfinite(loss):
            self.losses.append(loss)
        return spike

    def close(self) -> None:
        """Write what the boards hold back."""
        for file in (self.metrics, self.events, self.board):
            with suppress(OSError):
                file.close() if file else None
        if self.trackers:
            self.trackers.finish()


def _kept(path: Path, first: int) -> list[dict]:
    """Drop the lines from step `first` on, which will be written again, and one that a kill cut short."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if _step_of(line) < first]
    path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    return [json.loads(line) for line in kept]


def _step_of(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")


def _write(file: TextIO, line: dict[str, object]) -> None:
    """JSON has no word for what is not finite but null."""
    known = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in line.items()}
    with suppress(OSError):  # a full disk: a checkpoint will say so, and the training goes on
        file.write(json.dumps(known, ensure_ascii=False) + "\n")
        file.flush()
