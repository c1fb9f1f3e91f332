"""Choose the documents of the domain that are most like the task, where less than all of it is to be learned from.

    make dapt SET="chosen.method=knn"
    make dapt SET="chosen.method=knn chosen.vectors=encoder"
    make dapt SET="chosen.method=dsir chosen.documents=20000"

reads   corpus/     domain and task text
        base/       the encoder, for chosen.vectors = encoder
writes  chosen/     domain/train with the score of every document, domain/dev as it was; preview.md, the best and the
                    worst of them
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from corpora.choosing import Bags, by_importance, by_mean_ratio, highest, nearest, nearest_vectors, places
from corpora.parquet import Row, count_rows, read_batches, write_corpus
from corpora.previews import inert
from corpora.schemas import CHOSEN
from corpora.segment import Segmenter, WordsConfig
from corpora.words import words_of
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED
from pipeline.run.progress import Progress, progress, say
from pipeline.run.stage import run

if TYPE_CHECKING:
    from pipeline.encoding import DocumentEncoder

SHOWN = 5
"""Documents at either end of the preview."""


@dataclass(frozen=True)
class ChosenConfig(WordsConfig):
    """What is taken of the domain; see WordsConfig for the words."""

    method: Literal["none", "knn", "dsir", "moore_lewis", "random"] = "none"
    """none: all of it. Otherwise see corpora/choosing.py."""
    neighbours: int = 50
    """Of knn: so many, the nearest, are taken for every task document (50, 150, 500 in Gururangan et al. 2020)."""
    vectors: Literal["words", "encoder"] = field(default="words", metadata=ADDED)
    """Of knn: what is compared. words: those two documents share, by TF-IDF. encoder: what the base makes of them."""
    max_length: int = field(default=128, metadata=ADDED)
    """Of the encoder: tokens of a sequence. A longer document is read as several, and all of it counts."""
    documents: int = 0
    """Of the others: how many are taken."""
    control: bool = False
    """Take as many documents at random as the method would: what did choosing do?"""
    seed: int = 0
    """Of dsir, random and the control."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.neighbours < 1 or self.documents < 0:
            raise ValueError("neighbours must be at least 1, documents at least 0")
        if self.vectors == "encoder" and self.method != "knn":
            raise ValueError(f"vectors = encoder is for method = knn, and method is {self.method}")
        if self.method in ("dsir", "moore_lewis", "random") and not self.documents:
            raise ValueError(f"method = {self.method} takes as many documents as you say: set documents")


def choose(config: ChosenConfig, corpus: Path, init: Path | None, out: Path) -> dict[str, float]:
    """Write the chosen documents; metrics with how many there were and are."""
    if config.method == "none":
        raise InputError("chosen.method = none takes all of the domain: name a method, or leave chosen/ out")
    numbers, scores = _chosen(config, corpus, init, out)
    if config.control:
        say(f"  {len(numbers):,} documents at random, as many as {config.method} takes")
        numbers, scores = _at_random(config, corpus, len(numbers))
    rows = progress(_rows(corpus / "domain" / "train", numbers, scores), len(numbers), "chosen")
    count = write_corpus(out / "domain" / "train", CHOSEN, rows)
    dev = (row | {"weight": None} for row in _all(corpus / "domain" / "dev"))
    write_corpus(out / "domain" / "dev", CHOSEN, dev)
    (out / "preview.md").write_text(_preview(config, out, scores), encoding="utf-8")
    there = count_rows(corpus / "domain" / "train")
    return {"documents": count, "of": there, "share": count / max(there, 1)}


def _chosen(config: ChosenConfig, corpus: Path, init: Path | None, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """int64 [M] rising, float64 [M]: the documents taken, and their scores."""
    if config.method == "random":
        return _at_random(config, corpus, config.documents)
    if config.vectors == "encoder":
        return nearest_vectors(*_vectors(config, corpus, init, out), config.neighbours)
    segmenter = Segmenter.of(config)
    bags = {}
    for kind in ("task", "domain"):
        words = progress(words_of(corpus / kind / "train", segmenter), None, f"words of {kind}")
        bags[kind] = Bags.written(words, out / SCRATCH / f"{kind}.buckets")
    if config.method == "knn":
        return nearest(bags["task"], bags["domain"], config.neighbours)
    if config.method == "moore_lewis":
        scores = by_mean_ratio(**bags)
    else:
        scores = by_importance(**bags, drawn=places(_ids(corpus), f"gumbel {config.seed}"))
    numbers = highest(scores, config.documents)
    return numbers, scores[numbers]


def _vectors(config: ChosenConfig, corpus: Path, init: Path | None, out: Path) -> Iterator[np.ndarray]:
    """float32 [N, width], on disk: those of the task's documents, and of the domain's."""
    from pipeline.encoding import DocumentEncoder

    if init is None:
        raise InputError("chosen.vectors = encoder compares what the base makes of a text: give --init")
    encoder = DocumentEncoder(init, config.max_length)
    for kind in ("task", "domain"):
        blocks = read_batches(corpus / kind / "train", ("text", "text_pair"))
        count = count_rows(corpus / kind / "train")
        path = out / SCRATCH / f"{kind}.vectors"
        _write_vectors(path, encoder, blocks, Progress(count, f"vectors of {kind}"))
        yield np.memmap(path, dtype=np.float32, mode="r", shape=(count, encoder.width))


def _write_vectors(path: Path, encoder: "DocumentEncoder", blocks: Iterator[dict[str, list]], line: Progress) -> None:
    """The vectors of all documents, block after block. What a run that was killed has written is not made again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there, end = path.stat().st_size if path.exists() else 0, 0
    with path.open("ab") as file:
        for block in blocks:
            start, end = end, end + 4 * encoder.width * len(block["text"])
            if end > there:
                file.truncate(start)
                file.write(encoder.vectors(block).tobytes())
            line.reach(line.done + len(block["text"]))
    line.close()


def _at_random(config: ChosenConfig, corpus: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    scores = places(_ids(corpus), f"random {config.seed}")
    numbers = highest(scores, count)
    return numbers, scores[numbers]


def _ids(corpus: Path) -> Iterator[str]:
    return (name for batch in read_batches(corpus / "domain" / "train", ("id",)) for name in batch["id"])


def _all(folder: Path) -> Iterator[Row]:
    batches = read_batches(folder) if folder.exists() else ()
    return (dict(zip(batch, values, strict=True)) for batch in batches for values in zip(*batch.values(), strict=True))


def _rows(folder: Path, numbers: np.ndarray, scores: np.ndarray) -> Iterator[Row]:
    """The chosen documents in their order, each with its score as `weight`."""
    taken = dict(zip(numbers.tolist(), scores.tolist(), strict=True))
    return (row | {"weight": taken[number]} for number, row in enumerate(_all(folder)) if number in taken)


def _preview(config: ChosenConfig, out: Path, scores: np.ndarray) -> str:
    """The documents with the highest and the lowest scores among those taken."""
    order = np.argsort(-scores, kind="stable")
    ends = {int(i): "" for i in (*order[:SHOWN], *order[-SHOWN:])}
    for number, row in enumerate(_all(out / "domain" / "train")):
        if number in ends:
            ends[number] = row["text"]
    shown = lambda numbers: [f"- {scores[i]:.3f} {inert(ends[int(i)])}" for i in numbers]
    lines = ["# Chosen documents", "", f"{len(scores):,} by {config.method}; the first", "", *shown(order[:SHOWN])]
    return "\n".join([*lines, "", "and the last that were taken", "", *shown(order[-SHOWN:])]) + "\n"


if __name__ == "__main__":
    run(choose)
