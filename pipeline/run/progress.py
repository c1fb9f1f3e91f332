"""What whoever waits sees: lines, and how far something is."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TypeVar

from pipeline.run.processes import rank

Item = TypeVar("Item")


def say(text: str) -> None:
    """A line for the user, from the first process only; lost where it cannot be written (a log on a full disk)."""
    if rank() == 0:
        _print(text)


def progress(items: Iterable[Item], count: int | None, label: str) -> Iterator[Item]:
    """The items, with a progress line that knows how long is left."""
    line = Progress(count, label)
    for item in items:
        yield item
        line.step()
    line.close()


class Progress:
    """`label  40 %  120/300  00:12 left  note`: rewritten in place on a terminal, a line now and then elsewhere.

    `written` says how numbers are shown: `size` of those that are bytes.
    """

    def __init__(self, count: int | None, label: str, done: int = 0, written: Callable[[int], str] = str) -> None:
        self.count, self.label, self.done, self.written = count, label, done, written
        self.first, self.started = done, time.monotonic()
        self.shown = self.started
        self.terminal = sys.stderr.isatty()

    def step(self, note: str = "", more: int = 1) -> None:
        """One more is done, or several."""
        self.reach(self.done + more, note)

    def noting(self, items: Iterable[Item], label: str) -> Iterator[Item]:
        """The items, their number the note of a line about what they are made of."""
        for number, item in enumerate(items, start=1):
            yield item
            self.reach(self.done, f"{label} {number:,}")

    def reach(self, done: int, note: str = "") -> None:
        """So many are done."""
        self.done = done
        now = time.monotonic()
        if now - self.shown >= (0.2 if self.terminal else 15) and rank() == 0:
            self.shown = now
            self._write(self._text(now, note))

    def close(self) -> None:
        """Clear the line."""
        if self.terminal and rank() == 0:
            _print("\r\033[K", end="")

    def _text(self, now: float, note: str) -> str:
        if not self.count:
            return f"  {self.label}  {self.written(self.done) if self.done else ''}  {note}"
        left = (now - self.started) / max(self.done - self.first, 1) * (self.count - self.done)
        share_done = f"{self.done / self.count:4.0%}  {self.written(self.done)}/{self.written(self.count)}"
        return f"  {self.label}  {share_done}  {clock(left)} left  {note}"

    def _write(self, text: str) -> None:
        _print(f"\r\033[K{text}" if self.terminal else text, end="" if self.terminal else "\n")


def _print(text: str, end: str = "\n") -> None:
    with suppress(OSError):
        print(text, end=end, file=sys.stderr, flush=True)


def size(count: int) -> str:
    """1234567 -> 1.2 MB."""
    power = max(0, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.{power > 0:d}f} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"


def clock(seconds: float) -> str:
    """75 -> 01:15; 3700 -> 1:01:40."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:02d}:{seconds:02d}"
