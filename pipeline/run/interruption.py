"""Signals that ask a training to stop: noted, and acted on between two steps."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""What schedulers, the keyboard, and schedulers ahead of time send."""


@contextmanager
def interruptible() -> Iterator[Callable[[], str]]:
    """`with interruptible() as asked:` and `asked()` is the name of the signal that came first, or "".

    A second SIGINT is not waited for: KeyboardInterrupt at once. Outside the main thread no signal can be caught.
    """
    seen: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if name == "SIGINT" and name in seen:
            raise KeyboardInterrupt
        seen.append(name)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: ""
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield lambda: seen[0] if seen else ""
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not set from Python
