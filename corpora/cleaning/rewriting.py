"""What a recipe asks to be done to every text that is read, before anything is decided about it.

A corpus names what was done in the footer of its shards (`REWRITTEN`), a model that learned from it in its task.json:
so whatever is asked of the model later is read as what it learned from.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from corpora.cleaning.markup import without_markup
from corpora.cleaning.privacy import without_private
from corpora.cleaning.simplified import simplified, simplified_each
from corpora.parquet import Row

TEXTS = ("text", "text_pair", "source", "target")
WORDS = ("tokens", "keywords")
"""Words of a text, each by itself."""


class Rewrite(NamedTuple):
    """Text in, text out."""

    whole: Callable[[str], str]
    each: Callable[[str], str] | None = None
    """The same character for character, where tags or another text stand beside it. Without one words stay as they
    are, and tagged text is not to be rewritten."""


Rewrites = Mapping[str, Rewrite]
"""Name -> what is done."""


ALL: Rewrites = {
    "markup": Rewrite(without_markup),
    "private": Rewrite(without_private),
    "simplified": Rewrite(simplified, simplified_each),
}
"""All there are, in their order."""

REWRITTEN = "rewritten"
"""In the metadata of a corpus: the names of what was done to all of its text."""


def rewrites(markup: bool, private: bool, simplify: bool) -> Rewrites:
    """Those that are asked for, in their order."""
    wanted = {"markup": markup, "private": private, "simplified": simplify}
    return rewrites_named([name for name in ALL if wanted[name]])


def rewrites_named(names: Collection[str]) -> Rewrites:
    """Those of these names, in their order."""
    return {name: rewrite for name, rewrite in ALL.items() if name in names}


def noted_in(asked: Rewrites) -> dict[str, str]:
    """The metadata of a corpus whose text they were done to; none where nothing was."""
    return {REWRITTEN: " ".join(asked)} if asked else {}


def noted_by(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """What was done to the text of a corpus, by its metadata."""
    return tuple(metadata.get(REWRITTEN, "").split())


def told_of(asked: Rewrites) -> list[str]:
    """A line for those who ask a model, where it reads their texts otherwise than they stand."""
    return [f"texts are read as those that the model learned from: {', '.join(asked)}"] if asked else []


def rewritten(rows: Iterable[Row], asked: Rewrites, changed: Counter[str]) -> Iterator[Row]:
    """The rows, their texts rewritten; `changed` counts the rows whose text another one became, by name."""
    for row in rows:
        now = row
        for name, rewrite in asked.items():
            before, now = now, now | _texts(now, rewrite)
            changed[name] += now != before
        yield now


def _texts(row: Row, rewrite: Rewrite) -> Row:
    """The columns with text, rewritten."""
    roles = TEXTS if rewrite.each is None else (*TEXTS, *WORDS)
    aligned = rewrite.each is not None and (row.get("tokens") or row.get("target"))
    change = rewrite.each if aligned else rewrite.whole
    return {role: _changed(row[role], change) for role in roles if row.get(role) is not None}


def _changed(value: object, change: Callable[[str], str]) -> object:
    if isinstance(value, list):
        return [_changed(one, change) for one in value]
    return change(value) if isinstance(value, str) else value
