"""Sections as Markdown, in English, with their pictures as files beside it."""

import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.masking.pages import in_terminal
from pipeline.pages.parts import Cell, Code, Masks, Part, Picture, Points, Said, Section, Strong, Table, english
from pipeline.pages.plain import visible
from pipeline.pages.tables import markdown_table


def write_markdown(path: Path, title: Said, sections: Sequence[Section]) -> None:
    """The page, and `<picture>.svg` beside it."""
    parts, several = [f"# {said(title.en)}"], sum(section.leads for section in sections) > 1
    for number, section in enumerate(sections):
        # one that leads stands under the title
        heading = [f"## {said(section.title.en)}"] if number or several else []
        parts += [*heading, *(_part(part, path.parent) for part in section.parts)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _part(part: Part, folder: Path) -> str:
    match part:
        case Said():
            return said(part.en)
        case Table():
            return table(part)
        case Points():
            return "\n".join(f"- {_cell(item)}" for item in part.items)
        case Picture():
            (folder / f"{part.name}.svg").write_text(part.draw(english(part.title)), encoding="utf-8")
            return f"![{part.name}]({part.name}.svg)"
        case Masks():
            return _fenced(in_terminal(part.sequences, colour=False).strip("\n"))
        case Code():
            return _fenced("\n".join(map(visible, part.lines)))


def table(part: Table) -> str:
    """With its cells as they may stand there."""
    return markdown_table([*map(_cell, part.head)], [[*map(_cell, row)] for row in part.rows])


def _cell(cell: Cell) -> str:
    if isinstance(cell, list):
        return "".join(map(_cell, cell))
    if isinstance(cell, Strong):
        return f"**{plain(cell.text)}**"
    return said(cell.en) if isinstance(cell, Said) else plain(cell)


def _fenced(text: str) -> str:
    """Lines as they are, in a fence that is longer than any they hold."""
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", text))])
    return f"{fence}\n{text}\n{fence}"


def said(words: str) -> str:
    """Words that are ours, in one line; what was put into them begins no tag, ends no cell and makes no link.

    By entities, which a backslash or a backtick before them does not undo.
    """
    return re.sub(r"\\|<(?=[a-zA-Z/!?])|\](?=\()", lambda found: f"&#{ord(found[0])};", _line(words))


def plain(text: str) -> str:
    """Text that is no markup, in one line."""
    return re.sub(r"([\\`*<]|\](?=\())", r"\\\1", _line(text))


def _line(text: str) -> str:
    return visible(re.sub(r"\s+", " ", text))
