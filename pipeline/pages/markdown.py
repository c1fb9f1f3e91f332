"""Sections as Markdown, in English, with their pictures as files beside it."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.pages.parts import Code, Part, Picture, Points, Said, Section, Table, english
from pipeline.reports import markdown_table


def write_markdown(path: Path, title: Said, sections: Sequence[Section]) -> None:
    """The page, and `<picture>.svg` beside it."""
    parts = [f"# {title.en}"]
    for number, section in enumerate(sections):
        heading = [f"## {section.title.en}"] if number else []  # what comes first stands under the title
        parts += [*heading, *(_part(part, path.parent) for part in section.parts)]
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _part(part: Part, folder: Path) -> str:
    match part:
        case Said():
            return part.en
        case Table():
            return markdown_table([*map(english, part.head)], [[*map(english, row)] for row in part.rows])
        case Points():
            return "\n".join(f"- {english(item)}" for item in part.items)
        case Picture():
            (folder / f"{part.name}.svg").write_text(part.draw(english(part.title)), encoding="utf-8")
            return f"![{part.name}]({part.name}.svg)"
        case Code():
            return "\n".join(["```", *part.lines, "```"])
