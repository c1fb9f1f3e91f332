"""What was found out about a text before its corpus is made: what can be said of a document by itself, and takes time.

A step that needs it asks `known(row)` and finds it out itself where that is None. So it makes no difference to any
corpus whether another process looked at the text before, and none can be taken for that of a text changed since.
"""

from dataclasses import dataclass

from corpora.parquet import Row


@dataclass(frozen=True)
class Known:
    """Of one text (without a length: rows are put into groups by those of what they hold)."""

    text: str
    fingerprint: int
    language: str | None
    """The other one that it is surely in, "" for none; None where nobody looked."""
    fault: str | None
    """Why the rules of quality are against it, "" where they are not; None where nobody looked."""
    signature: bytes | None
    """By which near-duplicates are found; None where nobody looked."""


def known(row: Row) -> Known | None:
    """What is known of the text that a row has now."""
    found = row.get("known")
    return found if found is not None and found.text == row["text"] else None
