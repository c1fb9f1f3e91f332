"""What stands against publishing a model made from texts: as their cards state it, in words, for a person to judge.

Nothing here is legal advice, and nothing is decided: a licence that nobody stated is not one that allows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

UNSTATED = re.compile(
    r"^\s*$|\b(none|not) stated\b|no separate statement|\b(section|statement) is empty\b|\bunknown\b", re.I
)
CLOSED = re.compile(r"\b(internal|proprietary|confidential|private|all rights reserved)\b", re.I)
NARROW = re.compile(r"\bnc\b|non-?commercial|\bnd\b|no ?derivatives|research|academic|terms of (use|service)", re.I)
SHARED = re.compile(r"\bsa\b|share-?alike|\ba?gpl\b", re.I)


@dataclass(frozen=True)
class Source:
    """A corpus card as it was read: one of those a text was made from."""

    text: str
    """What the recipe made of it: `domain`, `task`, …"""
    name: str
    splits: tuple[str, ...]
    title: str = ""
    licence: str = ""
    origin: str = ""
    hub: str = ""
    """Its name on the hub, where it was read there."""
    changed: str = ""
    """Why this may not be what was read; empty where the card is the one that was read."""


def concerns(sources: Sequence[Source], base: str) -> list[str]:
    """A sentence for each thing to settle before anything is published; base: the checkpoint it began with, if any."""
    found = [f"It began as `{base}`, whose licence holds for what is made of it: read it there."] if base else []
    return found + [line for source in dict.fromkeys(sources) for line in _of(source)]


def _of(source: Source) -> list[str]:
    stated = f'{source.name} ({source.text}) states "{source.licence}"'
    found = [f"{source.name} ({source.text}): {source.changed}."] if source.changed else []
    if not source.licence.strip():
        return [*found, f"{source.name} ({source.text}) states no licence: ask who holds the rights."]
    if UNSTATED.search(source.licence):
        found.append(f"{stated}: nobody has allowed it; ask who holds the rights.")
    if CLOSED.search(source.licence):
        found.append(f"{stated}: not meant to leave the house.")
    if NARROW.search(source.licence):
        found.append(f"{stated}: allowed for some uses only; say so to who takes the model.")
    if SHARED.search(source.licence):
        found.append(f"{stated}: what is made of it may have to carry the same licence.")
    return found
