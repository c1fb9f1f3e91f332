"""Hide words in held-out sentences and ask base and adapted checkpoint what stood there: for the report, in seconds.

    make dapt          # on its way to the report

reads   base/                   the checkpoint before
        dapt/ tapt/ …           and after
        masked/domain/, …/task/ dev sequences of the text it was adapted to
writes  filled-<adapted>/       fills.json: each sentence with the best guesses of both

A stage of its own: the report reads rows and needs no model, and a training that took a week is not made again for it.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from corpora.parquet import metadata_of, read_rows
from pipeline.filling import Filling, Hole, fillings, holes
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.run.artifact import read_manifest
from pipeline.run.errors import InputError
from pipeline.run.processes import processes, rank
from pipeline.run.progress import say
from pipeline.run.stage import run
from pipeline.tokens import fingerprint

FILE = "fills.json"
COLUMNS = ("id", "input_ids", "word_ids", "importance", "masked")
WITH_HEAD = ("mlm", "mlm+sop", "clm-mlm")
"""Objectives that leave a checkpoint with a head for masked words."""


@dataclass(frozen=True)
class FillConfig:
    """How much is asked."""

    sentences: int = 8
    """A word is hidden in each of so many."""
    best: int = 5
    """Guesses that are kept of each."""

    def __post_init__(self) -> None:
        if min(self.sentences, self.best) < 1:
            raise ValueError("sentences and best must be at least 1")


def fill(config: FillConfig, init: Path, adapted: Path, masked: Path, out: Path) -> dict[str, float]:
    """Write what both fill in; metrics with the mean probability of what was written, before and after."""
    objectives = {path.name: _objective(path) for path in (init, adapted)}
    tokenizer, dev = load_tokenizer(init), masked / "dev"
    some = holes(read_rows(dev, COLUMNS), tokenizer, config.sentences) if dev.exists() else []
    without = [f"{name} learned by {how}" for name, how in objectives.items() if how not in WITH_HEAD]
    if without or not some:
        say(f"  nothing to fill in: {'; '.join(without) or f'{masked} has no dev text'}")
        some = []
    if some and metadata_of(dev).get("tokenizer") != fingerprint(tokenizer):
        raise InputError(f"{masked} was made with another tokenizer than {init} has: run make masked with this base")
    said = {path.name: _asked(path, some, config.best) for path in (init, adapted)} if some else {}
    told = [_told(i, hole, hole.around(tokenizer), said) for i, hole in enumerate(some)]
    if rank() == 0:
        (out / FILE).write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    mean = lambda path: sum(one.written for one in said[path.name]) / len(some)
    return {"sentences": len(some)} | ({"written_before": mean(init), "written": mean(adapted)} if some else {})


def _objective(folder: Path) -> str:
    return str(read_manifest(folder)["config"].get("objective", "mlm"))


def _asked(place: Path, some: list[Hole], best: int) -> list[Filling]:
    return fillings(load_masked_lm(place).to(processes().device), load_tokenizer(place), some, best)


def _told(i: int, hole: Hole, around: tuple[str, str, str], said: dict[str, list[Filling]]) -> dict[str, object]:
    fills = {name: {"written": found[i].written, "best": found[i].best} for name, found in said.items()}
    return {"id": hole.id, **dict(zip(("before", "written", "after"), around, strict=True)), "fills": fills}


if __name__ == "__main__":
    run(fill)
