"""What one process does alone, what several do together, and how they notice that one is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from launcher import begun, ended, launched

from pipeline.run import processes as module
from pipeline.run.errors import InputError
from pipeline.run.processes import _precision, gathered, main_first, name_missing, processes, rank, total, wait_for_all
from pipeline.run.progress import Progress, clock, progress, say, size
from pipeline.run.sharing import claimed, share

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "00:00"), (75, "01:15"), (59.6, "01:00"), (3700, "1:01:40"), (90000, "25:00:00")]
)
def test_a_clock_shows_minutes_and_hours(seconds, shown):
    assert clock(seconds) == shown


def test_one_process_has_everything():
    assert (share([1, 2, 3]), gathered([1, 2]), total({"a": 1}), main_first(lambda: 7)) == (
        [1, 2, 3],
        [1, 2],
        {"a": 1},
        7,
    )


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_shares_are_all_items_once(world, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", str(world))
    parts = []
    for number in range(world):
        monkeypatch.setenv("RANK", str(number))
        parts.append(share("abcde"))
    assert sorted("".join(map("".join, parts))) == list("abcde") and max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_claims_everything_in_order():
    assert list(claimed("abc", "letters")) == list("abc")


def test_a_process_with_much_to_do_stalls_nobody(tmp_path):
    """The long item is done when all others are: dealt out evenly, some of them would wait for it."""
    done = tmp_path / "done"
    done.mkdir()

    def work():
        for item in claimed(["long", *"abcdefg"], "items"):
            assert item != "long" or until(lambda: len(list(done.iterdir())) == 7, seconds=60)
            (done / item).touch(exist_ok=False)

    assert [left.code for left in launched(work, tmp_path)] == [0, 0]
    assert sorted(path.name for path in done.iterdir()) == [*"abcdefg", "long"]


def test_what_is_claimed_a_second_time_is_claimed_anew(tmp_path):
    def work():
        for _ in range(2):
            assert sorted(gathered(list(claimed("abc", "letters")))) == list("abc")

    assert [left.code for left in launched(work, tmp_path)] == [0, 0]


def test_only_the_first_process_speaks(monkeypatch, capsys):
    say("one")
    monkeypatch.setenv("RANK", "1")
    say("two")
    assert capsys.readouterr().err == "one\n"


def test_a_line_that_cannot_be_written_ends_nothing(monkeypatch):
    full = open("/dev/full", "w")  # noqa: SIM115
    monkeypatch.setattr(sys, "stderr", full)
    say("one")
    with pytest.raises(OSError, match="No space left"):  # it was tried
        full.close()


def test_processes_that_did_not_find_each_other_are_refused_with_the_right_command(monkeypatch):
    processes.cache_clear()
    monkeypatch.setattr(module, "world", lambda: 2)
    monkeypatch.setattr(module, "die_with_parent", lambda: None)
    with pytest.raises(InputError, match=r"2 processes but 1 found each other: .* stages/launch/cpu2.yaml"):
        processes()
    processes.cache_clear()


def test_progress_hands_on_every_item():
    assert list(progress(iter("abc"), 3, "letters")) == list("abc")


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_345_678_901, "2.3 GB")])
def test_bytes_are_shown_in_three_places(count, shown):
    assert size(count) == shown


def test_a_progress_line_knows_how_long_is_left(monkeypatch, capsys):
    now = iter([0.0, 10.0, 30.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    line = Progress(300, "dapt", done=100)  # resumed: what was done before took no time now
    line.step()
    line.step("loss 2.5")
    assert capsys.readouterr().err == "  dapt   34%  102/300  49:30 left  loss 2.5\n"


def exchange() -> None:
    """What a step of a training does."""
    processes().reduce(torch.ones(1), "sum")


def step() -> None:
    """An exchange that tells who was missing when it fails."""
    try:
        exchange()
    except RuntimeError as error:
        raise RuntimeError(name_missing("step 12")) from error


@pytest.fixture
def hasty(monkeypatch):
    """Minutes are seconds."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    monkeypatch.setattr(module, "ROLL_CALL", 0.4)


