"""A file -> its columns and its records: txt, jsonl, csv, tsv and Parquet, and gz or zst of the first four.

    columns, records = reader_of(path)(Raw(path), shown, card, reject)

A record has a place, `shown` and its line, and a value for each column. What cannot be read is told to `reject` and
passed over.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, chain, islice, pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.cards import Card
from corpora.keeping import Reject, in_silence
from corpora.parquet import Row, open_shard
from corpora.reading.columns import listed, names_in
from corpora.reading.lines import LONGEST, TOO_LONG, Line, blocks, encoding_of, lines, reading
from corpora.reading.raw import WHOLE, Part, Raw
from corpora.reading.remote import Remote
from corpora.schemas import InputError

Records = Iterator[tuple[str, Row]]
"""(place, column -> value)."""

Table = tuple[Iterable[str], Records]
"""Columns as far as they are known at the beginning of a file, and its records."""

ROWS_A_BATCH = 1024
"""Rows of a Parquet file in memory at a time."""

Reader = Callable[[Raw, str, Card, Reject], Table]

PART_BYTES = 2**22
"""Of a file that is read in parts: some seconds of work, and few files for much text."""

PEEK = 100
"""Rows of a jsonl file looked at to know its columns: a row may leave out what it has no value for."""


def reader_of(path: Path | Remote) -> Reader:
    """What reads a file of that name."""
    if reader := READERS.get(_format(path)):
        return reader
    raise InputError(
        f"cannot tell the format of {path}: name it {', '.join(READERS)}, or one of these with .gz or .zst"
    )


def is_readable(path: Path | Remote) -> bool:
    """Whether the name of a file tells a format that can be read."""
    return _format(path) in READERS


def is_text(path: Path | Remote) -> bool:
    """Whether it is a text file, which has an encoding."""
    return is_readable(path) and _format(path) != ".parquet"


def parts_of(path: Path | Remote, card: Card) -> list[Part]:
    """Those that a file can be read in, each by itself: lines of UTF-8, and rows of Parquet. Any other is one.

    Not cut is what is packed, lies elsewhere, or may go on after the end of a line.
    """
    raw, cut = Raw(path), (".parquet", ".jsonl", ".txt")[: 3 if card.documents == "lines" else 2]
    if isinstance(path, Remote) or path.suffix.lower() not in cut:
        return [WHOLE]
    if is_text(path) and encoding_of(raw, card) != "utf-8":
        return [WHOLE]
    count = max(1, -(-raw.size // PART_BYTES))
    return [Part(number, count) for number in range(count)]


def _format(path: Path | Remote) -> str:
    """`.jsonl` of data.jsonl and of data.jsonl.gz."""
    name = path.name.lower()
    for packing in (".gz", ".zst"):
        name = name.removesuffix(packing)
    return Path(name).suffix


def _read_txt(raw: Raw, shown: str, card: Card, rejected: Reject) -> Table:
    column = card.columns("text")[0]
    found = lines(raw, encoding_of(raw, card))
    texts = _sound(blocks(found) if card.documents == "blocks" else found, shown, rejected)
    return [column], ((place, {column: text}) for place, text in texts)


def _read_jsonl(raw: Raw, shown: str, card: Card, rejected: Reject) -> Table:
    encoding = encoding_of(raw, card)
    head = _json_records(_sound(lines(Raw(raw.path), encoding), shown, in_silence), in_silence)
    columns = dict.fromkeys(chain.from_iterable(names_in(record) for _, record in islice(head, PEEK)))
    return columns, _json_records(_sound(lines(raw, encoding), shown, rejected), rejected)


def _json_records(texts: Iterator[tuple[str, str]], rejected: Reject) -> Records:
    for place, text in texts:
        if not text.strip():
            continue  # a blank line between records holds no document
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            yield place, record
        else:
            rejected(place, "bad_json", text)


def _sound(found: Iterable[Line], shown: str, rejected: Reject) -> Iterator[tuple[str, str]]:
    """(place, text without its line end) of the lines without a fault."""
    for line in found:
        place = f"{shown}:{line.number}"
        if line.fault:
            rejected(place, line.fault, line.visible)
        else:
            yield place, line.text.rstrip("\r\n")


def _read_csv(raw: Raw, shown: str, card: Card, rejected: Reject) -> Table:
    found = RowLines(lines(raw, encoding_of(raw, card)))
    return _table(csv.reader(found), found, raw.path, shown, rejected)


def _read_tsv(raw: Raw, shown: str, card: Card, rejected: Reject) -> Table:
    """Quotes are text in a tsv: most are written without escaping, and one open quote would swallow the rest."""
    found = RowLines(lines(raw, encoding_of(raw, card)))
    return _table(csv.reader(found, "excel-tab", quoting=csv.QUOTE_NONE), found, raw.path, shown, rejected)


class RowLines:
    """Lines for the csv reader, which alone knows where a row ends; what is wrong with those of a row, its `fault`."""

    def __init__(self, found: Iterator[Line]) -> None:
        self.found, self.number = found, 0
        self.begin()

    def begin(self) -> str:
        """A new row: forget the fault of the one before, and say where it stands."""
        self.size, self.fault = 0, ""
        return str(self.number + 1)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.found)
        self.number, self.size = line.number, self.size + len(line.text)
        self.fault = TOO_LONG if self.size > LONGEST else self.fault or line.fault
        if self.fault == TOO_LONG:  # a quote was left open, or no row at all: the next line begins another
            raise csv.Error(line.visible)
        return line.text


def _table(rows: "csv._reader", found: RowLines, path: Path, shown: str, rejected: Reject) -> Table:
    csv.field_size_limit(LONGEST)
    try:
        header = [name.strip() for name in next(rows, [])]
    except csv.Error as error:
        raise InputError(f"the first line of {path} names no columns ({found.fault or error}): correct it") from error
    if len(set(header)) < len(header):
        raise InputError(f"{path} has two columns of one name in its first line ({listed(header)}): rename one")
    return header, _table_records(rows, found, header, shown, rejected)


def _table_records(rows: "csv._reader", found: RowLines, header: list[str], shown: str, rejected: Reject) -> Records:
    while True:
        place = f"{shown}:{found.begin()}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            rejected(place, TOO_LONG if found.fault == TOO_LONG else "bad_csv", str(error))
            continue
        if row is None:
            return
        if found.fault:
            rejected(place, found.fault, " ".join(row))
        elif row and len(row) != len(header):
            rejected(place, "wrong_number_of_columns", " ".join(row))
        elif row:
            yield place, dict(zip(header, row, strict=True))


def _read_parquet(raw: Raw, shown: str, card: Card, rejected: Reject) -> Table:
    with reading(raw.path):
        columns = list(names_in(_nested(_parquet(raw).schema_arrow)))
    wanted = {column for role in card.fields for column in card.columns(role)}
    return columns, _parquet_records(raw, shown, [name for name in columns if name in wanted], rejected)


def _parquet(raw: Raw) -> pq.ParquetFile:
    """A Parquet file, here or elsewhere."""
    if isinstance(raw.path, Path):
        return open_shard(raw.path)
    return pq.ParquetFile(raw.path.open(), page_checksum_verification=True)


def _nested(fields: Iterable[pa.Field]) -> dict[str, object]:
    """Column -> the same of its fields, where it is a struct."""
    return {field.name: _nested(field.type) if pa.types.is_struct(field.type) else None for field in fields}


def _parquet_records(raw: Raw, shown: str, columns: list[str], rejected: Reject) -> Records:
    """Rows a few at a time: a file from elsewhere may be one row group, and 100 kB of it 900 MB of text."""
    with reading(raw.path):
        file, size = _parquet(raw), raw.size
        start, stop = raw.part.of(file.metadata.num_rows)
        raw.reached = lambda: size * (raw.last - raw.before) // max(stop - start, 1)
        for batch in _batches(file, start, stop, columns):
            for row in _rows(batch):
                raw.last += 1
                if row is None:
                    rejected(f"{shown}:{raw.last}", "bad_utf8", None)
                else:
                    yield f"{shown}:{raw.last}", row


def _batches(file: pq.ParquetFile, start: int, stop: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows from `start` to `stop`: those before them in their row group are read as well, and left out."""
    sizes = (file.metadata.row_group(number).num_rows for number in range(file.num_row_groups))
    bounds = list(accumulate(sizes, initial=0))
    groups = [number for number, (first, end) in enumerate(pairwise(bounds)) if first < stop and start < end]
    place = bounds[groups[0]] if groups else stop
    batches = file.iter_batches(ROWS_A_BATCH, row_groups=groups, columns=columns or None)
    while place < stop and (batch := next(batches, None)) is not None:
        yield batch.slice(max(start - place, 0), max(stop - max(start, place), 0))
        place += len(batch)


def _rows(batch: pa.RecordBatch) -> Iterable[Row | None]:
    """The rows of a batch; None for one with a string that is no UTF-8, which not every writer checks."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        return [_row(batch.slice(number, 1)) for number in range(batch.num_rows)]


def _row(one: pa.RecordBatch) -> Row | None:
    try:
        return one.to_pylist()[0]
    except UnicodeDecodeError:
        return None


READERS = {
    ".txt": _read_txt,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}
