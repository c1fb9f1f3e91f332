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
    parts, several = [f"# {title.en}"], sum(section.leads for section in sections) > 1
    for number, section in enumerate(sections):
        heading = [f"## {section.title.en}"] if number or several else []  # one that leads stands under the title
        parts += [*heading, *(_part(part, path.parent) for part in section.parts)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _part(part: Part, folder: Path) -> str:
    match part:
        case Said():
            return part.en
        case Table():
            return markdown_table([*map(_cell, part.head)], [[*map(_cell, row)] for row in part.rows])
        case Points():
            return "\n".join(f"- {_cell(item)}" for item in part.items)
        case Picture():
            (folder / f"{part.name}.svg").write_text(part.draw(english(part.title)), encoding="utf-8")
            return f"![{part.name}]({part.name}.svg)"
        case Masks():
            return "\n".join(
                ["```", in_terminal(part.sequences, colour=False).strip("\n").replace("```", "'''"), "```"]
            )
        case Code():
            return "\n".join(["```", *part.lines, "```"])


def _cell(cell: Cell) -> str:
    if isinstance(cell, list):
        return "".join(f"**{plain(one.text)}**" if isinstance(one, Strong) else plain(one) for one in cell)
    return cell.en if isinstance(cell, Said) else plain(cell)


def plain(text: str) -> str:
    """Text that is no markup, in one line."""
    return re.sub(r"([\\`*<]|\](?=\())", r"\\\1", visible(re.sub(r"\s+", " ", text)))
