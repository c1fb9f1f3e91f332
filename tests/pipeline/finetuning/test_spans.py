"""Spans against the rules of conlleval, written down in plain Python."""

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.finetuning.spans import allowed, count_spans, spans_in, tags_of_scheme
from pipeline.run.errors import InputError

BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]
BIOES = [*BIO, "E-X", "S-X", "E-Y", "S-Y"]


def conlleval(tags: list[str]) -> set[tuple[int, int, str]]:
    """The rules of the shared task's script, one by one: does a chunk end, does a chunk start between two tags?"""
    split = lambda tag: ("O", "") if tag == "O" else tuple(tag.split("-"))
    found, start = set(), None
    previous, kind = "O", ""
    for i, tag in enumerate([*tags, "O"]):
        now, name = split(tag)
        ends = (previous in "BI" and now in "BSO") or previous in "ES" or (previous != "O" and kind != name)
        starts = now in "BS" or (previous in "ESO" and now in "IE") or (now != "O" and kind != name)
        if start is not None and ends:
            found.add((start, i, kind))
            start = None
        if starts:
            start = i
        previous, kind = now, name
    return found


@given(st.lists(st.sampled_from(BIO)) | st.lists(st.sampled_from(BIOES)))
def test_spans_are_those_of_conlleval_however_the_tags_break_their_scheme(tags):
    assert spans_in(tags) == conlleval(tags)


def test_spans_are_counted_by_type_over_texts():
    gold = [["B-X", "I-X", "O"], ["B-Y", "B-Y"]]
    assert count_spans(gold, [["B-X", "I-X", "B-X"], ["B-Y", "I-Y"]]) == {"X": (1, 2, 1), "Y": (0, 1, 2)}
    assert count_spans(gold, gold) == {"X": (1, 1, 1), "Y": (2, 2, 2)}


@pytest.mark.parametrize("tags", [BIO, BIOES])
def test_a_sequence_is_allowed_if_reading_it_and_writing_it_again_changes_nothing(tags):
    start, between, end = allowed(tags)
    for sequence in product(range(len(tags)), repeat=3):
        names = [tags[i] for i in sequence]
        legal = start[sequence[0]] and end[sequence[-1]] and all(between[a, b] for a, b in pairwise(sequence))
        assert legal == (written(spans_in(names), 3, "E-X" in tags) == names)


def written(spans: set[tuple[int, int, str]], length: int, with_ends: bool) -> list[str]:
    tags = ["O"] * length
    for start, end, kind in spans:
        tags[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
        if with_ends:
            tags[end - 1] = f"S-{kind}" if end - start == 1 else f"E-{kind}"
    return tags


def test_the_tags_of_a_scheme_are_complete():
    assert tags_of_scheme(["O", "B-X", "I-Y"]) == ("O", "B-X", "I-X", "B-Y", "I-Y")
    assert tags_of_scheme(["S-X", "O"]) == ("O", "B-X", "I-X", "E-X", "S-X")
    assert np.array_equal(allowed(("O", "B-X", "I-X"))[1], [[1, 1, 0], [1, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize("tags", [["NN"], ["X-PER"], ["B-"], ["B_PER"]])
def test_what_is_no_tag_of_a_span_is_refused(tags):
    with pytest.raises(InputError, match=f"tag '{tags[0]}' is neither O nor"):
        tags_of_scheme(["O", *tags])


def test_tags_without_any_span_are_refused():
    with pytest.raises(InputError, match="every tag of task train is O"):
        tags_of_scheme(["O"])
