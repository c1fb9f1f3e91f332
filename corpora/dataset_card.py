"""The card of a corpus: what it holds and where that came from, read by the hub and by `datasets`.

load_dataset("runs/demo/corpus", "task")              # domain, general, task, … are its configurations
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from corpora.cards import Card
from corpora.parts import Part
from corpora.previews import inert
from corpora.schemas import DOCUMENTS

INSIDE = (
    "What was dropped, and why, is in `preview.md` and `rejected/`, the settings in `manifest.json`. "
    "Texts keep the licences of their sources."
)
"""Where the folder is the one that `make corpus` wrote."""


def write_dataset_card(
    folder: Path,
    language: str,
    counts: Mapping[str, float],
    named: Sequence[Part],
    told: str = INSIDE,
    licence: str = "",
) -> None:
    """`README.md`: how many documents each split has (`task/train`: 3), and the cards they were made of.

    `told` stands below the first sentence; `licence` is that of the whole, as the hub names it.
    """
    splits = {name: count for name, count in counts.items() if name.endswith(("/train", "/dev", "/test")) and count}
    front = {"license": licence} if licence else {}
    front |= {"language": [language], "tags": ["keymask"], "configs": _configurations(list(splits))}
    sources = dict.fromkeys(_source(*part) for part in named)
    lines = [
        *("---", yaml.safe_dump(front, sort_keys=False) + "---", "", "# Corpus", ""),
        "Raw text made clean, a row a document.",
        told,
        *("", "| documents | |", "|---|---:|", *(f"| {name} | {count:,} |" for name, count in splits.items())),
        *("", "| source | splits | licence | origin |", "|---|---|---|---|", *sources),
        *("", f"Columns: {', '.join(f'`{name}`' for name in DOCUMENTS.names)}."),
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _configurations(splits: Sequence[str]) -> list[dict[str, object]]:
    found: dict[str, list[dict[str, str]]] = {}
    for name in splits:
        corpus, _, split = name.rpartition("/")
        found.setdefault(corpus.replace("/", "-"), []).append({"split": split, "path": f"{name}/*.parquet"})
    return [{"config_name": corpus, "data_files": files} for corpus, files in found.items()]


def _source(card: Card, splits: Sequence[str]) -> str:
    shown = (card.title or card.name, ", ".join(splits), card.licence, card.origin)
    return f"| {' | '.join(inert(value) for value in shown)} |"
