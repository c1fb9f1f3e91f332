"""What a recipe asks to be done to every text that is read, before anything is decided about it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from corpora.markup import without_markup
from corpora.parquet import Row
from corpora.privacy import without_private

Rewrites = Mapping[str, Callable[[str], str]]
"""Name -> text in, text out."""


def rewrites(markup: bool, private: bool) -> Rewrites:
    """Those that are asked for, in their order."""
    asked = {"markup": (markup, without_markup), "private": (private, without_private)}
    return {name: rewrite for name, (wanted, rewrite) in asked.items() if wanted}


def rewritten(rows: Iterable[Row], asked: Rewrites, changed: Counter[str]) -> Iterator[Row]:
    """The rows, their texts rewritten; `changed` counts the rows whose text another one became, by name."""
    for row in rows:
        texts = {role: row[role] for role in ("text", "text_pair") if isinstance(row.get(role), str)}
        for name, rewrite in asked.items():
            before, texts = texts, {role: rewrite(text) for role, text in texts.items()}
            changed[name] += texts != before
        yield row | texts
