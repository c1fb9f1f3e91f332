"""Train the keyword tagger: from the scores of the task text, learn to find important words in any text.

    make tagger

reads   base/    the checkpoint to start from
        scores/  the keywords of the task text
writes  tagger/  a token classifier and its tokenizer
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from corpora.parquet import read_rows
from corpora.splits import split_of
from pipeline.batches import LabelledBatches
from pipeline.models import load_token_classifier, load_tokenizer, model_card, save
from pipeline.objectives import Labelling
from pipeline.run.errors import InputError
from pipeline.run.processes import processes, rank
from pipeline.run.stage import run
from pipeline.tagging import LABELS, evaluate_tagger, tagger_labels
from pipeline.trainer import TrainerConfig, train


@dataclass(frozen=True)
class TaggerConfig:
    """How the tagger is trained."""

    keyword_weight: float = 3.0
    """Weight of a keyword token in the loss, other tokens have 1: keywords are few (3 in the reference code)."""
    dev_share: float = 0.1
    """Share of the documents kept to choose the best epoch by F1."""
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=32, learning_rate=5e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999), evaluations=10
        )
    )
    """Length and pace."""


def train_tagger(config: TaggerConfig, init: Path, scores: Path, out: Path) -> dict[str, float]:
    """Train from `init`; metrics with precision, recall and F1 of keyword tokens on dev documents."""
    tokenizer = load_tokenizer(init)
    parts = _split(config, scores)
    model = load_token_classifier(init, LABELS, config.trainer.seed).to(processes().device)
    objective = Labelling(model, [1.0, config.keyword_weight])
    batches = {part: _batches(rows, tokenizer.pad_token_id) for part, rows in parts.items()}
    measure = lambda: evaluate_tagger(model, batches["dev"])
    trained = train(objective, batches["train"], config.trainer, "tagger", measure, best="f1")
    metrics = {**trained.evaluation, "train_documents": len(parts["train"]), "dev_documents": len(parts["dev"])}
    if rank() == 0:
        card = model_card("Keyword tagger", init.name, "Finds the words a task needs.", {**metrics, **asdict(config)})
        save(model, tokenizer, out, card)
    return metrics


def _split(config: TaggerConfig, scores: Path) -> dict[str, list[dict]]:
    """Documents, not rows of one, go to train or dev by the hash of their id."""
    shares = {"dev": config.dev_share, "train": 1 - config.dev_share}
    parts: dict[str, list[dict]] = {"train": [], "dev": []}
    for row in read_rows(scores, ("id", "input_ids", "word_ids", "keyword")):
        parts[split_of(row["id"], shares)].append(row)
    for part, rows in parts.items():
        if not any(any(row["keyword"]) for row in rows):
            raise InputError(
                f"no keyword in the {part} documents of {scores}: more task rows or a larger delta are needed"
            )
    return parts


def _batches(rows: list[dict], pad_id: int) -> LabelledBatches:
    labels = [tagger_labels(np.array(row["word_ids"]), np.array(row["keyword"])) for row in rows]
    return LabelledBatches([np.array(row["input_ids"]) for row in rows], labels, pad_id)


if __name__ == "__main__":
    run(train_tagger, version=3)
