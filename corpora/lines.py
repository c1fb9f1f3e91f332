"""Lines of a text file, as it is or in gz or zst."""

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from corpora.cleaning import Reject
from corpora.schemas import InputError

ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def text_lines(path: Path, shown: str, rejected: Reject) -> Iterator[tuple[str, str]]:
    """(place, line) of a UTF-8 file, without byte-order mark and line ends; other bytes are rejected line by line."""
    for number, line in enumerate(_lines(path), start=1):
        place = f"{shown}:{number}"
        try:
            yield place, line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            rejected(place, "bad_utf8", line.decode("utf-8", "backslashreplace"))


def loose_lines(path: Path) -> Iterator[str]:
    """Lines for the csv reader, which alone knows where a row ends; bytes that are no UTF-8 stay recognisable."""
    for line in _lines(path):
        yield line.decode("utf-8", "surrogateescape")


def _lines(path: Path) -> Iterator[bytes]:
    """Lines as bytes, split at \\n and nowhere else: U+2028 and form feeds are part of a text."""
    try:
        with opened(path) as file:
            for number, line in enumerate(file):
                yield line if number else line.removeprefix(b"\xef\xbb\xbf")
    except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
        raise InputError(f"cannot read {path} to its end ({error}): get it again or take it away") from error


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked as they are read."""
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.open(path, "rb")
    if name.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(str(path), compression="zstd"))
    return open(path, "rb")
