"""A page to look at what became of raw text."""

import html
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from corpora.cleaning import Rejected
from corpora.parquet import read_batches, read_rows


def write_preview(
    path: Path,
    counts: dict[str, float],
    rejected: Rejected,
    taken: Sequence[str] = (),
    pairs: Mapping[str, list[tuple[str, int]]] = MappingProxyType({}),
    repeated: Mapping[str, Counter[str]] = MappingProxyType({}),
    encodings: Sequence[str] = (),
) -> None:
    """A page to look at: how many documents, the first few of each, what was dropped and why, what was taken out.

    `encodings` are lines about files that are not UTF-8.
    """
    parts = [name for name in counts if name.endswith(("/train", "/dev", "/test"))]
    lines = ["# Corpus", "", "| documents | |", "|---|---:|", *(f"| {name} | {counts[name]:,} |" for name in parts)]
    lines += ["", *(f"- {inert(one)}" for one in encodings)] if encodings else []
    lines += ["", "| dropped from | because | |", "|---|---|---:|"]
    lines += [f"| {corpus} | {reason} | {count:,} |" for (corpus, reason), count in sorted(rejected.counts.items())]
    lines += (
        ["", "Templates taken out of the task's text:", "", *(f"- {inert(one)}" for one in taken)] if taken else []
    )
    for corpus in filter(repeated.get, repeated):
        lines += ["", f"Lines taken out of {corpus}, and how many documents had them:", ""]
        lines += [f"- {inert(line)} ({count:,})" for line, count in _most(repeated[corpus])]
    for corpus in filter(pairs.get, pairs):
        lines += ["", f"Near-duplicates dropped from {corpus}, and what was kept:", ""]
        lines += [
            f"- {inert(dropped)} ‖ {inert(kept)}" for dropped, kept in _twins(path.parent / corpus, pairs[corpus])
        ]
    for name in parts:
        lines += ["", f"## {name}", "", *_preview_rows(path.parent / name)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _most(counts: Counter[str], shown: int = 20) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:shown]


def _twins(folder: Path, pairs: list[tuple[str, int]]) -> Iterator[tuple[str, str]]:
    """Near-duplicates and the text of the documents that were kept, found by the fingerprint in its id."""
    wanted = {f"{number:016x}" for _, number in pairs}
    rows = (row for part in ("train", "dev") for row in read_rows(folder / part, ("id", "text")))
    kept = {row["id"][-16:]: row["text"] for row in rows if row["id"][-16:] in wanted}
    return ((dropped, kept.get(f"{number:016x}", "")) for dropped, number in pairs)


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
