"""What an experiment will cost before it starts: tokens from its settings, time at a speed that is measured now.

The speed is that of the training loop itself, on random ids, with a model of the size that is meant. Reading,
scoring and evaluation come on top; they are less than training in all but the smallest runs.
"""

import contextlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from transformers import AutoModel, AutoModelForMaskedLM, PretrainedConfig, PreTrainedModel

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.models import ModelSize, new_bert
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.processes import processes
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

IDEOGRAPH = re.compile(r"[\u3400-\u9fff]")
PIECES = 1.3
"""Tokens of a word between blanks, as WordPiece and BPE cut English."""
SPECIAL = 2
"""Ids around a text."""
AWHILE = 2.0
"""Seconds of training that are measured."""
BYTES_KEPT, BYTES_RESUMED = 4, 12
"""Of a parameter: as saved, and beside it while a training can be resumed (two moments, the weights)."""

Settings = Mapping[str, object]


@dataclass(frozen=True)
class Training:
    """One artifact that is trained."""

    name: str
    steps: int
    tokens: float
    """Read in all, forward and backward; what is only read forward counts a third."""


def tokens_in(texts: Iterable[str], max_length: int) -> float:
    """Mean ids of a text, guessed without a tokenizer: an ideograph is one, a word some more."""
    lengths = []
    for text in texts:
        ideographs = len(IDEOGRAPH.findall(text))
        words = len(IDEOGRAPH.sub(" ", text).split())
        lengths.append(min(ideographs + PIECES * words + SPECIAL, max_length))
    return float(np.mean(lengths)) if lengths else float(max_length)


def pretraining(name: str, trainer: Settings, length: float, sequences: int) -> Training:
    """Of sequences of so many ids."""
    steps = TrainerConfig(
        steps=trainer["steps"], epochs=trainer["epochs"], batch_size=trainer["batch_size"]
    ).steps_for(sequences)
    return Training(name, steps, steps * trainer["batch_size"] * length)


def fine_tuning(name: str, config: Settings, length: float, rows: Mapping[str, int]) -> Training:
    """All seeds, with dev measured as often as is asked for and test once."""
    trainer, seeds = config["trainer"], len(config["seeds"])
    learned = pretraining(name, trainer, length, rows["train"])
    looked_at = (trainer["evaluations"] * rows["dev"] + rows["test"]) * length / 3
    return Training(name, seeds * learned.steps, seeds * (learned.tokens + looked_at))


def speed(model: PreTrainedModel, length: int, batch: int) -> float:
    """Tokens a second that the training loop reads, on this machine as busy as it is now."""
    rng, count = np.random.default_rng(0), 512
    ids = rng.integers(5, model.config.vocab_size, count * length, dtype=np.int32)
    words = np.tile(np.r_[-1, np.arange(length - 2), -1].astype(np.int32), count)
    names = np.array([str(i).encode() for i in range(count)])
    sequences = Sequences(names, np.arange(0, count * length + 1, length), ids, words, np.ones(len(ids), np.uint8))
    replaceable = np.arange(5, model.config.vocab_size)
    batches = MaskedBatches(sequences, MaskingConfig(policy="random"), Vocabulary(4, replaceable), 0)
    objective = MaskedLM(model.to(processes().device))
    run = lambda steps: _silently(objective, batches, TrainerConfig(steps=steps, batch_size=batch, evaluations=0))
    first = run(2)  # warms up
    return first if 2 * batch * length / first > AWHILE else run(max(3, round(AWHILE * first / (batch * length))))


def _silently(objective: MaskedLM, batches: MaskedBatches, config: TrainerConfig) -> float:
    with contextlib.redirect_stderr(io.StringIO()):
        trained = train(objective, batches, config, "")
    return trained.tokens / max(trained.seconds, 1e-6)


def random_model(config: PretrainedConfig | ModelSize, vocab_size: int = 0) -> PreTrainedModel:
    """A masked language model of that size, with random weights."""
    if isinstance(config, ModelSize):
        return new_bert(config, vocab_size, 0, 0)
    return AutoModelForMaskedLM.from_config(config)


def parameters_of(config: PretrainedConfig) -> int:
    """Of a model of any kind; none of them is made."""
    with torch.device("meta"):
        return AutoModel.from_config(config).num_parameters()


def disk(parameters: int, checkpoints: int) -> float:
    """Bytes for so many checkpoints, and for one training that can be resumed."""
    return parameters * (BYTES_KEPT * checkpoints + BYTES_RESUMED)
