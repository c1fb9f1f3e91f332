"""Find a learning rate to begin with: one short training whose rate rises at every step.

    make lr-find        make lr-find INIT=dapt

reads   base/ dapt/ tapt/ …   the checkpoint to start from
        corpus/task/          train rows
        the section [finetuned] of the recipe, whose batches and methods are those of the ramp
writes  rate-<init>/          rate.json, the loss at each rate; rate.svg and rate.txt, its plots; prints one
"""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from corpora.parquet import read_rows
from pipeline.finetuning.classifier import new_model
from pipeline.finetuning.config import FinetuneConfig
from pipeline.finetuning.finder import Curve, Ramp
from pipeline.finetuning.inputs import Reader
from pipeline.finetuning.method import fine_tune
from pipeline.finetuning.split import Split
from pipeline.finetuning.tasks import COLUMNS, task_of
from pipeline.models import load_tokenizer
from pipeline.pages.plots import rates_svg, rates_text
from pipeline.run.errors import Diverged
from pipeline.run.processes import processes, rank
from pipeline.run.stage import run


def find_rate(config: FinetuneConfig, init: Path, task: Path, out: Path) -> dict[str, float]:
    """Train one model, of the first seed, up the ramp; metrics with the suggestion."""
    rows = list(read_rows(task / "train", COLUMNS))
    kind = task_of(rows, config.ordered)
    split = Split.of(rows, Reader(load_tokenizer(init, config.max_length), config.max_length, config.input), kind)
    model = new_model(init, kind, config.model, config.seeds[0]).to(processes().device)
    ramp = Ramp.of(replace(config.trainer, seed=config.seeds[0]))
    with suppress(Diverged):  # it is to: the curve before that is what is read
        fine_tune(model, kind, split.batches, config, ramp, init, "learning rates", None, "", out)
    return _written(Curve.read(out), out) if rank() == 0 else {}


def _written(curve: Curve, out: Path) -> dict[str, float]:
    """The curve as files."""
    marks = {"suggested": curve.suggested, "steepest": curve.steepest, "lowest": curve.lowest}
    told = {**marks, "rates": curve.rates.tolist(), "losses": curve.losses.tolist()}
    (out / "rate.json").write_text(json.dumps(told), encoding="utf-8")
    points = list(zip(curve.rates.tolist(), curve.losses.tolist(), curve.smooth.tolist(), strict=True))
    (out / "rate.svg").write_text(rates_svg(points, marks, "loss by learning rate"), encoding="utf-8")
    (out / "rate.txt").write_text(f"{rates_text(points, marks)}\n", encoding="utf-8")
    print(f"\n{rates_text(points, marks)}\n")
    return marks


if __name__ == "__main__":
    run(find_rate)