def test_two_processes_add_up_and_gather_in_order(tmp_path):
    def work():
        assert total({"a": rank() + 1, f"only {rank()}": 5}) == {"a": 3, "only 0": 5, "only 1": 5}
        assert gathered([f"{rank()}{letter}" for letter in "ab"]) == ["0a", "0b", "1a", "1b"]

    assert [left.code for left in launched(work, tmp_path)] == [0, 0]


@pytest.mark.parametrize("wait", [lambda: gathered([1]), lambda: main_first(int)])
def test_waiting_for_a_slow_process_has_no_limit(tmp_path, hasty, wait):
    def work():
        processes()
        if rank() == 0:
            time.sleep(2.5 * module.PATIENCE)
        wait()

    left = launched(work, tmp_path)
    assert [(one.code, one.said) for one in left] == [(0, ""), (0, "")]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_process_that_hangs_in_a_step_ends_the_others_who_name_it(tmp_path, hasty, lost):
    def work():
        wait_for_all()
        if rank() == lost:
            time.sleep(1000)
        step()

    started = begun(work, tmp_path, world=3)
    hung = started.pop(lost)
    others = ended(started)
    assert [one.code for one in others] == [1, 1] and ended([hung], seconds=0)[0].code == -signal.SIGKILL
    assert all(f"RuntimeError: rank {lost} did not come to step 12: dead, or hung for 0.5 s" in o.said for o in others)


def test_a_process_that_dies_ends_those_who_wait_without_limit(tmp_path):
    def work():
        wait_for_all()
        if rank() == 1:
            os._exit(7)
        wait_for_all()

    before = time.monotonic()
    assert [left.code for left in launched(work, tmp_path, world=3)] == [1, 7, 1]
    assert time.monotonic() - before < 10


def test_nobody_is_missed_when_all_are_there(tmp_path, hasty):
    def work():
        wait_for_all()
        assert name_missing("step 12") == ""

    assert [left.code for left in launched(work, tmp_path)] == [0, 0]
    assert name_missing("step 12") == ""  # one process alone


ORPHANS = """
import os, sys, time
from pathlib import Path
from pipeline.run.processes import processes, rank
processes()
Path(sys.argv[1], str(rank())).write_text(str(os.getpid()))
time.sleep(60)
"""


def test_processes_die_with_their_launcher(tmp_path):
    (tmp_path / "orphans.py").write_text(ORPHANS)
    found = tmp_path / "pids"
    found.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen([*command, tmp_path / "orphans.py", found], env=environment) as launcher:
        met = until(lambda: len([path for path in found.iterdir() if path.read_text()]) == 2, seconds=60)
        pids = [int(path.read_text()) for path in found.iterdir()]
        lived = [alive(pid) for pid in pids]
        launcher.kill()
    assert met and lived == [True, True]
    assert until(lambda: not any(alive(pid) for pid in pids), seconds=5)


def until(true, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def alive(pid: int) -> bool:
    """Running: a zombie, which nobody may have buried, is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("asked", "flags", "taken"),
    [
        ("fp16", "fpu avx2 avx512_bf16", "no"),
        ("bf16", "fpu avx2", "no"),
        ("bf16", "fpu avx2 avx512_bf16", "bf16"),
        ("bf16", "fpu amx_bf16", "bf16"),
        ("no", "fpu", "no"),
        (None, "fpu amx_bf16", "no"),
    ],
)
def test_a_precision_the_cpu_does_not_have_is_told_and_left(monkeypatch, tmp_path, capsys, asked, flags, taken):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n")
    monkeypatch.setattr(module, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    if asked:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", asked)
    assert _precision() == taken
    lost = f"! this CPU does not compute in {asked}, which was asked for: going on in fp32\n"
    assert capsys.readouterr().err == (lost if asked in ("fp16", "bf16") and taken == "no" else "")


def test_fsdp_1_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(InputError, match=r"FSDP 1 is not supported: .*fsdp2\.yaml"):
        processes.__wrapped__()
