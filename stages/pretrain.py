"""Continue pretraining on the masked corpus.

    make dapt          # on the domain, from base/
    make tapt          # on the task text, from base/
    make dapt-tapt     # on the task text, from dapt/

    accelerate launch --config_file stages/launch/gpu8.yaml -m stages.pretrain --recipe macbert …

reads   base/ or dapt/                the checkpoint to continue
        masked/domain/, masked/task/  sequences with word by word importance; corruption is drawn anew at every visit
        referred/domain/, …/task/     what a reference loses on their tokens (clm.select = excess_loss)
writes  dapt/ tapt/ dapt-tapt/        model and tokenizer; logs/metrics.jsonl and TensorBoard

What is learned is `objective` (docs/objectives.md). A killed run continues from its last checkpoint with the same
command, and ends with the same weights.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from corpora.parquet import flat_columns, metadata_of
from pipeline.batches import Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.substitutes import FILE as SUBSTITUTES
from pipeline.masking.substitutes import Substitutes
from pipeline.models import load_tokenizer, model_card, save
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.pretraining import learn
from pipeline.run.artifact import ADDED, SCRATCH, keyed
from pipeline.run.errors import InputError
from pipeline.run.processes import main_first, rank
from pipeline.run.stage import run
from pipeline.tokens import fingerprint
from pipeline.trainer import TrainerConfig

COLUMNS = ("id", "input_ids", "word_ids", "importance")


@dataclass(frozen=True)
class PretrainConfig(ObjectiveConfig):
    """What is learned, how long and how fast; what is masked was decided in masked/."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Length and pace."""
    warm_embeddings: float = field(default=0.0, metadata=ADDED)
    """Share of the training over which only what has a row for every word learns, embeddings and output, so that new
    words (base.vocabulary) find their place before the layers move; 0 = all learn from the first step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.warm_embeddings < 1:
            raise ValueError(f"warm_embeddings = {self.warm_embeddings} must be at least 0 and below 1")
        if self.warm_embeddings and self.objective == "rtd":
            raise ValueError("warm_embeddings is for one model, and objective = rtd trains two: drop one of them")


def pretrain(
    config: PretrainConfig, init: Path, masked: Path, out: Path, referred: Path | None = None
) -> dict[str, float]:
    """Train `init` on masked/train; metrics with the loss on masked/dev, fixed masks, before and after."""
    tokenizer = load_tokenizer(init)
    footer = metadata_of(masked / "train")
    if footer.get("tokenizer") != fingerprint(tokenizer):
        raise InputError(f"{masked} was made with another tokenizer than {init} has: run make masked with this base")
    masking = MaskingConfig(**json.loads(footer["masking"]))
    train, dev = main_first(lambda: [_sequences(masked / part, out / SCRATCH / part) for part in ("train", "dev")])
    if referred is not None:
        train = replace(train, reference=main_first(lambda: _reference(referred / "train", train, out / SCRATCH)))
    substitutes = None if masking.replacement == "mask" else Substitutes.load(masked / SUBSTITUTES)
    method = config.method
    model = method.open(init, config.trainer.seed)
    warm = config.warm_embeddings
    metrics = learn(model, tokenizer, train, dev, masking, config.trainer, out, masked.name, method, substitutes, warm)
    if rank() == 0:
        text = f"`{init.name}` continued on {masked.name} text by {method.called}, {masking.policy} masking."
        save(model, tokenizer, out, model_card(masked.name, init.name, text, {**metrics, **keyed(config.trainer)}))
    return metrics


def _sequences(folder: Path, cache: Path) -> Sequences | None:
    return Sequences(**flat_columns(folder, COLUMNS, cache)) if folder.exists() else None


def _reference(folder: Path, train: Sequences, scratch: Path) -> np.ndarray:
    """float32 [tokens]: what a reference loses on each token of the sequences."""
    columns = flat_columns(folder, ("id", "loss"), scratch / "reference")
    if not (np.array_equal(columns["id"], train.id) and np.array_equal(columns["offsets"], train.offsets)):
        raise InputError(f"{folder} was made of other sequences: run make referred again")
    return columns["loss"]


if __name__ == "__main__":
    run(pretrain, version=3)
