"""What a page is made of, told once: Markdown and HTML are renderings of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Said(NamedTuple):
    """Words in both languages, with **bold**, *italic* and `code` as in Markdown."""

    en: str
    zh: str


Words = str | Said
"""A name, a number, a text of a corpus is a string: the same in every language, and never markup."""


@dataclass(frozen=True)
class Table:
    """The first column names, the others are numbers."""

    head: Sequence[Words]
    rows: Sequence[Sequence[Words]]


@dataclass(frozen=True)
class Points:
    """A list."""

    items: Sequence[Words]


@dataclass(frozen=True)
class Picture:
    """An SVG: `draw(title)` writes it with its title, or with none where the page has a caption."""

    name: str
    title: Words
    draw: Callable[[str], str]


@dataclass(frozen=True)
class Code:
    """Lines to be typed."""

    lines: Sequence[str]


Part = Said | Table | Points | Picture | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; one without parts is left out."""

    title: Said
    parts: Sequence[Part]


def english(words: Words) -> str:
    """For the terminal and for Markdown."""
    return words.en if isinstance(words, Said) else words
