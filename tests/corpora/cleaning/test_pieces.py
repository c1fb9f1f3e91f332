"""Long documents cut: at ends of sentences, no word parted, no character lost."""

import re
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.cleaning.pieces import pieced, pieces


@pytest.mark.parametrize(
    ("text", "most", "found"),
    [
        ("很好！“真的？”他说。是的……走吧；再见", 10, ["很好！“真的？”", "他说。是的……", "走吧；再见"]),
        ('It is. Is it? "Yes!" Well; no', 14, ["It is. ", 'Is it? "Yes!" ', "Well; no"]),
        ("one\ntwo\n\nthree four", 9, ["one\ntwo\n\n", "three ", "four"]),
        ("见3.14和a.b?c=d吧.完了", 16, ["见3.14和a.b?c=d吧.", "完了"]),
        ("没有句号，只有逗号，后面也是，", 8, ["没有句号，", "只有逗号，", "后面也是，"]),
        ("x" * 30 + " y", 10, ["x" * 30 + " ", "y"]),
        ("没有任何停顿的一句话", 4, ["没有任何停顿的一句话"]),
        ("短。短。", 4, ["短。短。"]),
        ("." * 10**6 + "a", 100, ["." * 10**6 + "a"]),  # in time that grows with the length alone
    ],
)
def test_a_long_text_is_cut_after_sentences_or_else_at_pauses_into_pieces_of_like_length(text, most, found):
    assert pieces(text, most) == found


@given(st.text(alphabet='ab好的1。！？；….!?;，,:”"） \n', max_size=80), st.integers(1, 20))
def test_pieces_together_are_the_text_and_no_word_is_parted(text, most):
    found = pieces(text, most)
    assert "".join(found) == text and all(found) == bool(text)
    for before, after in pairwise(found):
        assert not re.fullmatch(r"[ab1]{2}|[好的]{2}", before[-1] + after[0])
        assert before[-1] in '。！？；….!?;，,:”"） \n'
    place = re.compile(r"[。！？；…，\s][^。！？；…”\"）\s]")
    assert all(len(piece) <= most or not place.search(piece) for piece in found)


def test_pieces_of_a_document_keep_its_id_and_group_and_are_counted():
    long = {"id": "a-1", "text": "一。" * 60 + "\n" + "—" * 150, "place": "a:1", "fingerprint": 1}
    pair = {"id": "a-2", "text": "一。" * 300, "text_pair": "二", "place": "a:2", "fingerprint": 2}
    told, counts = [], Counter()
    rows = [
        long,
        pair,
        long | {"id": "a-3", "text": "短。", "group": "toy/Li"},
        long | {"id": "a-4", "group": "toy/Li"},
    ]
    found = list(pieced(rows, 150, 2, lambda *what: told.append(what), counts))
    assert [(row["id"], row.get("group")) for row in found] == [
        ("a-1@0", "a-1"),
        ("a-2", None),
        ("a-3", "toy/Li"),
        ("a-4@0", "toy/Li"),
    ]
    assert "".join(row["text"] for row in found if row["id"] == "a-1@0") + told[0][2] == long["text"]
    assert [what[:2] for what in told] == [("a:1", "only_punctuation")] * 2
    assert counts == {"documents_cut": 2, "pieces_of_these": 4} and found[0]["fingerprint"] != 1
