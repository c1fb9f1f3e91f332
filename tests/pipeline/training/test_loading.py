"""What a step reads: the same whoever reads it, and made in the background."""

import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.training.loading import GIVE_WAY, Plan, halves, in_background


@pytest.fixture
def plan(masked_batches) -> Plan:
    return Plan(masked_batches, seed=0, steps=6, batch_size=8, held=3)


def rows_of(load) -> dict[int, tuple]:
    """Sequence -> its ids and labels as the load has them."""
    found = {}
    for indices, batch in zip(load.indices, load.micro_batches, strict=True):
        for i, index in enumerate(indices):
            inside = batch["attention_mask"][i].bool()
            found[int(index)] = (batch["input_ids"][i][inside].tolist(), batch["labels"][i][inside].tolist())
    return found


@pytest.mark.parametrize("world", [1, 2, 4])
@pytest.mark.parametrize("held", [1, 3, 8])
def test_processes_and_micro_batches_share_the_same_step(plan, world, held):
    whole = rows_of(replace(plan, held=8).load(2, 0))
    parts = [replace(plan, rank=rank, world=world, held=held).load(2, 0) for rank in range(world)]
    shared = {index: row for part in parts for index, row in rows_of(part).items()}
    assert shared == whole and sum(len(rows_of(part)) for part in parts) == 8
    assert sum(part.targets[0] for part in parts) == sum(x != IGNORE for _, labels in whole.values() for x in labels)
    assert {part.tokens for part in parts} == {sum(len(ids) for ids, _ in whole.values())}


def test_processes_have_about_the_same_number_of_tokens(plan):
    loads = [replace(plan, rank=rank, world=2, batch_size=24).load(0, 0) for rank in range(2)]
    tokens = [sum(int(b["attention_mask"].sum()) for b in load.micro_batches) for load in loads]
    assert abs(tokens[0] - tokens[1]) <= 16  # the longest sequence


def test_a_load_is_addressed_by_its_step_alone(plan):
    in_order = list(plan.loads(0, 0))
    before = sum(load.tokens for load in in_order[:4])
    alone = plan.load(4, before)
    assert rows_of(alone) == rows_of(in_order[4]) and alone.elapsed == in_order[4].elapsed


def test_what_has_elapsed_is_counted_in_tokens_to_the_middle_of_the_step(plan):
    loads = list(replace(plan, steps=6, batch_size=24).loads(0, 0))  # every step reads all there is
    assert [load.elapsed for load in loads] == pytest.approx([(i + 0.5) / 6 for i in range(6)])


def test_what_is_made_in_the_background_comes_in_order_and_a_little_ahead():
    made = []
    items = in_background((made.append(i) or i for i in range(10)), ahead=2)
    assert next(items) == 0
    time.sleep(0.3)
    assert len(made) == 4  # one given, two ready, one in hand
    assert list(items) == list(range(1, 10))


def test_an_error_in_the_background_is_raised_in_its_place():
    def broken():
        yield 1
        raise OSError("disk")

    items = in_background(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="disk"):
        next(items)


def test_the_thread_gives_way_at_once_while_somebody_listens():
    usual = sys.getswitchinterval()
    items = in_background(range(3))
    next(items)
    assert sys.getswitchinterval() == pytest.approx(GIVE_WAY)
    assert list(items) == [1, 2] and sys.getswitchinterval() == usual


def test_the_thread_ends_when_nobody_listens_any_more():
    before = threading.active_count()
    items = in_background(iter(int, 1))
    next(items)
    items.close()
    assert threading.active_count() == before


def test_halves_hold_the_same_sequences_cut_to_their_longest(plan):
    batch = replace(plan, held=8).load(0, 0).micro_batches[0]
    first, second = halves(batch)
    assert len(first["labels"]) == len(second["labels"]) == 4
    assert second["input_ids"].shape[1] == int(batch["attention_mask"][4:].sum(1).max())
    ids = [row[mask.bool()].tolist() for half in (first, second)
           for row, mask in zip(half["input_ids"], half["attention_mask"], strict=True)]  # fmt: skip
    assert ids == [row[m.bool()].tolist() for row, m in zip(batch["input_ids"], batch["attention_mask"], strict=True)]
    assert len(halves({name: x[:1] for name, x in batch.items()})) == 1


def test_more_labels_than_tokens_stay_whole_in_every_part():
    rows = [np.arange(2, 2 + length) for length in (3, 6, 2, 4)]
    marks = [np.eye(9, dtype=np.float32)[i] for i in range(4)]
    load = Plan(LabelledBatches(rows, marks, 0), seed=0, steps=1, batch_size=4, held=2).load(0, 0)
    assert load.targets == [4]
    for indices, batch in zip(load.indices, load.micro_batches, strict=True):
        assert batch["labels"].argmax(1).tolist() == indices.tolist() and batch["labels"].shape == (2, 9)
        assert batch["input_ids"].shape[1] == max(len(rows[i]) for i in indices)
