"""A raw file: its bytes, unpacked as they are read, and how far that has come.

raw = Raw(path)
with raw.opened() as file: ...                 # of .gz and .zst what they hold
raw.reached()                                  # bytes of the file itself
"""

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from corpora.reading.remote import Remote

Watch = Callable[[int], None]
"""Told of bytes of raw files, as they are read."""


def unwatched(read: int) -> None:
    """Of nobody's interest."""


class Raw:
    """A file on its way to be read."""

    def __init__(self, path: Path | Remote) -> None:
        self.path = path
        self.reached: Callable[[], int] = lambda: 0

    @property
    def size(self) -> int:
        """Bytes of the file as it lies there."""
        return self.path.size if isinstance(self.path, Remote) else self.path.stat().st_size

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Its bytes, unpacked as they are read."""
        with self.path.open("rb") as file:
            self.reached = lambda: self.size if file.closed else file.tell()
            yield _unpacked(file, self.path.name.lower())


def _unpacked(file: BinaryIO, name: str) -> BinaryIO:
    if name.endswith(".gz"):
        return gzip.open(file, "rb")
    if name.endswith(".zst"):
        return io.BufferedReader(pa.input_stream(file, compression="zstd"))
    return file
