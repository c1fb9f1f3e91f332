"""Duplicates and contamination, on texts one can compare by eye."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.cleaning.dedup import (
    Seen,
    fingerprint,
    fingerprints,
    identified,
    normalised,
    numbered,
    remembered,
    survey,
    unique,
    without,
    without_sides,
)


def rows(*texts, **more):
    given_rows = [{"text": text, "place": f"f:{number}", **more} for number, text in enumerate(texts)]
    return list(identified(given_rows, "toy", "toy:train"))


def pair(text, text_pair):
    return next(identified([{"text": text, "text_pair": text_pair, "place": "f:1"}], "toy", "toy:train"))


@pytest.mark.parametrize("other", ["hello world", "ＨＥＬＬＯ，ｗｏｒｌｄ！", " Hello_World… ", "HELLOWORLD"])
def test_case_width_spacing_and_punctuation_do_not_make_another_text(other):
    assert fingerprint(other) == fingerprint("Hello, World!")


def test_other_letters_make_another_text():
    assert fingerprint("不错") != fingerprint("不") != fingerprint("错")


def test_texts_without_letters_are_compared_as_written():
    assert fingerprint("!!") != fingerprint("??")


def test_a_pair_is_neither_its_sides_nor_its_reverse():
    assert (
        len({fingerprint("a", "b"), fingerprint("b", "a"), fingerprint("ab"), fingerprint("a"), fingerprint("b")}) == 5
    )


@given(st.text(alphabet=st.characters(min_codepoint=0x2000, max_codepoint=0xFFEF, exclude_categories=["Cs"])))
def test_the_short_cut_for_wide_punctuation_changes_no_result(text):
    folded = unicodedata.normalize("NFKC", text).casefold()
    assert sorted(normalised(text)) == sorted(c for c in folded if c.isalnum()) or any(
        map(unicodedata.combining, folded)
    )


@given(st.text())
def test_a_fingerprint_has_64_bits(text):
    assert 0 <= fingerprint(text) < 2**64


def test_the_first_of_two_equal_texts_stays():
    told = []
    kept = unique(rows("One.", "two", "one"), Seen(), lambda *what: told.append(what))
    assert [row["text"] for row in kept] == ["One.", "two"]
    assert told == [("f:2", "duplicate", "one")]


def test_an_id_follows_from_the_text():
    first, second = rows("One.", "one")
    assert first["id"] == second["id"] == f"toy-{fingerprint('one'):016x}"


@given(st.lists(st.integers(0, 40) | st.integers(0, 2**64 - 1).map(lambda n: n << 32 & 2**64 - 1), max_size=80))
def test_a_fingerprint_is_met_for_the_first_time_once_however_many_share_a_place(numbers):
    seen, met = Seen(), set()
    for number in numbers:
        assert seen.add(number) == ((number or 1) not in met)
        met.add(number or 1)


def test_as_many_fingerprints_as_there_are_find_room():
    numbers, seen = [pow(3, i, 2**64) for i in range(5000)], Seen()
    assert all(map(seen.add, numbers)) and not any(map(seen.add, numbers))


def test_ids_met_before_are_numbered():
    ids = [row["id"] for row in numbered(rows("a", "b", "a", "a"))]
    assert ids[2:] == [f"{ids[0]}.2", f"{ids[0]}.3"] and len(set(ids)) == 4


def test_a_text_of_the_test_set_is_taken_out():
    held_out: set[int] = set()
    list(remembered(rows("secret"), held_out))
    assert [row["text"] for row in without(rows("Secret!", "open"), held_out, "x", lambda *_: None)] == ["open"]


def test_of_a_pair_each_side_contaminates_a_corpus():
    held_out = fingerprints(pair("how old", "what age"))
    left = without_sides(rows("how old?", "what age?", "how"), held_out, "contaminated", lambda *_: None)
    assert [row["text"] for row in left] == ["how"]


def test_a_training_pair_may_share_one_side_with_the_test_set():
    held_out = fingerprints(pair("the screen is bright", "screen"))
    kept = [pair("this screen broke", "screen")]
    assert list(without(kept, held_out, "in_dev_or_test", lambda *_: None)) == kept


def test_a_text_with_two_labels_is_a_contradiction():
    documents = rows("good", label="1") + rows("Good", label="0") + rows("bad", label="0") + rows("bad", label="0")
    texts, contradictory = survey(documents, "label")
    assert contradictory == {fingerprint("good")} and texts == {fingerprint("good"), fingerprint("bad")}
