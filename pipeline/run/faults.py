"""Faults made to order, so that tests can break a run at a named point. Without an order they cost one comparison.

KEYMASK_FAULT=checkpoint.rename:kill        the first time this point is come to, die as `kill -9` would have it
KEYMASK_FAULT=checkpoint.rename@3:enospc    the third time, the disk is full
KEYMASK_FAULT_RANK=1                        in this process alone
"""

import errno
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.run.errors import InputError
from pipeline.run.processes import rank


@dataclass
class Order:
    """One fault: where, at which visit, of what kind, in which process (None = every one)."""

    point: str
    visit: int
    kind: str
    rank: int | None = None
    visits: int = 0


def read_order(text: str, only: str = "") -> Order | None:
    """`<point>[@n]:<kind>` as an order, nothing for an empty text."""
    if not text:
        return None
    place, _, kind = text.partition(":")
    point, _, visit = place.partition("@")
    if kind not in KINDS or not (visit or "1").isdigit():
        raise InputError(f"KEYMASK_FAULT={text}: write <point>[@n]:<{'|'.join(KINDS)}>")
    return Order(point, int(visit or 1), kind, int(only) if only else None)


def fault(point: str) -> None:
    """Break here, if that was ordered."""
    if ORDER is None or ORDER.point != point or ORDER.rank not in (None, rank()):
        return
    ORDER.visits += 1
    if ORDER.visits == ORDER.visit:
        KINDS[ORDER.kind]()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise() -> None:
    raise RuntimeError("a fault made to order")


def _fill_disk() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


KINDS: dict[str, Callable[[], None]] = {
    "kill": _kill,
    "raise": _raise,
    "enospc": _fill_disk,
    "sleep": lambda: time.sleep(1e6),
    "exit": lambda: os._exit(1),
}
ORDER = read_order(os.environ.get("KEYMASK_FAULT", ""), os.environ.get("KEYMASK_FAULT_RANK", ""))
