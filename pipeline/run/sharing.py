"""Work divided among processes: by turns, or by who is free."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pipeline.run.processes import gathered, processes, rank, store, world
from pipeline.run.progress import Progress

_calls = itertools.count()
"""Numbers of the calls of `claimed`, which every process makes in the same order."""

Item = TypeVar("Item")


def share(items: Sequence[Item]) -> list[Item]:
    """The items of this process: every world-th one."""
    return list(items)[rank() :: world()]


def unmade(targets: Mapping[Path, Path]) -> list[Path]:
    """Of source -> target the sources without one, the largest first, as the first process sees it: all must mean the
    same."""
    missing = [source for source, target in targets.items() if rank() == 0 and not target.exists()]
    return gathered(sorted(missing, key=lambda path: -path.stat().st_size))


def claimed(items: Sequence[Item], label: str) -> Iterator[Item]:
    """The next item that no process has, again and again, with a progress line: who is done early takes more.

    Every process gives the same items, those that take longest first. Claims are counted in the store by which
    processes find each other, which dies with them: nobody waits for what a dead process claimed.
    """
    line = Progress(len(items), label)
    for number in _claims(len(items)):
        yield items[number]
        line.reach(number + 1)
    line.close()


def _claims(count: int) -> Iterator[int]:
    """Numbers below `count`, each for one process."""
    if world() == 1:
        yield from range(count)
        return
    processes()
    counter = f"claims of call {next(_calls)}"
    while (number := store().add(counter, 1) - 1) < count:
        yield number
