"""Lines of a text file of any encoding, as it is or in gz or zst; none is held that is longer than a document can be.

    for number, text, fault in lines(raw, encoding_of(raw, card)): ...

A line ends at \\n and nowhere else: U+2028 and form feeds are part of a text. What is packed is unpacked as it is
read, so that a small file that holds a huge one costs time, never memory.
"""

import codecs
import io
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, TextIO

import pyarrow as pa

from corpora.cards import Card
from corpora.keeping import has_surrogate
from corpora.reading.encodings import CODECS, SAMPLE, Undecided, declared, detected, is_garbled
from corpora.reading.raw import Raw
from corpora.reading.remote import Remote, told
from corpora.schemas import InputError

LONGEST = 2**24
"""Characters of a line, a csv row or a block, some twenty novels: what is longer is counted and passed over."""

HEAD = 1000
"""Characters kept of such a line, to recognise it."""

TOO_LONG = "too_long"

_ESCAPED_BYTE = re.compile("[\udc00-\udcff]")


class Line(NamedTuple):
    """A line, with its end; where it has a fault, bytes that are no text stand as U+DC00 to U+DCFF."""

    number: int
    text: str
    fault: str = ""
    """Why it cannot be used, if it cannot."""

    @property
    def visible(self) -> str:
        """The text, bytes that are none spelled out."""
        return _ESCAPED_BYTE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", self.text)


def encoding_of(raw: Raw, card: Card) -> str:
    """The encoding of a text file: the one its card declares, or else the one that is beyond doubt."""
    with reading(raw.path), Raw(raw.path).opened() as file:  # of a part too the file's first bytes decide
        head = file.read(SAMPLE)
    if card.encoding:
        return declared(card.encoding, head)
    try:
        return detected(head)
    except Undecided as doubt:
        known = ", ".join(CODECS)
        raise InputError(
            f"cannot tell the encoding of {raw.path}: {doubt}; {card.remedy_of_encoding}, of {known}"
        ) from doubt


def lines(raw: Raw, encoding: str) -> Iterator[Line]:
    """The lines of a file, without its byte-order mark."""
    with reading(raw.path), raw.opened() as unpacked:
        file = io.TextIOWrapper(unpacked, CODECS[encoding], _escaped.__name__, newline="\n")
        first = raw.before + 1
        for number, text in enumerate(iter(lambda: file.readline(LONGEST + 1), ""), start=first):
            raw.last = number
            at_start = number == first and raw.part.number == 0
            yield _line(number, text.removeprefix("\ufeff") if at_start else text, file, encoding)


def _line(number: int, text: str, file: TextIO, encoding: str) -> Line:
    """A line as far as it was read; of one that is too long the rest is passed over."""
    if len(text) > LONGEST and not text.endswith("\n"):
        while (rest := file.readline(2**16)) and not rest.endswith("\n"):
            pass
        return Line(number, text[:HEAD], TOO_LONG)
    broken = not text.isascii() and (has_surrogate(text) or is_garbled(text, encoding))
    return Line(number, text, f"bad_{encoding.replace('-', '')}" if broken else "")


def blocks(found: Iterable[Line]) -> Iterator[Line]:
    """Lines up to a blank one as one; a fault of one is a fault of all."""
    for is_text, block in groupby(found, key=lambda line: bool(line.fault or line.text.strip())):
        if is_text:
            yield _joined(block)


def _joined(block: Iterator[Line]) -> Line:
    number, text, fault = next(block)
    texts, size = [text], len(text)
    for line in block:
        size += len(line.text)
        fault = fault or line.fault or (TOO_LONG if size > LONGEST else "")
        texts += [] if fault else [line.text]
    return Line(number, "".join(texts), fault)


@contextmanager
def reading(path: Path | Remote) -> Iterator[None]:
    """What fails while a file is read, told with its name."""
    try:
        with told(path.url) if isinstance(path, Remote) else nullcontext():
            yield
    except (EOFError, OSError, zlib.error, pa.ArrowException, UnicodeDecodeError) as error:
        fact = " ".join(str(error).split())
        raise InputError(f"cannot read {path} to its end ({fact}): get it again or take it away") from error


def _escaped(error: UnicodeDecodeError) -> tuple[str, int]:
    """Bytes that are no text, each as half a character, as `surrogateescape` does with those above 127 only."""
    return "".join(chr(0xDC00 + byte) for byte in error.object[error.start : error.end]), error.end


codecs.register_error(_escaped.__name__, _escaped)
