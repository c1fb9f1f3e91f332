"""Train the keyword tagger: from the scores of the task text, learn to find important words in any text.

    make tagger

reads   base/    the checkpoint to start from
        scores/  the keywords of the task text
writes  tagger/  a token classifier and its tokenizer; reliability.json, how often it was right on dev documents;
                 calibration.json where asked for
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpora.parquet import read_rows
from corpora.splits import split_of
from pipeline.batches import LabelledBatches
from pipeline.calibration import Bin, Calibration, calibration_error, reliability
from pipeline.metrics import over_seeds
from pipeline.models import load_token_classifier, load_tokenizer, model_card, save
from pipeline.objectives.cross_entropy import soft_cross_entropy, summed_cross_entropy
from pipeline.objectives.labelling import Labelling
from pipeline.objectives.objective import Objective
from pipeline.run.errors import InputError
from pipeline.run.processes import processes, rank
from pipeline.run.progress import say
from pipeline.run.stage import run
from pipeline.tagging import (
    LABELS,
    evaluate_tagger,
    importance_labels,
    scale_of_words,
    tagged_tokens,
    tagger_labels,
    tagger_metrics,
)
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

VERSION = 3

COLUMNS = ("input_ids", "word_ids", "importance", "keyword")

Row = dict[str, np.ndarray]
"""The columns of a document, [L] each."""

Taught = Callable[[Row], np.ndarray]
"""A document -> int64 [L]: the label of each token."""


@dataclass(frozen=True)
class TaggerConfig:
    """How the tagger is trained."""

    target: Literal["keyword", "importance"] = "keyword"
    """What a token is taught: the decision on its word, or the importance of its word as a probability. Importances
    are then put on the scale of `scorer = ...` in masked/, where one half and more is as frequent as keywords are."""
    keyword_weight: float = 3.0
    """Weight of a keyword token in the loss, other tokens have 1: keywords are few (3 in the reference code)."""
    calibrate: bool = False
    """Fit scale and shift of the logits on the dev documents (Platt scaling), so that importance is a probability. Off
    as in the reference: its keyword_weight calls more words important than are, and published figures rest on that."""
    seeds: int = 1
    """How many are trained, with seeds trainer.seed, trainer.seed + 1, …; the first is the tagger, the others tell how
    much of its figures is luck."""
    dev_share: float = 0.1
    """Share of the documents kept to choose the best epoch: by F1; of importances by average precision, how well they
    rank keywords."""
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=32, learning_rate=5e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999), evaluations=10
        )
    )
    """Length and pace."""

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds = {self.seeds} must be at least 1")


@dataclass(frozen=True)
class Trained:
    """A tagger and what it says of documents it did not learn from."""

    model: PreTrainedModel
    calibration: Calibration | None
    bins: list[Bin]
    metrics: dict[str, float]


def train_tagger(config: TaggerConfig, init: Path, scores: Path, out: Path) -> dict[str, float]:
    """Train from `init`; metrics with precision, recall, F1 and calibration error on dev tokens, mean over seeds."""
    tokenizer, parts, results = load_tokenizer(init), _split(config, scores), []
    for seed in range(config.trainer.seed, config.trainer.seed + config.seeds):
        trained = _trained(config, init, parts, tokenizer.pad_token_id, seed)
        results.append(trained.metrics)
        if config.seeds > 1:
            say(f"  seed {seed}: F1 {trained.metrics['f1']:.1f}")
        if rank() == 0 and len(results) == 1:
            _save(config, trained, tokenizer, init, out)
    return over_seeds(results) | {f"{part}_documents": len(rows) for part, rows in parts.items()}


def _trained(config: TaggerConfig, init: Path, parts: dict[str, list[Row]], pad_id: int, seed: int) -> Trained:
    """One tagger, at its best epoch, calibrated where asked for."""
    model = load_token_classifier(init, LABELS, seed).to(processes().device)
    objective, taught = _lesson(config, model, [row for rows in parts.values() for row in rows])
    learned, dev = (_batches(parts[n], of, pad_id) for n, of in (("train", taught), ("dev", _decision)))
    measure = lambda: evaluate_tagger(model, dev)
    best = "f1" if config.target == "keyword" else "average_precision"  # importances need not reach one half
    train(objective, learned, replace(config.trainer, seed=seed), "tagger", measure, best=best)
    found, truth = tagged_tokens(model, dev)
    calibration = Calibration.fit(found, truth) if config.calibrate else None
    found = calibration(found) if calibration else found
    bins = reliability(found[:, 1], truth)
    return Trained(
        model, calibration, bins, {**tagger_metrics(found, truth), "calibration_error": calibration_error(bins)}
    )


def _save(config: TaggerConfig, trained: Trained, tokenizer: PreTrainedTokenizerBase, init: Path, out: Path) -> None:
    facts = {**trained.metrics, **asdict(config)}
    save(
        trained.model, tokenizer, out, model_card("Keyword tagger", init.name, "Finds the words a task needs.", facts)
    )
    (out / "reliability.json").write_text(
        json.dumps([asdict(one) for one in trained.bins], indent=1), encoding="utf-8"
    )
    if trained.calibration:
        trained.calibration.save(out)


def _split(config: TaggerConfig, scores: Path) -> dict[str, list[Row]]:
    """Documents, not rows of one, go to train or dev by the hash of their id."""
    shares = {"dev": config.dev_share, "train": 1 - config.dev_share}
    parts: dict[str, list[Row]] = {"train": [], "dev": []}
    for row in read_rows(scores, ("id", *COLUMNS)):
        parts[split_of(row["id"], shares)].append({name: np.array(row[name]) for name in COLUMNS})
    for part, rows in parts.items():
        if not any(row["keyword"].any() for row in rows):
            raise InputError(
                f"no keyword in the {part} documents of {scores}: more task rows or a larger delta are needed"
            )
    return parts


def _lesson(config: TaggerConfig, model: PreTrainedModel, rows: list[Row]) -> tuple[Objective, Taught]:
    """What is minimised, and the labels of a row."""
    if config.target == "keyword":
        weighted = partial(summed_cross_entropy, weights=(1.0, config.keyword_weight))
        return Labelling(model, weighted), _decision
    scale = scale_of_words(rows)
    taught = lambda row: importance_labels(row["word_ids"], row["importance"], scale)
    return Labelling(model, partial(soft_cross_entropy, weight=config.keyword_weight)), taught


def _decision(row: Row) -> np.ndarray:
    return tagger_labels(row["word_ids"], row["keyword"])


def _batches(rows: list[Row], taught: Taught, pad_id: int) -> LabelledBatches:
    return LabelledBatches([row["input_ids"] for row in rows], [taught(row) for row in rows], pad_id)


if __name__ == "__main__":
    run(train_tagger, version=VERSION)
