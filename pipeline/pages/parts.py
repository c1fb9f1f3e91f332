"""What a page is made of, told once: Markdown and HTML are renderings of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.masking.pages import Drawn


class Said(NamedTuple):
    """Words in both languages, with **bold**, *italic* and `code` as in Markdown."""

    en: str
    zh: str


Words = str | Said
"""A name, a number, a text of a corpus is a string: the same in every language, and never markup."""


@dataclass(frozen=True)
class Strong:
    """What the eye should fall on in a text of a corpus."""

    text: str


@dataclass(frozen=True)
class Link:
    """To another page of the same server: a report has none."""

    text: Words
    to: str


Cell = Words | list[Words | Strong | Link] | Link


@dataclass(frozen=True)
class Table:
    """The first columns, one unless said otherwise, are words, the others numbers."""

    head: Sequence[Words]
    rows: Sequence[Sequence[Cell]]
    worded: int = 1


@dataclass(frozen=True)
class Points:
    """A list."""

    items: Sequence[Cell]


@dataclass(frozen=True)
class Picture:
    """An SVG: `draw(title)` writes it with its title, or with none where the page has a caption."""

    name: str
    title: Words
    draw: Callable[[str], str]


@dataclass(frozen=True)
class Masks:
    """Sequences under several policies."""

    sequences: Sequence[Drawn]


@dataclass(frozen=True)
class Search:
    """A form that asks the same page: for words, and for a label where there are some."""

    query: str
    label: str
    labels: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines to be typed."""

    lines: Sequence[str]


Part = Said | Table | Points | Picture | Masks | Search | Code


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; one without parts is left out."""

    title: Said
    parts: Sequence[Part]
    leads: bool = False
    """Whether it stands before all others and says what they come to."""


def english(cell: Cell | Strong) -> str:
    """For the terminal."""
    if isinstance(cell, list):
        return "".join(map(english, cell))
    if isinstance(cell, Strong | Link):
        return english(cell.text)
    return cell.en if isinstance(cell, Said) else cell
