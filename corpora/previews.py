"""A page to look at what became of raw text."""

import html
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from corpora.keeping import Rejected
from corpora.parquet import read_batches, read_rows


@dataclass(frozen=True)
class Findings:
    """What was found in raw text on the way, to be shown."""

    encodings: list[str] = field(default_factory=list)
    """Lines about files that are not UTF-8."""
    templates: list[str] = field(default_factory=list)
    """Sentences taken out of the task's text."""
    lines: dict[str, Counter[str]] = field(default_factory=dict)
    """Corpus -> the lines taken out, and how many documents had them."""
    languages: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Corpus -> a few of the documents in another language, and which."""
    pairs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Corpus -> a few of the near-duplicates dropped, and the id of the document that was kept."""


def write_preview(path: Path, counts: dict[str, float], rejected: Rejected, found: Findings) -> None:
    """A page to look at: how many documents, the first few of each, what was dropped and why, what was taken out."""
    parts = [name for name in counts if name.endswith(("/train", "/dev", "/test"))]
    lines = ["# Corpus", "", "| documents | |", "|---|---:|", *(f"| {name} | {counts[name]:,} |" for name in parts)]
    lines += ["", *(f"- {inert(one)}" for one in found.encodings)] if found.encodings else []
    lines += ["", "| dropped from | because | |", "|---|---|---:|"]
    lines += [f"| {corpus} | {reason} | {count:,} |" for (corpus, reason), count in sorted(rejected.counts.items())]
    lines += _listed("Templates taken out of the task's text:", map(inert, found.templates))
    for corpus, counted in found.lines.items():
        title = f"Lines taken out of {corpus}, and how many documents had them:"
        lines += _listed(title, (f"{inert(line)} ({count:,})" for line, count in _most(counted)))
    for corpus, others in found.languages.items():
        title = f"Documents in another language dropped from {corpus}:"
        lines += _listed(title, (f"{language}: {inert(text)}" for language, text in others))
    for corpus, pairs in found.pairs.items():
        title = f"Near-duplicates dropped from {corpus}, and what was kept:"
        twins = _twins(path.parent / corpus, pairs) if pairs else ()
        lines += _listed(title, (f"{inert(dropped)} ‖ {inert(kept)}" for dropped, kept in twins))
    for name in parts:
        lines += ["", f"## {name}", "", *_preview_rows(path.parent / name)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _listed(title: str, found: Iterable[str]) -> list[str]:
    """A title and what stands below it; nothing where there is nothing."""
    lines = [f"- {one}" for one in found]
    return ["", title, "", *lines] if lines else []


def _most(counts: Counter[str], shown: int = 20) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:shown]


def _twins(folder: Path, pairs: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Near-duplicates and the text of the documents that were kept."""
    wanted = {name for _, name in pairs}
    rows = (row for part in ("train", "dev") for row in read_rows(folder / part, ("id", "text")))
    kept = {row["id"]: row["text"] for row in rows if row["id"] in wanted}
    return ((dropped, kept.get(name, "")) for dropped, name in pairs)


def _preview_rows(folder: Path, rows: int = 3) -> Iterator[str]:
    batch = next(read_batches(folder, ["text", "text_pair", "label", "target"], rows))
    for text, pair, label, target in zip(*batch.values(), strict=True):
        shown = " ‖ ".join(inert(part) for part in (text, pair) if part) + (f" → {inert(target)}" if target else "")
        yield f"- {f'**{inert(label)}** ' if label else ''}{shown}"


def inert(text: str, longest: int = 200) -> str:
    """Text that can do nothing in a page or a terminal: no markup, control and direction characters spelled out."""
    cut = text[:longest] + ("…" if len(text) > longest else "")
    visible = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in " ".join(cut.split()))
    return html.escape(visible).replace("|", "&#124;").replace("`", "&#96;")
