"""Cleaning: what is kept as it was, what is dropped and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.keeping import Rejected, clean, cleaned, in_silence, with_target
from corpora.parquet import read_rows


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \t\n\u3000", "empty"),
        ("ab\0c", "nul_character"),
        ("ab\ud800", "lone_surrogate"),
        ("\x01\x02 \u200b", "only_control"),
        ("！？……", "only_punctuation"),
        ("a ", "too_short"),
    ],
)
def test_a_document_nothing_can_be_learned_from_is_dropped_with_a_reason(text, reason):
    assert clean(text, min_chars=2) == (None, reason)


@pytest.mark.parametrize("text", ["好评", "𠀀𠀁", "  indented", "a\u2028b", "עברית", "👍 ok", "ＡＢ ab"])
def test_text_stays_as_it_was_written(text):
    assert clean(text, 2) == (text, None)


def test_mark_line_ends_and_composition_are_made_one():
    assert clean("\ufeffe\u0301a\r\nb\rc") == ("éa\nb\nc", None)


@given(st.text())
def test_cleaning_a_second_time_changes_nothing(text):
    once, reason = clean(text)
    assert (reason is None and clean(once) == (once, None)) or once is None


def test_of_a_second_text_one_character_is_enough():
    row = {"text": "充电很快", "text_pair": "电", "place": "f:1"}
    assert list(cleaned([row], 2, in_silence)) == [row]


def test_a_pair_with_an_unusable_side_is_dropped():
    told = []
    assert not list(cleaned([{"text": "good", "text_pair": "", "place": "f:1"}], 2, lambda *what: told.append(what)))
    assert told == [("f:1", "empty", "good")]


def test_a_row_without_its_label_is_dropped():
    told = []
    rows = [{"text": "a", "label": None, "place": "f:1"}, {"text": "b", "label": "0", "place": "f:2"}]
    assert [row["text"] for row in with_target(rows, "label", lambda *what: told.append(what[:2]))] == ["b"]
    assert told == [("f:1", "no_label")]


def test_a_document_without_any_of_several_labels_is_kept():
    assert list(with_target([{"text": "a", "labels": []}], "labels", in_silence))


def test_tokens_and_tags_of_unequal_number_are_dropped():
    row = {"text": "ab", "tokens": ["a", "b"], "tags": ["O"], "place": "f:1"}
    assert not list(with_target([row], "tags", in_silence))


def test_what_was_dropped_is_counted_and_can_be_read_again(tmp_path):
    rejected = Rejected(tmp_path)
    rejected.of("task", "toy:train")("toy.txt:3", "too_short", "a\ud800")
    rejected.of("domain", "toy:unlabeled")("toy.txt:4", "too_short", None)
    rejected.flush()
    assert rejected.reasons() == {"too_short": 2} and rejected.reasons("task") == {"too_short": 1}
    first = next(read_rows(tmp_path))
    assert first == {"origin": "toy:train", "place": "toy.txt:3", "reason": "too_short", "text": "a\\ud800"}


def test_the_ledger_does_not_grow_with_what_is_dropped(tmp_path):
    rejected = Rejected(tmp_path)
    reject = rejected.of("task", "toy:train")
    for number in range(Rejected.BUFFER + 1):
        reject(f"f:{number}", "empty", "")
    assert len(rejected._rows) == 1
    rejected.flush()
    assert sum(1 for _ in read_rows(tmp_path)) == Rejected.BUFFER + 1
