"""A signal asks, the loop decides when."""

import os
import signal
import threading

import pytest

from pipeline.run.interruption import SIGNALS, interruptible


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_is_noted_and_nothing_is_broken_off(number):
    with interruptible() as asked:
        before = asked()
        os.kill(os.getpid(), number)
        assert (before, asked()) == ("", number.name)


def test_a_second_sigint_stops_at_once():
    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_a_sigint_after_another_signal_still_only_asks():
    with interruptible() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert asked() == "SIGTERM"


def test_afterwards_signals_do_what_they_did_before():
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(ValueError, match="inside"), interruptible():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise ValueError("inside")
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_is_never_asked():
    said = []

    def work():
        with interruptible() as asked:
            said.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [""]
