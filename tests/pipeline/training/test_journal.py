"""Logs that say everything once, and never end a training."""

import json

import pytest

from pipeline.training.journal import REMEMBERED, Journal


def lines(folder, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / "logs" / f"{name}.jsonl").read_text().splitlines()]


def filled(folder, first: int, last: int, **more: float) -> Journal:
    journal = Journal(folder, first)
    for step in range(first, last):
        journal.write(step, {"loss": 2.0 + step % 2 / 10, **more})
    return journal


def test_steps_that_will_be_made_again_are_dropped_and_a_line_cut_short_too(tmp_path):
    journal = filled(tmp_path, 0, 6)
    journal.odd(2, "kept", ["a"])
    journal.odd(5, "dropped", ["b"])
    journal.close()
    with open(tmp_path / "logs" / "metrics.jsonl", "a") as file:
        file.write('{"step": 6, "lo')
    filled(tmp_path, 4, 8).close()
    assert [line["step"] for line in lines(tmp_path, "metrics")] == list(range(8))
    assert [line["what"] for line in lines(tmp_path, "events")] == ["kept"]


def test_what_is_not_finite_is_null_as_json_has_no_word_for_it(tmp_path):
    filled(tmp_path, 0, 1, grad_norm=float("inf")).close()
    assert lines(tmp_path, "metrics")[0]["grad_norm"] is None


@pytest.mark.parametrize(("loss", "spike"), [(2.2, False), (3.0, True), (1.0, False), (float("nan"), False)])
def test_a_spike_stands_far_above_the_last_losses(tmp_path, loss, spike):
    journal = Journal(None, 0)
    assert not any(journal.is_spike(2.0 + i % 2 / 10) for i in range(REMEMBERED))
    assert journal.is_spike(loss) == spike


def test_the_first_losses_are_no_spikes_and_a_resumed_training_remembers_them(tmp_path):
    assert not Journal(None, 0).is_spike(100.0)
    filled(tmp_path, 0, 50).close()
    assert Journal(tmp_path, 50).is_spike(3.0)


def test_a_full_disk_ends_no_training(tmp_path):
    journal = filled(tmp_path, 0, 1)
    with open("/dev/full", "w") as full:
        journal.metrics, before = full, journal.metrics
        journal.write(1, {"loss": 1.0})
        journal.metrics = before
        full.close = lambda: None
    journal.close()


def test_without_a_folder_nothing_is_written(tmp_path):
    journal = filled(None, 0, 3)
    journal.odd(1, "x", [])
    journal.close()
    assert not list(tmp_path.iterdir())
