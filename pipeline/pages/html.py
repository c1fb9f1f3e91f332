"""Sections as one HTML file that needs nothing beside it: pictures inside, no script, nothing loaded.

Both languages are in it, and a switch that needs no script: who gets the page chooses, not who made it. It begins in
the language of the corpus. Whatever is text is escaped by the template.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from pipeline.masking.pages import sequences_html
from pipeline.pages.parts import Cell, Link, Picture, Said, Search, Section, Strong, Words
from pipeline.pages.plain import visible

INLINE = [(r"\*\*(.+?)\*\*", "strong"), (r"\*(.+?)\*", "em"), (r"`(.+?)`", "code")]


def write_html(
    path: Path, title: Said, sections: Sequence[Section], language: str, about: Sequence[Words] = ()
) -> None:
    """The page, beginning in "zh" or "en"; `about` stands under its title."""
    path.write_text(page(title, sections, language, about), encoding="utf-8")


def page(title: Said, sections: Sequence[Section], language: str, about: Sequence[Cell] = ()) -> str:
    """The same as text; one with a `Search` may ask the server it comes from, and nothing else."""
    asks = any(isinstance(part, Search) for section in sections for part in section.parts)
    template = _environment().get_template("page.html")
    return template.render(title=title, sections=sections, first=language, about=about, asks=asks)


@cache
def _environment() -> Environment:
    """Escapes all that is not marked as HTML here."""
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"words": _words, "drawn": _drawn, "masks": lambda some: Markup(sequences_html(some))}
    made.filters["kind"] = lambda part: type(part).__name__
    return made


def _words(cell: Cell | Strong) -> Markup:
    """What is said in both languages, of which the switch shows one; a text of a corpus as it is."""
    if isinstance(cell, Link):
        return Markup('<a href="{}">{}</a>').format(cell.to, _words(cell.text))
    if isinstance(cell, Said):
        both = [(name, _marked(text)) for name, text in cell._asdict().items()]
        if both[0][1] == both[1][1]:
            return both[0][1]
        spans = (Markup('<span class="{0}" lang="{0}">{1}</span>').format(name, text) for name, text in both)
        return Markup("").join(spans)
    if isinstance(cell, Strong):
        return Markup("<strong>{}</strong>").format(visible(cell.text))
    if isinstance(cell, list):
        return Markup("").join(map(_words, cell))
    return escape(visible(cell))


def _marked(text: str) -> Markup:
    """**bold**, *italic* and `code` of words that are ours; what is put into them is escaped first."""
    html = str(escape(visible(text)))
    for pattern, tag in INLINE:
        html = re.sub(pattern, rf"<{tag}>\1</{tag}>", html)
    return Markup(html)


def _drawn(picture: Picture) -> Markup:
    """As pictures are written by pipeline/pages/plots.py, which escapes their names."""
    return Markup(picture.draw(""))
