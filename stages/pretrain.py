"""Continue pretraining on the masked corpus.

    make dapt          # on the domain, from base/
    make tapt          # on the task text, from base/
    make dapt-tapt     # on the task text, from dapt/
    make dapt REPEATS=3              # three times, by other draws: dapt/, dapt-2/, dapt-3/

    accelerate launch --config_file stages/launch/gpu8.yaml -m stages.pretrain --recipe macbert …

reads   base/ or dapt/                the checkpoint to continue
        masked/domain/, masked/task/  sequences with word by word importance; corruption is drawn anew at every visit
        masked/general/               general text, to measure what is forgotten, and to read some of it again (replay)
        referred/domain/, …/task/     what a reference loses on their tokens (clm.select = excess_loss)
        corpus/task/                  rows that the encoder is asked about on the way ([dapt.probe])
writes  dapt/ tapt/ dapt-tapt/        model and tokenizer; logs/metrics.jsonl and TensorBoard

What is learned is `objective` (docs/objectives.md). A killed run continues from its last checkpoint with the same
command, and ends with the same weights.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import flat_columns, metadata_of, read_rows
from pipeline.batches import Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.substitutes import FILE as SUBSTITUTES
from pipeline.masking.substitutes import Substitutes
from pipeline.models import load_tokenizer, model_card, save
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.pretraining import Text, learn
from pipeline.probing import Probe, ProbeConfig, probe
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED, keyed
from pipeline.run.processes import main_first, rank
from pipeline.run.stage import run
from pipeline.tokens import fingerprint
from pipeline.training.config import TrainerConfig
from pipeline.training.lora import LoraConfig, add_adapters, merge_adapters
from pipeline.training.mixture import weights_of
from pipeline.training.optimisers import RetentionConfig, retaining

VERSION = 3

COLUMNS = ("id", "input_ids", "word_ids", "importance")
PROBED_COLUMNS = ("id", "text", "text_pair", "label")

Drawn = TypeVar("Drawn", TrainerConfig, MaskingConfig)


@dataclass(frozen=True)
class PretrainConfig(ObjectiveConfig):
    """What is learned, how long and how fast; what is masked was decided in masked/."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    """Length and pace."""
    repeat: int = field(default=1, metadata=ADDED)
    """Which repeat of the same training this is: each draws order, dropout and masks anew, so that luck shows
    (REPEATS=3 makes 1, 2 and 3); what dev is measured by stays."""
    warm_embeddings: float = field(default=0.0, metadata=ADDED)
    """Share of the training over which only what has a row for every word learns, embeddings and output, so that new
    words (base.vocabulary) find their place before the layers move; 0 = all learn from the first step."""
    replay: float = field(default=0.0, metadata=ADDED)
    """Share of the sequences that are general text, read again so that it is not forgotten (masked.general_documents):
    0.05 where the domain is near, 0.25 where it is far (Ibrahim et al. 2024). Steps and batches stay as they are."""
    mixture: tuple[str, ...] = field(default=(), metadata=ADDED)
    """How often each card of the text is read, as weights: ["reviews=3", "wiki=1"] reads three sequences of reviews
    for one of wiki, however many either has; empty = as many as there are."""
    retention: RetentionConfig = field(default_factory=RetentionConfig, metadata=ADDED)
    """What holds the weights to those it began with, and which average of them is kept."""
    lora: LoraConfig = field(default_factory=LoraConfig, metadata=ADDED)
    """Low-rank adapters beside weights that stay; merged when the training has ended."""
    probe: ProbeConfig = field(default_factory=ProbeConfig, metadata=ADDED)
    """What is asked of the encoder on the way, and whether its answers choose the weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.repeat < 1:
            raise ValueError(f"repeat = {self.repeat} must be at least 1")
        if not 0 <= self.warm_embeddings < 1:
            raise ValueError(f"warm_embeddings = {self.warm_embeddings} must be at least 0 and below 1")
        if self.warm_embeddings and self.objective == "rtd":
            raise ValueError("warm_embeddings is for one model, and objective = rtd trains two: drop one of them")
        if self.lora.rank and self.objective not in ("mlm", "clm-mlm"):
            raise ValueError(f"lora.rank is for objective = mlm or clm-mlm, not {self.objective}: leave it out")
        if self.lora.rank and (self.retention.prior_decay or self.warm_embeddings):
            told = "leave out retention.prior_decay and warm_embeddings"
            raise ValueError(f"lora.rank leaves the weights as they are: {told}")
        if self.probe.rows and self.objective == "rtd":
            raise ValueError("probe.rows asks one encoder, and objective = rtd trains two: leave it out")
        if self.probe.choose and not self.trainer.evaluations:
            raise ValueError(f"probe.choose = {self.probe.choose} is never measured: set trainer.evaluations, as 20")
        weights_of(self.mixture)
        if not 0 <= self.replay < 1:
            raise ValueError(f"replay = {self.replay} must be at least 0 and below 1")
        if self.replay and self.clm.select == "excess_loss":
            raise ValueError("clm.select = excess_loss has no reference for general text: leave out replay")

    def drawn(self, first: Drawn) -> Drawn:
        """The settings of the first training's draws as this repeat has them."""
        return replace(first, seed=first.seed + self.repeat - 1)


