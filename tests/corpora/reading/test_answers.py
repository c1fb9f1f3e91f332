"""Files that have no card: what is said of them stands in the recipe."""

import pytest

from corpora.reading.answers import card_of, readable
from corpora.schemas import InputError


def test_a_file_without_a_card_is_read_in_the_encoding_that_is_said(tmp_path):
    (tmp_path / "a.csv").write_bytes("评论\n好\n".encode("gbk"))
    rows = readable(card_of(tmp_path / "a.csv", {"text": "评论", "text_pair": ""}, "gbk"), print)
    assert [row["text"] for row in rows] == ["好"]


def test_an_encoding_nobody_knows_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"unknown encoding gb1803 \(did you mean gb18030\?\); known: utf-8, "):
        card_of(tmp_path / "a.csv", {"text": "text"}, "gb1803")
