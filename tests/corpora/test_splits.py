"""Splits: a row never moves."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from corpora.splits import HoldOut, group_of, place_of, sample, split_of

IDS = [f"toy-{number}" for number in range(2000)]
SHARES = {"test": 0.2, "dev": 0.1, "train": 0.7}


def held(ids, share, most):
    back = HoldOut(share, most)
    rest = [row["id"] for row in back.rest({"id": name} for name in ids)]
    return [row["id"] for row in back.held], rest


def test_splits_have_the_shares_asked_for():
    counts = Counter(split_of(name, SHARES) for name in IDS)
    assert abs(counts["test"] - 400) < 60 and abs(counts["dev"] - 200) < 45


def test_the_place_of_an_id_is_known_for_ever():
    assert round(place_of("toy-1"), 6) == 0.921748


def test_test_stays_when_dev_is_not_wanted():
    without_dev = {"test": 0.2, "train": 0.8}
    assert all((split_of(name, SHARES) == "test") == (split_of(name, without_dev) == "test") for name in IDS)


@given(st.lists(st.text(alphabet="abc"), unique=True), st.integers(0, 5))
def test_a_sample_does_not_depend_on_the_order(names, size):
    assert sample(names, size, 0) == sample(sorted(names), size, 0)


def test_a_larger_sample_holds_the_smaller():
    assert sample(IDS, 50, 0)[:20] == sample(IDS, 20, 0)


def test_another_seed_takes_another_sample():
    assert sample(IDS, 20, 0) != sample(IDS, 20, 1)


def test_held_out_are_the_smallest_places_whatever_the_order():
    back, rest = held(IDS, 0.5, 10)
    assert back == held(reversed(IDS), 0.5, 10)[0] == sample(IDS, 10, "")
    assert sorted(back + rest) == sorted(IDS)


def test_no_more_than_the_share_is_held_back():
    back, _ = held(IDS, 0.02, 1000)
    assert back == sorted((name for name in IDS if place_of(name) < 0.02), key=place_of)


def test_of_few_documents_one_is_held_back():
    assert len(held(IDS[:3], 0.001, 1000)[0]) == 1


ROWS = st.lists(st.tuples(st.sampled_from(["", "", "Li", "Wu", "Yu"]), st.integers(0, 99)), unique=True)


def grouped(rows) -> list[dict[str, str]]:
    return [{"id": f"toy-{number}-{group}", "group": group or None} for group, number in rows]


@given(ROWS, st.integers(0, 5), st.floats(0, 1), st.randoms())
def test_a_group_is_held_back_whole_or_not_at_all_whatever_the_order(rows, most, share, shuffle):
    rows = grouped(rows)
    back = HoldOut(share, most)
    rest = [row["id"] for row in back.rest(rows)]
    held_ids = {row["id"] for row in back.held}
    assert sorted([*rest, *held_ids]) == sorted(row["id"] for row in rows)
    assert not {group_of(row) for row in rows if row["id"] in held_ids} & {
        group_of(row) for row in rows if row["id"] not in held_ids
    }
    other = HoldOut(share, most)
    list(other.rest(shuffle.sample(rows, len(rows))))
    assert {row["id"] for row in other.held} == held_ids


@given(ROWS, ROWS, st.floats(0, 1))
def test_no_document_moves_when_others_are_added(rows, more, share):
    """But for the one that is held back in any case, where all places are above the share."""
    sides = []
    for found in (grouped(rows), grouped({*rows, *more})):
        back = HoldOut(share, 10**6)
        list(back.rest(found))
        sides.append({row["id"] for row in back.held if place_of(group_of(row)) < share})
    assert sides[0] == {name for name in sides[1] if name in {row["id"] for row in grouped(rows)}}