def pretrain(
    config: PretrainConfig,
    init: Path,
    masked: Path,
    out: Path,
    general: Path | None = None,
    referred: Path | None = None,
    task: Path | None = None,
) -> dict[str, float]:
    """Train `init` on masked/train; metrics with the loss on dev, fixed masks, before and after."""
    if config.replay and general is None:
        raise InputError(
            f"replay = {config.replay} reads general text again, and none is masked: set masked.general_documents"
        )
    tokenizer = load_tokenizer(init)
    trainer, texts = config.drawn(config.trainer), (masked, general)
    own, again = (_text(folder, tokenizer, init, out / SCRATCH, config) if folder else None for folder in texts)
    if referred is not None:
        lost = main_first(lambda: _reference(referred / "train", own.train, out / SCRATCH))
        own = replace(own, train=replace(own.train, reference=lost))
    method = config.method
    model = method.open(init, trainer.seed)
    if config.lora.rank:
        add_adapters(model.base_model, config.lora, trainer.seed)
    more = (
        again,
        config.replay,
        weights_of(config.mixture),
        retaining(config.retention, trainer),
        config.warm_embeddings,
    )
    more += (_probe(config.probe, task, own, tokenizer), config.probe.choose, config.probe.patience)
    metrics = learn(model, tokenizer, own, trainer, out, masked.name, method, *more)
    if config.lora.rank:
        merge_adapters(model.base_model)
    if rank() == 0:
        text = f"`{init.name}` continued on {masked.name} text by {method.called}, {own.masking.policy} masking."
        save(model, tokenizer, out, model_card(masked.name, init.name, text, {**metrics, **keyed(trainer)}))
    return metrics


def _probe(config: ProbeConfig, task: Path | None, own: Text, tokenizer: PreTrainedTokenizerBase) -> Probe | None:
    """What is asked on the way, of the rows of the task; nothing where nothing is to be."""
    if not config.rows:
        return None
    if task is None:
        raise InputError("probe.rows asks about rows of the task: run make dapt, or give --task <corpus/task>")
    return probe(config, lambda part: list(read_rows(task / part, PROBED_COLUMNS)), own.dev, tokenizer)


def _text(masked: Path, tokenizer: PreTrainedTokenizerBase, init: Path, scratch: Path, config: PretrainConfig) -> Text:
    """A masked corpus, its columns mapped into memory."""
    footer = metadata_of(masked / "train")
    if footer.get("tokenizer") != fingerprint(tokenizer):
        raise InputError(f"{masked} was made with another tokenizer than {init} has: run make masked with this base")
    masking = config.drawn(MaskingConfig(**json.loads(footer["masking"])))
    cache = scratch / masked.name
    train, dev = main_first(lambda: [_sequences(masked / part, cache / part) for part in ("train", "dev")])
    return Text(train, dev, masking, None if masking.replacement == "mask" else Substitutes.load(masked / SUBSTITUTES))


def _sequences(folder: Path, cache: Path) -> Sequences | None:
    return Sequences(**flat_columns(folder, COLUMNS, cache)) if folder.exists() else None


def _reference(folder: Path, train: Sequences, scratch: Path) -> np.ndarray:
    """float32 [tokens]: what a reference loses on each token of the sequences."""
    columns = flat_columns(folder, ("id", "loss"), scratch / "reference")
    if not (np.array_equal(columns["id"], train.id) and np.array_equal(columns["offsets"], train.offsets)):
        raise InputError(f"{folder} was made of other sequences: run make referred again")
    return columns["loss"]


if __name__ == "__main__":
    run(pretrain, version=VERSION)
