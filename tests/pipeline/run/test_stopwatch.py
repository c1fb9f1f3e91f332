"""Time is counted over all runs of a draft, whatever ended them, and nothing fails for its sake."""

import errno
import os
import time

import pytest

from pipeline.run import stopwatch as module
from pipeline.run.stopwatch import stopwatch


def long_ago(seconds: float) -> float:
    return time.monotonic() - seconds


def test_runs_are_added_up(tmp_path):
    for started in (100, 30):
        with stopwatch(tmp_path, long_ago(started)) as spent:
            pass
    assert spent() == pytest.approx(130, abs=10)


def test_a_run_that_fails_counts(tmp_path):
    with pytest.raises(KeyboardInterrupt), stopwatch(tmp_path, long_ago(100)):
        raise KeyboardInterrupt
    with stopwatch(tmp_path, long_ago(0)) as spent:
        assert spent() == pytest.approx(100, abs=10)


def test_a_run_at_work_has_written_what_it_spent_up_to_the_last_beat(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.01)
    with stopwatch(tmp_path, long_ago(100)):
        while not (tmp_path / "scratch" / "seconds").exists():  # what `kill -9` would leave
            time.sleep(0.01)
        with stopwatch(tmp_path, long_ago(0)) as spent:
            assert spent() == pytest.approx(100, abs=10)


def test_a_full_disk_or_a_damaged_file_ends_nothing(tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "seconds").write_bytes(b"\0\0")
    monkeypatch.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with stopwatch(tmp_path, long_ago(100)) as spent:
        assert spent() == pytest.approx(100, abs=10)


def test_a_draft_that_is_gone_is_not_made_again(tmp_path):
    with stopwatch(tmp_path / "gone", long_ago(100)):
        pass
    assert not (tmp_path / "gone").exists()
