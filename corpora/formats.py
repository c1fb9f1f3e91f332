"""A file -> its columns and its records: txt, jsonl, csv, tsv and Parquet, and gz or zst of the first four.

    columns, records = reader_of(path)(path, shown, card, reject)

A record has a place, `shown` and its line, and a value for each column. What cannot be read is told to `reject` and
passed over.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

from corpora.cards import Card
from corpora.cleaning import Reject
from corpora.lines import ESCAPED_BYTE, loose_lines, text_lines
from corpora.parquet import Row, open_shard, read_batches
from corpora.schemas import InputError

Records = Iterator[tuple[str, Row]]
"""(place, column -> value)."""

Table = tuple[Iterable[str], Records]
"""Columns as far as they are known at the beginning of a file, and its records."""

Reader = Callable[[Path, str, Card, Reject], Table]

PEEK = 100
"""Rows of a jsonl file looked at to know its columns: a row may leave out what it has no value for."""

LONGEST_FIELD = 2**26
"""Characters of a csv field, past which a quote was left open."""


def reader_of(path: Path) -> Reader:
    """What reads a file of that name."""
    if reader := READERS.get(_format(path)):
        return reader
    raise InputError(
        f"cannot tell the format of {path}: name it {', '.join(READERS)}, or one of these with .gz or .zst"
    )


def is_readable(path: Path) -> bool:
    """Whether the name of a file tells a format that can be read."""
    return _format(path) in READERS


def _format(path: Path) -> str:
    """`.jsonl` of data.jsonl and of data.jsonl.gz."""
    name = path.name.lower()
    for packing in (".gz", ".zst"):
        name = name.removesuffix(packing)
    return Path(name).suffix


def _read_txt(path: Path, shown: str, card: Card, rejected: Reject) -> Table:
    column = card.columns("text")[0]
    return [column], ((place, {column: line}) for place, line in text_lines(path, shown, rejected))


def _read_jsonl(path: Path, shown: str, card: Card, rejected: Reject) -> Table:
    records = _json_records(path, shown, rejected)
    head = list(islice(records, PEEK))
    columns = dict.fromkeys(chain.from_iterable(record for _, record in head))
    return columns, chain(head, records)


def _json_records(path: Path, shown: str, rejected: Reject) -> Records:
    for place, line in text_lines(path, shown, rejected):
        if not line.strip():
            continue  # a blank line between records holds no document
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield place, record
        else:
            rejected(place, "bad_json", line)


def _read_csv(path: Path, shown: str, card: Card, rejected: Reject) -> Table:
    return _table(csv.reader(loose_lines(path)), path, shown, rejected)


def _read_tsv(path: Path, shown: str, card: Card, rejected: Reject) -> Table:
    """Quotes are text in a tsv: most are written without escaping, and one open quote would swallow the rest."""
    return _table(csv.reader(loose_lines(path), "excel-tab", quoting=csv.QUOTE_NONE), path, shown, rejected)


def _table(rows: "csv._reader", path: Path, shown: str, rejected: Reject) -> Table:
    csv.field_size_limit(LONGEST_FIELD)
    header = [name.strip() for name in next(rows, [])]
    if len(set(header)) < len(header):
        raise InputError(f"{path} has two columns of one name in its first line ({', '.join(header)}): rename one")
    return header, _table_records(rows, header, shown, rejected)


def _table_records(rows: "csv._reader", header: list[str], shown: str, rejected: Reject) -> Records:
    while True:
        place = f"{shown}:{rows.line_num + 1}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            rejected(place, "bad_csv", str(error))
            continue
        if row is None:
            return
        if any(map(ESCAPED_BYTE.search, row)):
            rejected(place, "bad_utf8", " ".join(row))
        elif row and len(row) != len(header):
            rejected(place, "wrong_number_of_columns", " ".join(row))
        elif row:
            yield place, dict(zip(header, row, strict=True))


def _read_parquet(path: Path, shown: str, card: Card, rejected: Reject) -> Table:
    columns = open_shard(path).schema_arrow.names
    wanted = {column for role in card.fields for column in card.columns(role)}
    return columns, _parquet_records(path, shown, [name for name in columns if name in wanted])


def _parquet_records(path: Path, shown: str, columns: list[str]) -> Records:
    number = 0
    for batch in read_batches(path, columns):
        for values in zip(*batch.values(), strict=True):
            number += 1
            yield f"{shown}:{number}", dict(zip(batch, values, strict=True))


READERS = {
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
