"""Tables for people: the same rows as Markdown, and lined up for a terminal."""

import unicodedata
from collections.abc import Sequence


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    line = lambda cells: "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
    return "\n".join([line(head), line(["---"] * len(head)), *map(line, rows)])


def terminal_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column to the left, numbers to the right; wide characters count as two columns."""
    widths = [max(shown_width(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(_line(row, widths) for row in [head, ["─" * width for width in widths], *rows])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (cell + " " * (width - shown_width(cell)) if i == 0 else " " * (width - shown_width(cell)) + cell
                      for i, (cell, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
    return "  ".join([first, *others]).rstrip()


def shown_width(text: str) -> int:
    """In columns of a terminal: a wide character takes two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """Its two ends with … between them, where it is wider."""
    if shown_width(text) <= columns:
        return text
    fits = lambda some: next(n for n in range(len(some), -1, -1) if shown_width(some[:n]) <= (columns - 1) // 2)
    return f"{text[: fits(text)]}…{text[len(text) - fits(text[::-1]) :]}"


def plus_minus(mean: float, deviation: float | None) -> str:
    """Mean ± standard deviation, to one decimal; the mean alone where it is of one value."""
    return f"{mean:.1f}" if deviation is None else f"{mean:.1f} ± {deviation:.1f}"
