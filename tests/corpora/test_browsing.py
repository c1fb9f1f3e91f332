"""Rows from anywhere, against reading all of them."""

from hypothesis import given
from hypothesis import strategies as st

from corpora import browsing
from corpora.browsing import has, labelled, rows_from
from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS

ROWS = [
    dict.fromkeys(DOCUMENTS.names) | {"id": f"d{i}", "text": f"text {i % 7}", "label": "ab"[i % 2]} for i in range(50)
]


@given(first=st.integers(0, 55), count=st.integers(1, 60), digit=st.sampled_from("01234567"), most=st.integers(1, 60))
def test_what_is_found_is_what_a_reading_of_all_rows_finds(tmp_path_factory, first, count, digit, most):
    folder = tmp_path_factory.getbasetemp() / "browsed"
    if not folder.exists():
        write_corpus(folder, DOCUMENTS, ROWS, shard_rows=17)
    browsing.LOOKED_AT, usual = most, browsing.LOOKED_AT
    found = rows_from(folder, first, count, lambda row: row["text"].endswith(digit))
    browsing.LOOKED_AT = usual
    wanted = [i for i in range(first, min(first + most, 50)) if ROWS[i]["text"].endswith(digit)][:count]
    assert [number for number, _ in found.rows] == wanted
    assert [row for _, row in found.rows] == [ROWS[i] for i in wanted]
    assert found.next is None or found.next > max(wanted, default=first - 1)
    rest = range(found.next if found.next is not None else 50, 50)
    assert len(wanted) == count or found.next is not None or not [i for i in rest if ROWS[i]["text"].endswith(digit)]


def test_a_question_is_about_texts_lists_and_labels():
    row = {
        "id": "x",
        "text": "Good Food",
        "tokens": ["Bad", "day"],
        "label": "a",
        "labels": ["b"],
        "tags": ["B-PER", "O"],
    }
    assert has(row, "food") and has(row, "bad day") and has(row, "X") and not has(row, "night")
    assert [labelled(row, name) for name in ("a", "b", "PER", "LOC")] == [True, True, True, False]
