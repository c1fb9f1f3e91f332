"""Any file of texts, and what a model answers, row by row: read in pieces, written a shard a piece, each once.

    for number, chunk in in_chunks(readable(card, reject), size):
        write_answers(folder / name, schema, rows, …)

A killed run finds the shards that are there and goes on with the others.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa

from corpora.cards import Card, nearest
from corpora.keeping import Reject, Rejected, has_surrogate
from corpora.parquet import Row, shard_name, write_shard
from corpora.reading.encodings import CODECS
from corpora.reading.sources import documents
from corpora.schemas import InputError


@dataclass(frozen=True)
class AnswersConfig:
    """What is written of a file's rows."""

    format: Literal["parquet", "jsonl"] = "parquet"
    """Of the files written."""
    shard_rows: int = 4096
    """Rows a file written, and in memory at a time."""

    def __post_init__(self) -> None:
        if self.shard_rows < 1:
            raise ValueError(f"shard_rows = {self.shard_rows} must be at least 1")

    def name(self, number: int) -> str:
        """Of the n-th shard."""
        return shard_name(number).replace(".parquet", f".{self.format}")


def card_of(texts: Path, roles: Mapping[str, str], encoding: str = "") -> Card:
    """A card for a file that has none; role -> column, "" where there is none."""
    if encoding and encoding not in CODECS:
        raise InputError(f"unknown encoding {encoding}{nearest(encoding, CODECS)}; known: {', '.join(CODECS)}")
    fields = {role: column for role, column in roles.items() if column}
    return Card(texts.stem, "", "", "", "", fields, {"unlabeled": (str(texts.absolute()),)}, encoding=encoding)


def readable(card: Card, reject: Reject) -> Iterator[Row]:
    """The rows of a file that can be read and written again."""
    for row in documents(card, "unlabeled", Path(), reject):
        if any(has_surrogate(row[name]) for name in ("text", "text_pair") if row.get(name)):
            reject(row["place"], "lone_surrogate", row["text"])
        else:
            yield row


def in_chunks(rows: Iterable[Row], size: int) -> Iterator[tuple[int, list[Row]]]:
    """(number, at most `size` rows) of all rows."""
    rows, number = iter(rows), 0
    while chunk := list(islice(rows, size)):
        yield number, chunk
        number += 1


def write_answers(
    path: Path,
    schema: pa.Schema,
    answer: Callable[[], Sequence[Row]],
    told: Callable[[Row], Row],
    metadata: dict[str, str] | None = None,
) -> None:
    """One shard of what `answer` gives, unless it is there already; `told` makes a row what JSON is to hold."""
    if path.exists():
        return
    if path.suffix == ".parquet":
        write_shard(path, schema, answer(), metadata)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.tmp")
    with open(beside, "w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(told(row), ensure_ascii=False)}\n" for row in answer())
    beside.replace(path)


def summed_up(texts: Path, rows: float, rejected: Rejected) -> tuple[dict[str, float], str]:
    """Metrics of a file that was answered, and a line about what could not be read, if anything."""
    reasons = rejected.reasons()
    if not rows:
        raise InputError(f"no row of {texts} can be read ({', '.join(reasons) or 'it is empty'}): look into it")
    shown = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    line = f"! {reasons.total()} rows could not be read ({shown}): they are in rejected/, with their places"
    return {f"rejected/{reason}": count for reason, count in reasons.items()}, line if reasons else ""
