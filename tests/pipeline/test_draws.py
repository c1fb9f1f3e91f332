"""Random numbers that are functions: the same everywhere, and yet random."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.draws import CHOOSE, CORRUPT, bits, document_keys, ordered, uniform, visits

MANY = 100_000
WRAP = 2**64


def mixed(x: int) -> int:
    """The step of SplitMix64 in plain Python."""
    x = (x + 0x9E3779B97F4A7C15) % WRAP
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % WRAP
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % WRAP
    return x ^ (x >> 31)


def reference(seed: int, stream: int, *counters: int) -> int:
    state = mixed((seed * 0x9E3779B97F4A7C15 + stream) % WRAP)
    for counter in counters:
        state = mixed(state ^ ((counter + 0x9E3779B97F4A7C15) % WRAP))
    return state


@given(st.integers(0, 2**31), st.integers(0, 9), st.lists(st.integers(0, 2**63 - 1), max_size=3))
def test_bits_are_those_of_a_plain_reference(seed, stream, counters):
    assert int(bits(seed, stream, *counters)) == reference(seed, stream, *counters)


def test_the_first_output_is_that_of_splitmix64():
    assert mixed(0) == 0xE220A8397B1DCDAF  # the published first value for seed 0
    assert int(bits(0, 0)) == mixed(0)


@given(st.integers(0, 99), st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.integers(1, 7))
def test_a_draw_does_not_depend_on_what_is_drawn_with_it(seed, keys, epochs):
    keys, epochs = np.array(keys), np.arange(epochs)
    together = uniform(seed, CHOOSE, keys[:, None], epochs)
    alone = [[float(uniform(seed, CHOOSE, key, epoch)) for epoch in epochs] for key in keys]
    assert together.tolist() == alone


@pytest.mark.parametrize("turned", range(4), ids=["seed", "key", "epoch", "position"])
def test_draws_are_uniform_whatever_counter_turns(turned):
    counters = [np.int64(3)] * 4
    counters[turned] = np.arange(MANY)
    seeds, *others = counters
    drawn = (
        uniform(seeds, CHOOSE, *others)
        if turned
        else np.array([uniform(s, CHOOSE, *others) for s in range(MANY // 10)])
    )
    assert drawn.min() >= 0 and drawn.max() < 1
    counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
    expected = len(drawn) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 52  # chi-square, 19 degrees: p = 0.0001
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 4.5 / np.sqrt(len(drawn))


def test_streams_are_independent():
    one, other = (uniform(0, stream, np.arange(MANY)) for stream in (CHOOSE, CORRUPT))
    assert abs(np.corrcoef(one, other)[0, 1]) < 4.5 / np.sqrt(MANY)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_the_key_of_a_document_is_a_hash_of_its_id(names):
    hashed = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    assert document_keys(names).tolist() == [int.from_bytes(digest, "little") for digest in hashed]


def order_of(seed: int, epoch: int, count: int) -> np.ndarray:
    return ordered(seed, np.full(count, epoch), np.arange(count), count)


@given(st.integers(0, 99), st.integers(0, 9), st.integers(1, 300))
def test_an_order_is_a_permutation(seed, epoch, count):
    assert sorted(order_of(seed, epoch, count).tolist()) == list(range(count))


def test_every_sequence_stands_anywhere_with_equal_chance():
    orders = np.array([order_of(seed, 0, 10) for seed in range(4000)])
    counts = np.array([np.bincount(orders[:, place], minlength=10) for place in range(10)])
    assert ((counts - 400) ** 2 / 400).sum() < 150  # chi-square, 81 free: p = 0.000005
    pairs = np.bincount(orders[:, 0] * 10 + orders[:, 1], minlength=100).reshape(10, 10)[~np.eye(10, dtype=bool)]
    assert ((pairs - 4000 / 90) ** 2 / (4000 / 90)).sum() < 160  # who comes second is drawn afresh: 89 free


def test_a_place_in_a_huge_corpus_is_found_without_the_others():
    places = np.array([0, 10**12 - 1])
    found = ordered(1, np.zeros(2, int), places, 10**12)
    assert len(set(found.tolist())) == 2 and ((found >= 0) & (found < 10**12)).all()


@given(st.integers(0, 9), st.integers(1, 40), st.integers(1, 30), st.integers(0, 12))
def test_a_step_reads_its_place_in_the_epochs_one_after_another(seed, count, size, step):
    wanted = (step + 1) * size
    order = [(int(i), e) for e in range(wanted // count + 1) for i in order_of(seed, e, count)]
    indices, epochs = visits(seed, step, size, count)
    assert list(zip(indices.tolist(), epochs.tolist(), strict=True)) == order[step * size : wanted]


@given(st.integers(0, 9), st.integers(1, 40), st.integers(1, 9))
def test_every_epoch_visits_each_sequence_exactly_once(seed, count, size):
    steps = -(-3 * count // size)
    seen = [
        visit
        for s in range(steps)
        for visit in zip(*map(np.ndarray.tolist, visits(seed, s, size, count)), strict=True)
    ]
    assert sorted(seen[: 3 * count], key=lambda v: (v[1], v[0])) == [(i, e) for e in range(3) for i in range(count)]


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = {order_of(seed, epoch, 50).tobytes() for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25
