"""A raw file, or a part of one: its bytes, unpacked as they are read, and how far that has come.

raw = Raw(path)
with raw.opened() as file: ...                 # of .gz and .zst what they hold
raw.reached()                                  # bytes of the file itself
Raw(path, Part(2, 8))                          # the third of eight parts, of Parquet or of text that is not packed
"""

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from corpora.reading.remote import Remote

Watch = Callable[[int], None]
"""Told of bytes of raw files, as they are read."""


def unwatched(read: int) -> None:
    """Of nobody's interest."""


class Part(NamedTuple):
    """Which of how many parts of a file, all of like length."""

    number: int = 0
    count: int = 1

    def of(self, length: int) -> tuple[int, int]:
        """Where it starts and stops in what is so long."""
        return length * self.number // self.count, length * (self.number + 1) // self.count


WHOLE = Part()


class Raw:
    """A file on its way to be read, or a part of it: of text the lines that begin there, of Parquet rows."""

    def __init__(self, path: Path | Remote, part: Part = WHOLE, before: int = 0) -> None:
        self.path, self.part, self.before = path, part, before
        """`before` is the number of lines, or rows, before the part."""
        self.reached: Callable[[], int] = lambda: 0
        self.last = before
        """Number of the last line, or row, that was read."""

    @property
    def whole(self) -> int:
        """Bytes of the file as it lies there."""
        return self.path.size if isinstance(self.path, Remote) else self.path.stat().st_size

    @property
    def size(self) -> int:
        """Those of the part."""
        start, stop = self.part.of(self.whole)
        return stop - start

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its bytes, unpacked as they are read."""
        with self.path.open("rb") as file:
            start = 0
            self.reached = lambda: self.size if file.closed else file.tell() - start
            if self.part.count == 1:
                yield _unpacked(file, self.path.name.lower())
                return
            start, stop = (_line_start(file, place) for place in self.part.of(self.whole))
            file.seek(start)
            yield io.BufferedReader(_Until(file, stop))


class _Until(io.RawIOBase):
    """A file up to a place in it."""

    def __init__(self, file: BinaryIO, stop: int) -> None:
        self.file, self.stop = file, stop

    def readable(self) -> bool:
        return True

    def readinto(self, room: memoryview) -> int:
        read = self.file.read(min(len(room), self.stop - self.file.tell()))
        room[: len(read)] = read
        return len(read)


def _line_start(file: BinaryIO, place: int) -> int:
    """Where the first line starts that does so at `place` or after it."""
    if place == 0:
        return 0
    file.seek(place - 1)
    while (read := file.readline(2**16)) and not read.endswith(b"\n"):
        pass
    return file.tell()


def _unpacked(file: BinaryIO, name: str) -> BinaryIO:
    if name.endswith(".gz"):
        return gzip.open(file, "rb")
    if name.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(file, compression="zstd"))
    return file
