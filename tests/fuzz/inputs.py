"""What the readers are given: any bytes as any kind of file, and what must hold whatever they are.

An input is a byte that chooses the kind of file, one that chooses its encoding and packing, and the content. Reading
it ends with rows or with one line that refuses the file; every row that is in it comes out or is counted, once; and
what comes out can be cleaned and written to Parquet.
"""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.cards import Card
from corpora.cleaning.dedup import identified
from corpora.cleaning.rewriting import ALL, rewritten
from corpora.keeping import Rejected, cleaned, with_target
from corpora.reading.encodings import CODECS
from corpora.reading.lines import encoding_of, lines
from corpora.reading.raw import Raw
from corpora.reading.sources import documents
from corpora.schemas import DOCUMENTS, REJECTED, InputError

KINDS = ("txt", "jsonl", "csv", "tsv", "parquet")
PACKINGS = ("", ".gz", ".zst")
ENCODINGS = ("", *CODECS)
ROLES = {
    "txt": ("text",),
    "jsonl": ("text", "text_pair", "label", "labels", "tokens", "tags", "score", "group", "keywords", "source"),
    "csv": ("text", "label", "score"),
    "tsv": ("text", "labels", "tokens", "tags"),
    "parquet": ("text", "label", "tokens"),
}
"""Columns that are looked for, of the same names."""


def one(data: bytes, folder: Path) -> None:
    """Read an input in every respect; an AssertionError, or any other but InputError, is a fault of ours."""
    (first, second), content = data[:2].ljust(2, b"\0"), data[2:]
    kind = KINDS[first % 64 % len(KINDS)]
    packing = "" if kind == "parquet" else PACKINGS[second // len(ENCODINGS) % len(PACKINGS)]
    path = folder / f"in.{kind}{packing}"
    path.write_bytes(packed(content, packing, whole=not first & 64))
    card = card_of(kind, path, ENCODINGS[second % len(ENCODINGS)], blocks=bool(first & 128))
    counted: list[tuple[str, str]] = []

    def reject(place: str, reason: str, text: object) -> None:
        counted.append((place, reason))
        pa.Table.from_pylist([written(place, reason, text, folder)], REJECTED)

    try:
        read = list(documents(card, "unlabeled", Path(), reject))
    except InputError as refused:
        assert "\n" not in str(refused), f"of several lines: {refused}"
        return
    assert len(read) + len(counted) == rows_in(card, path, kind), "rows lost or made up"
    before = len(counted)
    kept = list(identified(cleaned(rewritten(read, ALL, Counter()), 1, reject), "fuzz", "fuzz:unlabeled"))
    assert len(kept) + len(counted) - before == len(read), "rows lost while they are cleaned"
    if kind == "tsv":
        before, cleared = len(counted), len(kept)
        kept = list(with_target(kept, "tags", reject))
        assert len(kept) + len(counted) - before == cleared, "rows lost for want of tags"
    pa.Table.from_pylist(kept, DOCUMENTS)


def card_of(kind: str, path: Path, encoding: str, blocks: bool) -> Card:
    """A card for the file that an input is written to."""
    fields, files = {role: role for role in ROLES[kind]}, {"unlabeled": (str(path),)}
    more = {"documents": "blocks"} if blocks and kind == "txt" else {}
    return Card("fuzz", "", "en", "", "", fields, files, encoding=encoding, **more)


def packed(content: bytes, packing: str, whole: bool) -> bytes:
    """The content packed, or taken for packed bytes as it is."""
    if not packing or not whole:
        return content
    return gzip.compress(content, 1) if packing == ".gz" else pa.compress(content, "zstd", asbytes=True)


def written(place: str, reason: str, text: object, folder: Path) -> dict[str, object]:
    """A row of the ledger of what was dropped."""
    ledger = Rejected(folder)
    ledger.of("fuzz", "fuzz")(place, reason, text)
    return ledger._rows[0]


def rows_in(card: Card, path: Path, kind: str) -> int:
    """How many rows are in a file that can be read, counted another way."""
    if kind == "parquet":
        return pq.ParquetFile(path).metadata.num_rows
    found = [line.visible if line.fault else line.text for line in lines(Raw(path), encoding_of(Raw(path), card))]
    if kind == "jsonl":
        return sum(bool(line.strip()) for line in found)
    if kind == "txt":
        return len(list(blocks_in(found))) if card.documents == "blocks" else len(found)
    how = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if kind == "tsv" else {}
    rows = csv.reader(iter(found), **how)
    next(rows, None)
    return sum(bool(row) for row in with_errors(rows))


def with_errors(rows: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows, one that csv cannot read as one of any content."""
    while True:
        try:
            if (row := next(rows, None)) is None:
                return
            yield row
        except csv.Error:
            yield ["?"]


def blocks_in(found: list[str]) -> Iterator[list[str]]:
    """Runs of lines that are not blank."""
    block: list[str] = []
    for line in [*found, ""]:
        if line.strip():
            block.append(line)
        elif block:
            yield block
            block = []


TABLE = [{"text": "好的 good", "label": "1", "tokens": ["好", "的"]}, {"text": None, "label": "0", "tokens": None}]


def seeds() -> Iterator[bytes]:
    """Inputs to begin with: of every kind, encoding and packing."""
    text = '好的 good, "quoted"\n\n<b>这是</b>的\n'
    record = '{"text": "好", "text_pair": null, "label": 1, "labels": ["a"], "tokens": ["b"], "score": 1}\n'
    texts = {
        0: text,
        1: record + '{"text": "a", "group": "g", "keywords": ["a"], "source": "a"}\n',
        2: 'text,label,score\n"a, ""b""\nc",1,2.5\n好,0,\n',
        3: "text\tlabels\ttokens\ttags\n好的\ta|b\t好|的\tO|O\n",
    }
    for kind, written in texts.items():
        for number, name in enumerate(ENCODINGS):
            for packing in range(3):
                content = written.encode(CODECS[name or "utf-8"], "replace")
                yield bytes([kind, number + packing * len(ENCODINGS)]) + content
    yield bytes([128, 0]) + text.encode()
    yield bytes([64, len(ENCODINGS)]) + gzip.compress(text.encode())
    pq.write_table(pa.Table.from_pylist(TABLE), whole := io.BytesIO())
    yield bytes([4, 0]) + whole.getvalue()


FOUND: tuple[bytes, ...] = (
    b'\x01\x00{"text": "a", "label": "\\ud800"}',
    b'\x01\x00{"text": "a", "labels": 3}',
    b'\x01\x00{"text": "a", "labels": {"a": 1}}',
    b'\x01\x00{"text": "a", "labels": ["\\udfff"]}',
    b'\x01\x00{"text": "a", "score": 1' + b"0" * 400 + b"}",
    b'\x01\x00{"text": "a", "keywords": [1, null]}',
    b'\x01\x00{"text": "a", "tokens": ["b", 2008], "tags": ["O", "O"]}',
    b'\x01\x00{"text": "a", "group": "\\ud800"}',
    b'\x01\x00{"text": "a", "source": 3}',
    b'\x02\x00"b""\nc\x01,1\n\xe5\xbd,0\n"\n',
    b'\x02\x00"a\nb","a\nb"\n',
)
"""What once failed: what stands beside a text, of types and characters that nobody expects; names of columns that are
several lines."""
