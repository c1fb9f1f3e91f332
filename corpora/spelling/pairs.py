"""Pairs of spelling correction: as written and as it should be, one character for one.

    pair, reason = aligned("我门很好", "我们很 好")

A pair is learned from character by character, so both texts must have equally many. What is no spelling is taken from
the text as written: the width and case of a character (`，` and `,`), and, where the lengths differ, what stands
between letters (blanks, punctuation). What then still differs in length lacks a character or has one too many: another
task, and the row is refused.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from corpora.keeping import Reject, as_read, clean
from corpora.parquet import Row

MOST_CHANGED, MOST_CHANGED_REPAIRED = 0.75, 0.5
"""Share of the letters that may differ. Real errors reach 0.7 in short texts (`贾抗` for `甲亢`); two texts of which
more differs are two texts. Where the layout had to be repaired, a shift of half a sentence looks like that as well."""


@dataclass(frozen=True)
class Pair:
    """Two texts of one length, and what had to be repaired for it: "" or `form`, `layout`."""

    source: str
    target: str
    repaired: str = ""


def aligned(source: str, target: str) -> tuple[Pair | None, str]:
    """The pair and "", or None and the reason to refuse it."""
    source, target = as_read(source), as_read(target)
    laid_out, limit = target, MOST_CHANGED
    if len(source) != len(target):
        places, letters = _letters(source), [target[i] for i in _letters(target)]
        if len(places) != len(letters):
            return None, "unequal_length"
        laid_out, limit = _placed(source, places, letters), MOST_CHANGED_REPAIRED
    formed = "".join(a if _form(a) == _form(b) else b for a, b in zip(source, laid_out, strict=True))
    if changed_share(source, formed) > limit:
        return None, "mostly_changed"
    repaired = "layout" if laid_out is not target else "form" if formed != target else ""
    return Pair(source, formed, repaired), ""


def changed_share(source: str, target: str) -> float:
    """Of the letters of `source`, how many another one stands for in `target`, which is as long."""
    places = _letters(source)
    return sum(source[i] != target[i] for i in places) / max(len(places), 1)


def with_pairs(rows: Iterable[Row], reject: Reject, repaired: Counter[str]) -> Iterator[Row]:
    """The rows whose `source` and `target` are aligned; what was repaired is counted by its kind.

    `text`, which the card may have made of other columns, is what is read: the source.
    """
    for row in rows:
        pair, reason = _checked(row)
        if pair is None:
            reject(row["place"], reason, row["text"])
        else:
            repaired.update([pair.repaired] if pair.repaired else [])
            yield row | {"text": pair.source, "source": pair.source, "target": pair.target}


def _checked(row: Row) -> tuple[Pair | None, str]:
    source, target = row.get("source"), row.get("target")
    if source is None or target is None:
        return None, "no_source" if source is None else "no_label"
    if not isinstance(source, str) or not isinstance(target, str):
        return None, "source_or_target_not_a_string"
    if reason := clean(source)[1]:
        return None, reason
    if reason := clean(target)[1]:
        return None, f"target_{reason}"
    return aligned(source, target)


def _letters(text: str) -> list[int]:
    """Where the letters, digits and ideographs of a text stand."""
    return [i for i, char in enumerate(text) if char.isalnum()]


def _placed(source: str, places: list[int], letters: list[str]) -> str:
    """`source` with other letters in its places of letters."""
    chars = list(source)
    for i, letter in zip(places, letters, strict=True):
        chars[i] = letter
    return "".join(chars)


def _form(char: str) -> str:
    """What a character is without its width and case; a blank of any kind is a blank."""
    return " " if char.isspace() else unicodedata.normalize("NFKC", char).casefold()
