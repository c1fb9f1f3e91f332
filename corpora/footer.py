"""The footer of a Parquet file, with a checksum of its own.

Pages have checksums, the footer has none: a flipped bit there can rename a column or move a page, and what is read is
wrong without a word. So a file of ours holds, under KEY, a hash of its footer, in which the hash itself counts as
zeros.
"""

from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

KEY = "keymask.footer"
BLANK = "0" * 32
"""What stands under KEY until the footer is known."""

_BETWEEN = 2
"""Bytes between a key and its value, in Thrift's compact protocol: the type of a field, and a length below 128."""


def sign(path: Path) -> None:
    """Put the hash of its footer into a file that holds BLANK in its place."""
    with open(path, "r+b") as file:
        start, footer = _footer(file)
        place = _place(footer)
        if footer[place : place + len(BLANK)] != BLANK.encode():
            raise ValueError(f"{path} has no room for the hash of its footer")
        file.seek(start + place)
        file.write(_hash(footer, place))


def is_sound(path: Path) -> bool:
    """Whether the footer of a file is as it was written; of one without a hash nothing is known."""
    with open(path, "rb") as file:
        _, footer = _footer(file)
    place = _place(footer)
    return place < 0 or footer[place : place + len(BLANK)] == _hash(footer, place)


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Where the footer begins, and its bytes: before its length and the magic at the end of the file."""
    end = file.seek(0, 2) - 8
    file.seek(max(end, 0))
    start = max(end - int.from_bytes(file.read(4), "little"), 0)
    file.seek(start)
    return start, file.read(max(end - start, 0))


def _place(footer: bytes) -> int:
    """Where the hash stands, -1 where there is none."""
    found = footer.find(KEY.encode())
    return found if found < 0 else found + len(KEY) + _BETWEEN


def _hash(footer: bytes, place: int) -> bytes:
    blank = footer[:place] + BLANK.encode() + footer[place + len(BLANK) :]
    return blake2b(blank, digest_size=len(BLANK) // 2).hexdigest().encode()
