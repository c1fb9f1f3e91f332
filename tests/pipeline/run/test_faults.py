"""Faults come where they were ordered, and nowhere else."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import faults
from pipeline.run.errors import InputError
from pipeline.run.faults import fault, read_order

ROOT = Path(__file__).parents[3]
VISIT = "from pipeline.run.faults import fault; fault('a'); print('one', flush=True); fault('a'); print('two')"


@pytest.mark.parametrize(
    ("order", "code", "said"),
    [
        ("", 0, "one\ntwo\n"),
        ("b:kill", 0, "one\ntwo\n"),
        ("a:kill", -signal.SIGKILL, ""),
        ("a@2:exit", 1, "one\n"),
        ("a@2:raise", 1, "one\n"),
    ],
)
def test_a_process_breaks_at_the_ordered_visit_of_the_ordered_point(order, code, said):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "KEYMASK_FAULT": order}
    done = subprocess.run([sys.executable, "-c", VISIT], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, said)


def test_a_full_disk_looks_like_one(monkeypatch):
    monkeypatch.setattr(faults, "ORDER", read_order("a:enospc"))
    with pytest.raises(OSError, match="No space left") as told:
        fault("a")
    assert told.value.errno == errno.ENOSPC


def test_a_fault_can_be_ordered_for_one_process(monkeypatch):
    monkeypatch.setattr(faults, "ORDER", read_order("a:raise", "1"))
    fault("a")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(RuntimeError, match="made to order"):
        fault("a")


@pytest.mark.parametrize("text", ["a", "a:burn", "a@x:kill"])
def test_an_order_that_cannot_be_read_is_refused(text):
    with pytest.raises(InputError, match=r"write <point>\[@n\]:<kill\|raise\|enospc"):
        read_order(text)
