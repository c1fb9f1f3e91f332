"""Mix an adapted checkpoint with its base: what is gained on the domain against what is forgotten, at every share.

    make interpolated                                    # base/ and dapt/
    make interpolated ADAPTED=tapt SET="interpolated.alpha=0.7"

reads   base/                         the weights at 0
        dapt/ tapt/ dapt-tapt/        the weights at 1
        masked/domain/, masked/task/  dev text of what was adapted to, under fixed masks
        masked/general/               dev text of what is not to be forgotten (masked.general_documents)
writes  interpolated/                 the model at `alpha`; sweep.json, sweep.md, sweep.svg: the loss on both texts at
                                      every share; prints the table

Neither task labels nor test rows are looked at.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase

from corpora.parquet import flat_columns, metadata_of
from pipeline.batches import MaskedBatches, Sequences
from pipeline.interpolation import Between, front
from pipeline.models import load_masked_lm, load_tokenizer, model_card, save
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.yardstick import fixed_mask_loss
from pipeline.pages.plots import path_svg
from pipeline.pages.tables import markdown_table, terminal_table
from pipeline.pretraining import fixed_batches
from pipeline.run.artifact import SCRATCH, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.processes import main_first, processes, rank
from pipeline.run.stage import run
from pipeline.tokens import fingerprint

COLUMNS = ("id", "input_ids", "word_ids", "importance")


@dataclass(frozen=True)
class InterpolateConfig:
    """Where between base and adapted checkpoint to stand."""

    alpha: float = 0.5
    """Share of the adapted weights in the model that is written; 0.5 where nothing is known (Wortsman et al. 2022)."""
    sweep: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    """Shares that are measured, beside 0, 1 and alpha."""

    def __post_init__(self) -> None:
        for value in (self.alpha, *self.sweep):
            if not 0 <= value <= 1:
                raise ValueError(f"alpha = {value} must lie between 0, the base, and 1, the adapted checkpoint")


@dataclass(frozen=True)
class Point:
    """The loss per masked word at one share of the adapted weights."""

    alpha: float
    own: float
    """On text that was adapted to."""
    general: float


def interpolate(
    config: InterpolateConfig, init: Path, adapted: Path, masked: Path, out: Path, general: Path | None = None
) -> dict[str, float]:
    """Measure the way from `init` to `adapted` and write the model at alpha; metrics as of a pretraining."""
    if general is None:
        raise InputError("no general text is masked, so nothing shows what is forgotten: set masked.general_documents")
    if two := [folder for folder in (init, adapted) if (folder / "generator").exists()]:
        raise InputError(f"{two[0]} is of two models (objective = rtd), which are not interpolated: use replay there")
    tokenizer = load_tokenizer(init)
    _check_vocabulary(tokenizer, init, load_tokenizer(adapted), adapted)
    fixed = [_dev(folder, tokenizer, init, out / SCRATCH / folder.name) for folder in (masked, general)]
    between = Between(load_masked_lm(init).to(processes().device), load_masked_lm(adapted))
    objective = MaskedLM(between.model).eval()
    points = []
    for alpha in sorted({0.0, 1.0, config.alpha, *config.sweep}):
        between.at(alpha)
        with torch.no_grad():
            points.append(Point(alpha, *(fixed_mask_loss(objective, batches)["loss"] for batches in fixed)))
    metrics = _metrics(config, points, read_manifest(adapted)["metrics"])
    if rank() == 0:
        text = f"`{init.name}` and `{adapted.name}`, weights interpolated: {config.alpha:g} of the latter."
        save(between.at(config.alpha), tokenizer, out, model_card("Interpolated", init.name, text, metrics))
        _write(config, points, adapted.name, masked.name, out)
    return metrics


def _check_vocabulary(one: PreTrainedTokenizerBase, init: Path, other: PreTrainedTokenizerBase, adapted: Path) -> None:
    if fingerprint(one) != fingerprint(other):
        raise InputError(
            f"{adapted} has another vocabulary than {init}: interpolate a checkpoint with the base that it began at"
        )


def _dev(masked: Path, tokenizer: PreTrainedTokenizerBase, init: Path, cache: Path) -> MaskedBatches:
    """Dev sequences of a masked corpus, as every training is measured by them."""
    if not (masked / "dev").exists():
        raise InputError(f"{masked} has no dev text to measure on: set corpus.dev_share above 0")
    if metadata_of(masked / "dev").get("tokenizer") != fingerprint(tokenizer):
        raise InputError(f"{masked} was made with another tokenizer than {init} has: run make masked with this base")
    sequences = main_first(lambda: Sequences(**flat_columns(masked / "dev", COLUMNS, cache)))
    return fixed_batches(sequences, tokenizer)


def _metrics(config: InterpolateConfig, points: list[Point], adapted: dict[str, float]) -> dict[str, float]:
    """Losses at the base and at alpha, and what the adapted checkpoint took."""
    before, there = points[0], next(point for point in points if point.alpha == config.alpha)
    spent = {name: adapted[name] for name in ("steps", "tokens") if name in adapted}
    return {
        "alpha": config.alpha,
        "dev_loss": there.own,
        "dev_general_loss": there.general,
        "dev_loss_before": before.own,
        "dev_general_loss_before": before.general,
        **spent,
    }


def _write(config: InterpolateConfig, points: list[Point], adapted: str, text: str, out: Path) -> None:
    """The sweep as data, table and picture."""
    best = front([(point.own, point.general) for point in points])
    told = [{**vars(point), "front": on} for point, on in zip(points, best, strict=True)]
    (out / "sweep.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    head = ["alpha", text, "general", ""]
    names = {0.0: "base", 1.0: adapted}
    mark = lambda point: names.get(point.alpha, "") + (" ← written" if point.alpha == config.alpha else "")
    rows = [[f"{p.alpha:g}{'' if on else ' *'}", f"{p.own:.3f}", f"{p.general:.3f}", mark(p).strip()]
            for p, on in zip(points, best, strict=True)]  # fmt: skip
    said = (
        "Loss per masked word of dev text, fixed whole-word masks, at each share alpha of the adapted weights. "
        "`*`: another share is as good on both texts and better on one (not on the Pareto front). Which share serves "
        "a task best is for fine-tuning to say; no label was looked at here."
    )
    picture = path_svg(
        [(f"{p.alpha:g}", p.own, p.general) for p in points],
        f"{config.alpha:g}",
        (f"loss on {text} text", "loss on general text"),
        f"from base to {adapted}: {text} against general text",
    )
    (out / "sweep.svg").write_text(picture, encoding="utf-8")
    page = ["# Interpolated", said, markdown_table(head, rows), "![sweep](sweep.svg)"]
    (out / "sweep.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print(f"\n{terminal_table(head, rows)}\n")


if __name__ == "__main__":
    run(interpolate)
