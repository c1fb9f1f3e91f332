"""A few rows from anywhere in a corpus: those that are wanted from a row number on, without reading what is before."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from corpora.parquet import Row, open_shard, shards

LOOKED_AT = 50_000
"""Rows that are looked at for one answer, at most."""
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Found:
    """Some rows, and where to go on."""

    rows: list[tuple[int, Row]]
    """(number in the corpus, row)."""
    next: int | None
    """The first row that was not looked at; none where all were."""


def rows_from(folder: Path, first: int, count: int, wanted: Callable[[Row], bool]) -> Found:
    """The first `count` rows that are wanted, from row `first` on."""
    found: list[tuple[int, Row]] = []
    for number, row in _rows(folder, first):
        if len(found) == count or number >= first + LOOKED_AT:
            return Found(found, number)
        if wanted(row):
            found.append((number, row))
    return Found(found, None)


def _rows(folder: Path, first: int) -> Iterator[tuple[int, Row]]:
    before = 0
    for path in shards(folder):
        with open_shard(path) as shard:
            for group in range(shard.num_row_groups):
                rows = shard.metadata.row_group(group).num_rows
                if before + rows > first:
                    yield from _of_group(shard, group, before, first)
                before += rows


def _of_group(shard: object, group: int, before: int, first: int) -> Iterator[tuple[int, Row]]:
    number = before
    for batch in shard.iter_batches(ROWS_AT_ONCE, row_groups=[group]):
        if number + len(batch) > first:
            for place, row in enumerate(batch.to_pylist(), start=number):
                if place >= first:
                    yield place, row
        number += len(batch)


def has(row: Mapping[str, object], query: str) -> bool:
    """Whether a text of the row has the query in it, in whatever case; or its id is the query."""
    low = query.casefold()
    texts = (value for value in row.values() if isinstance(value, str))
    words = (" ".join(map(str, value)) for value in row.values() if isinstance(value, list) and value)
    return any(low in text.casefold() for text in (*texts, *words))


def labelled(row: Mapping[str, object], label: str) -> bool:
    """Whether a row has that label, or one of its tags is of that type."""
    tags = {tag.partition("-")[2] or tag for tag in row.get("tags") or ()}
    return label in {row.get("label"), *(row.get("labels") or ()), *tags}
