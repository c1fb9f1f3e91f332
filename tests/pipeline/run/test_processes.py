"""What one process does alone, and what it says."""

import pytest

from pipeline.run.errors import InputError
from pipeline.run.processes import Progress, clock, gathered, main_first, processes, progress, say, share, total


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
    for rank in range(world):
        monkeypatch.setenv("RANK", str(rank))
        parts.append(share("abcde"))
    assert sorted("".join(map("".join, parts))) == list("abcde") and max(map(len, parts)) - min(map(len, parts)) <= 1


def test_only_the_first_process_speaks(monkeypatch, capsys):
    say("one")
    monkeypatch.setenv("RANK", "1")
    say("two")
    assert capsys.readouterr().err == "one\n"


def test_processes_that_did_not_find_each_other_are_refused_with_the_right_command(monkeypatch):
    processes.cache_clear()
    monkeypatch.setattr("pipeline.run.processes.world", lambda: 2)
    with pytest.raises(InputError, match=r"2 processes but 1 found each other: .* stages/launch/cpu2.yaml"):
        processes()
    processes.cache_clear()


def test_progress_hands_on_every_item():
    assert list(progress(iter("abc"), 3, "letters")) == list("abc")


def test_a_progress_line_knows_how_long_is_left(monkeypatch, capsys):
    now = iter([0.0, 10.0, 30.0])
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    line = Progress(300, "dapt", done=100)  # resumed: what was done before took no time now
    line.step()
    line.step("loss 2.5")
    assert capsys.readouterr().err == "  dapt   34%  102/300  49:30 left  loss 2.5\n"
