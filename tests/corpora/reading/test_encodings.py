"""Encodings: what is beyond doubt is read, what is not is refused, and UTF-8 stays UTF-8."""

import codecs
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.reading.encodings import CODECS, ENOUGH, FREQUENT, SAMPLE, Undecided, declared, detected

CHINESE = "这家酒店的位置很好，房间也干净，就是早餐的种类少了一点。\n服务员的态度不错，下次来还会住在这里！\n" * 3
TRADITIONAL = "這家酒店的位置很好，房間也乾淨，就是早餐的種類少了一點。\n服務員的態度不錯，下次來還會住在這裡！\n" * 3
ENGLISH = "The room was clean and the staff were kind.\nWe would come again.\n" * 3


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "gb18030"),
        (TRADITIONAL, "big5"),
        (TRADITIONAL, "gb18030"),
        *((text, f"utf-16-{order}") for text in (CHINESE, TRADITIONAL, ENGLISH) for order in ("le", "be")),
        (ENGLISH, "utf-8"),
    ],
)
def test_text_is_told_by_what_it_says(text, encoding):
    assert detected(text.encode(CODECS[encoding])) == encoding


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"), (codecs.BOM_UTF8, "utf-8")],
)
def test_a_byte_order_mark_decides_however_little_follows(mark, encoding):
    assert detected(mark + "一".encode(encoding)) == encoding


def test_the_sample_may_end_within_a_character():
    for cut in range(1, 4):
        assert detected(CHINESE.replace("\n", "").encode()[:-cut]) == "utf-8"
        assert detected(CHINESE.replace("\n", "").encode("gb18030")[:-cut]) == "gb18030"


def test_a_file_with_bytes_that_are_no_text_is_still_told():
    assert detected(CHINESE.encode("gb18030").replace("，".encode("gb18030"), b"\xff")) == "gb18030"


def test_utf8_with_damaged_lines_is_never_guessed_again():
    half = "一\n".encode() * 30 + CHINESE.encode("gb18030") * 5
    assert detected(half) == "utf-8"


def test_utf8_with_nul_characters_is_no_utf16():
    assert detected(ENGLISH.replace(" ", "\0").encode()) == "utf-8"


def test_too_little_text_is_not_believed():
    line = CHINESE[: ENOUGH - 1].replace("\n", "，")
    with pytest.raises(Undecided, match=f"nearest is gb18030, with .* of {ENOUGH - 1} characters familiar"):
        detected(line.encode("gb18030"))


@pytest.mark.parametrize(
    "head", ["Überraschend schön, aber für die Größe zu teuer.\n".encode("cp1252") * 20, bytes(range(128, 256)) * 20]
)
def test_what_is_none_of_these_is_refused(head):
    with pytest.raises(Undecided, match="are not UTF-8, and no other fits"):
        detected(head)


def test_a_file_of_two_encodings_is_refused():
    with pytest.raises(Undecided):
        detected(CHINESE.encode("gb18030") * 3 + CHINESE.encode())


def test_of_utf16_the_mark_says_which():
    assert declared("utf-16", codecs.BOM_UTF16_BE) == "utf-16-be" == declared("utf-16-le", codecs.BOM_UTF16_BE)
    assert declared("utf-16", b"") == "utf-16" and declared("gbk", codecs.BOM_UTF16_BE) == "gbk"


def test_no_byte_of_an_ideograph_is_taken_for_a_line_end():
    for encoding in ("gb18030", "big5"):
        for char in map(chr, range(0x4E00, 0xA000)):
            assert b"\n" not in char.encode(CODECS[encoding], "ignore")


def test_what_is_familiar_is_no_ascii():
    assert not FREQUENT & set(string.printable)


@given(st.text(min_size=1))
def test_any_text_in_utf8_is_utf8_but_for_what_wide_characters_look_like(text):
    assert detected(text.replace("\0", "").removeprefix("\ufeff").encode()[:SAMPLE]) == "utf-8"


@given(st.binary())
def test_any_bytes_are_told_or_refused(head):
    try:
        assert detected(head) in CODECS
    except Undecided as doubt:
        assert "\n" not in str(doubt)
