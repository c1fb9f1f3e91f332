"""Lines: split where they end in every encoding, none lost, none held that is too long."""

import gzip
import io
import tracemalloc

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.reading import lines as module
from corpora.reading.encodings import CODECS
from corpora.reading.lines import Line, blocks, lines
from corpora.reading.raw import Raw

TEXT = "好\u2028的\n中\x0c文\r\n最后\u0a0a"
"""Line ends and what looks like some: the bytes of \\n are in U+0A0A."""


def read(folder, content: bytes, encoding="utf-8", name="a.txt") -> list[Line]:
    (folder / name).write_bytes(content)
    return list(lines(Raw(folder / name), encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_are_the_same_in_every_encoding(tmp_path, encoding, mark):
    found = read(tmp_path, (mark + TEXT).encode(encoding), encoding)
    assert found == [Line(1, "好\u2028的\n"), Line(2, "中\x0c文\r\n"), Line(3, "最后\u0a0a")]


@pytest.mark.parametrize(
    ("encoding", "content", "seen"),
    [
        ("utf-8", b"a\nb\xff\xe4\nc\n", "b\\xff\\xe4\n"),
        ("gb18030", "a\n好".encode("gb18030") + b"\x81\nc\n", "好\\x81\n"),
        ("big5", "a\n好".encode("big5") + b"\xff\nc\n", "好\\xff\n"),
        ("utf-16-le", "a\n".encode("utf-16-le") + b"\x3d\xd8" + "\nc\n".encode("utf-16-le"), "\\x3d\\xd8\n"),
    ],
)
def test_bytes_that_are_no_text_are_a_fault_of_their_line_alone(tmp_path, encoding, content, seen):
    first, second, third = read(tmp_path, content, encoding)
    assert (first.text, third.text) == ("a\n", "c\n") and not first.fault and not third.fault
    assert (second.fault, second.visible) == (f"bad_{encoding.replace('-', '')}", seen)


@pytest.mark.parametrize("encoding", ["gb18030", "big5"])
def test_a_file_that_changes_to_utf8_on_the_way_is_not_garbled(tmp_path, encoding):
    text = ["好的\n", "的\n", "位置很好很好\n", "plain\n"]
    ours, other = "".join(text).encode(encoding), "".join(text).encode()
    found = read(tmp_path, ours + other + ours, encoding)
    assert [line.text for line in found if not line.fault] == [*text, "plain\n", *text]
    assert [line.number for line in found if line.fault] == [5, 6, 7]


def test_half_a_character_at_the_end_of_a_file_is_a_fault(tmp_path):
    assert [line.fault for line in read(tmp_path, b"a\0\n\0b", "utf-16-le")] == ["", "bad_utf16le"]


def test_a_line_that_is_too_long_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 2000)
    found = read(tmp_path, b"one\n" + b"x" * 2000 + b"\n" + b"y" * 2001 + b"\n" + b"z" * 10**6 + b"\nend")
    assert [(line.number, len(line.text), line.fault) for line in found] == [
        (1, 4, ""),
        (2, 2001, ""),
        (3, 1000, "too_long"),
        (4, 1000, "too_long"),
        (5, 3, ""),
    ]


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_tiny_file_that_holds_a_huge_line_is_read_in_little_memory(tmp_path, monkeypatch, packing):
    monkeypatch.setattr(module, "LONGEST", 2**16)
    path = tmp_path / f"a.txt.{packing}"
    with gzip.open(path, "wb") if packing == "gz" else pa.output_stream(str(path), compression="zstd") as file:
        for _ in range(64):
            file.write(b"x" * 2**20)
        file.write(b"\nend")
    tracemalloc.start()
    found = list(lines(Raw(path), "utf-8"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(line.fault, line.text[:3]) for line in found] == [("too_long", "xxx"), ("", "end")]
    assert path.stat().st_size < 2**17 and peak < 2**21


def test_a_block_is_what_stands_between_blank_lines():
    found = [Line(1, "\n"), Line(2, "one\n"), Line(3, "two\n"), Line(4, " \n"), Line(5, "\n"), Line(6, "three")]
    assert list(blocks(found)) == [Line(2, "one\ntwo\n"), Line(6, "three")]


def test_a_block_with_a_faulty_line_is_one_faulty_document():
    found = [Line(1, "one\n"), Line(2, " ", "bad_utf8"), Line(3, "two\n"), Line(4, "\n"), Line(5, "three")]
    assert [(line.number, line.fault) for line in blocks(found)] == [(1, "bad_utf8"), (5, "")]


def test_a_block_that_is_too_long_is_not_held(monkeypatch):
    monkeypatch.setattr(module, "LONGEST", 10)
    [block] = blocks(Line(number, "12345\n") for number in range(1, 1000))
    assert (block.number, block.fault, block.text) == (1, "too_long", "12345\n")


@given(content=st.binary(), encoding=st.sampled_from(sorted(CODECS)))
def test_every_line_of_any_bytes_comes_out_once_and_no_byte_is_lost(content, encoding, tmp_path_factory):
    wide, codec = encoding.startswith("utf-16"), CODECS[encoding]
    found = read(tmp_path_factory.getbasetemp(), content, encoding)
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert all(line.text.endswith("\n") for line in found[:-1])
    if not wide:
        assert len(found) == sum(1 for _ in io.BytesIO(content))
    text = content.decode(codec, module._escaped.__name__).removeprefix("\ufeff")
    assert "".join(line.text for line in found) == text
