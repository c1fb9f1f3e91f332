"""How long an artifact took: all runs that worked on its draft, killed ones among them.

What was spent stands in the draft and is written anew every BEAT seconds: a run that is killed loses no more, and one
that ends with an error nothing. A draft that is begun anew begins at 0. For the first process alone.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.run.artifact import SCRATCH

SPENT = "seconds"
"""In a draft's scratch, which goes when it is sealed: the time spent on it so far."""
BEAT = 10.0
"""Seconds between two writings, each of 16 bytes."""


@contextmanager
def stopwatch(draft: Path, started: float) -> Iterator[Callable[[], float]]:
    """`with stopwatch(draft, started) as spent:` and `spent()` is the seconds since `started` and of all runs before.

    `started` is of time.monotonic(): a clock that is set, or a machine asleep, counts for nothing.
    """
    path, over = draft / SCRATCH / SPENT, threading.Event()
    before = _read(path)
    spent = lambda: before + time.monotonic() - started
    beats = threading.Thread(target=_beat, args=(path, spent, over), daemon=True)
    beats.start()
    try:
        yield spent
    finally:
        over.set()
        beats.join()
        _write(path, spent())


def _beat(path: Path, spent: Callable[[], float], over: threading.Event) -> None:
    while not over.wait(BEAT):
        _write(path, spent())


def _read(path: Path) -> float:
    """0 where there is nothing, or nothing that can be read: a power cut may leave an empty file."""
    with suppress(OSError, ValueError):
        return float(path.read_text(encoding="utf-8"))
    return 0.0


def _write(path: Path, seconds: float) -> None:
    """Over what stands there, in one call and always as many bytes: a kill leaves the one or the other."""
    with suppress(OSError):  # a full disk, or a draft that is gone: the stage says so, if it minds
        path.parent.mkdir(exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.pwrite(file, f"{seconds:<16.1f}".encode(), 0)
        finally:
            os.close(file)
