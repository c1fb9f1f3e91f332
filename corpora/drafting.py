"""A card for files nobody has described yet: which column is the text, which the label, which language it is.

What is guessed is written into a card that its owner reads and corrects; nothing is guessed while a corpus is made.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean

from corpora.cards import nearest
from corpora.keeping import in_silence
from corpora.parquet import Row
from corpora.reading.answers import card_of
from corpora.reading.formats import is_readable, reader_of
from corpora.reading.raw import Raw
from corpora.schemas import InputError

LOOKED_AT = 500
"""Rows that are looked at."""

LABELS = (
    "label",
    "labels",
    "class",
    "category",
    "stars",
    "rating",
    "sentiment",
    "topic",
    "intent",
    "标签",
    "类别",
    "情感",
    "评分",
)
"""Names that labels have, the likeliest first."""
FEW = 0.2
"""A column with at most this share of different values is one of labels."""

IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")


@dataclass(frozen=True)
class Look:
    """The first rows of some files."""

    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Row]

    @property
    def is_plain(self) -> bool:
        """Whether it is text without columns."""
        return self.path.name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".txt")


def look(written: str) -> Look:
    """At a file, or at the first of a folder or a glob."""
    place = Path(written)
    found = sorted(place.rglob("*")) if place.is_dir() else [place] if place.is_file() else _globbed(place)
    files = [path for path in found if path.is_file() and is_readable(path)]
    if not files:
        raise InputError(
            f"no file {written} that can be read: give txt, jsonl, csv, tsv or parquet, gz or zst of these"
        )
    raw, read = Raw(files[0]), reader_of(files[0])
    named, _ = read(raw, written, card_of(raw.path, {"text": "text"}), in_silence)
    columns = tuple(named)
    _, records = read(raw, written, card_of(raw.path, {name: name for name in columns}), in_silence)
    rows = [row for _, row in islice(records, LOOKED_AT)]
    if not rows:
        raise InputError(f"{files[0]} has no row that can be read: look into it")
    return Look(files[0], columns, rows)


def _globbed(place: Path) -> list[Path]:
    base = Path(place.anchor) if place.is_absolute() else Path()
    return sorted(base.glob(str(place.relative_to(place.anchor) if place.is_absolute() else place)))


def roles(seen: Look, given: Mapping[str, str], labelled: bool) -> dict[str, str]:
    """Role -> column: as given, else the longest text, and of labelled files the column that names few things."""
    for column in given.values():
        if column and column not in seen.columns:
            listed = ", ".join(seen.columns)
            raise InputError(f"no column {column!r} in {seen.path}{nearest(column, seen.columns)}: it has {listed}")
    found = {role: column for role, column in given.items() if column}
    if not labelled:
        return {"text": found.get("text") or _text(seen)}
    if {"source", "target"} <= set(seen.columns) and not found:
        return {"text": "source", "source": "source", "target": "target"}
    if {"tokens", "tags"} <= set(seen.columns) and not found:
        return {"text": "text" if "text" in seen.columns else "tokens", "tokens": "tokens", "tags": "tags"}
    text = found.get("text") or _text(seen)
    return {"text": text, "label": found.get("label") or _label(seen, text)} | found


def _text(seen: Look) -> str:
    return max(seen.columns, key=lambda name: mean(len(str(row.get(name) or "")) for row in seen.rows))


def _label(seen: Look, text: str) -> str:
    others = [name for name in seen.columns if name != text]
    few = [name for name in others if 1 < len(_values(seen, name)) <= max(2, FEW * len(seen.rows))]
    likely = sorted(few, key=lambda name: (LABELS.index(name.lower()) if name.lower() in LABELS else len(LABELS),
                                           len(_values(seen, name))))  # fmt: skip
    if not likely:
        raise InputError(
            f"no column of {seen.path} looks like labels ({', '.join(others) or 'it has one'}): set LABEL="
        )
    return likely[0]


def _values(seen: Look, name: str) -> set[str]:
    return {str(row[name]) for row in seen.rows if row.get(name) not in (None, "")}


def language_of(seen: Look, column: str) -> str:
    """`zh` where more than a tenth of the characters are ideographs, else `en`."""
    text = "".join(str(row.get(column) or "") for row in seen.rows)
    return "zh" if len(IDEOGRAPH.findall(text)) > len(text) / 10 else "en"
