"""A task of toy sequences, and what must hold of every technique: split, resumed, in bf16, by two processes."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from launcher import Left, launched
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
)

from pipeline.batches import LabelledBatches
from pipeline.run.processes import rank
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

CONFIG = TrainerConfig(
    steps=8, batch_size=8, per_device_batch_size=8, learning_rate=3e-3, warmup_ratio=0.25, adam_betas=(0.9, 0.999)
)
CLASSES = 3


def toy_batches(sequences) -> LabelledBatches:
    """The toy sequences; the class of each is that of its second id, modulo 3."""
    ids = np.split(sequences.input_ids.astype(np.int64), sequences.offsets[1:-1])
    return LabelledBatches(ids, [int(row[1]) % CLASSES for row in ids], 0)


def toy_classifier(kind: str = "bert", dropout: float = 0.1, layers: int = 2) -> nn.Module:
    """Width 16. Attention does not drop: over padded sequences torch draws, for the batch as it is."""
    sizes = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": layers, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 32, "pad_token_id": 0, "num_labels": CLASSES}
    sizes |= {"initializer_range": 0.2}
    torch.manual_seed(0)
    if kind == "modernbert":
        ids = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        drops = {"embedding_dropout": dropout, "mlp_dropout": dropout, "attention_dropout": 0.0}
        return ModernBertForSequenceClassification(ModernBertConfig(**sizes, **ids, **drops))
    drops = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": 0.0}
    return BertForSequenceClassification(BertConfig(**sizes, **drops))


Learn = Callable[[TrainerConfig, Path | None], nn.Module]
"""Trains a fresh model under a config, with checkpoints in a folder; the model afterwards."""


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def apart(one: nn.Module, other: nn.Module) -> float:
    """The largest difference of a weight."""
    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return max(float((left[name] - right[name]).abs().max()) for name in left)


class Killed(RuntimeError):
    """As good as a power cut."""


class Dying:
    """Batches that end the run after so many steps."""

    def __init__(self, batches, left: int) -> None:
        self.batches, self.left = batches, left

    def __getattr__(self, name):
        return getattr(self.batches, name)

    def __len__(self):
        return len(self.batches)

    def batch(self, indices, epochs, elapsed=0.0):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return self.batches.batch(indices, epochs, elapsed)


class Technique:
    """A way to train: `make(model)` gives the objective and what else `train` is told."""

    def __init__(self, make: Callable[[nn.Module], tuple[nn.Module, dict]], model=toy_classifier, batches=lambda b: b):
        self.make, self.model, self.wrap = make, model, batches

    def learn(self, batches, config=CONFIG, folder=None, finish=True) -> nn.Module:
        model = self.model()
        objective, more = self.make(model)
        train(objective, self.wrap(batches), config, "toy", folder=folder, **more)
        for companion in more.get("companions", ()):
            if finish and hasattr(companion, "remove"):
                companion.remove()
        return model

    @cache  # noqa: B019  a few toys
    def learned(self, batches) -> nn.Module:
        """The model after a training as it is: made once, whatever it is compared with."""
        return self.learn(batches)

    def holds_when_split(self, batches) -> float:
        """How far the weights are from those of whole batches when a batch is held in quarters."""
        return apart(self.learned(batches), self.learn(batches, replace(CONFIG, per_device_batch_size=2)))

    def holds_when_killed(self, batches, folder: Path) -> bool:
        """Whether a run killed in its sixth step and resumed ends with the bits of one that kept no checkpoint."""
        config = replace(CONFIG, save_steps=2)
        try:
            self.learn(Dying(batches, 5), config, folder / "broken")
            raise AssertionError("it was not killed")
        except Killed:
            pass
        resumed = self.learn(batches, config, folder / "broken")
        return apart(self.learned(batches), resumed) == 0

    def holds_for_two(self, batches, folder: Path, launch: Callable[..., list[Left]] = launched) -> float:
        """How far two processes, whole or in shards, end from where one does."""

        def work() -> None:
            model = self.learn(batches)
            save_file(weights(model), folder / f"weights-{rank()}")

        left = launch(work, folder)
        assert [one.code for one in left] == [0, 0], left
        alone, both = weights(self.learned(batches)), [load_file(folder / f"weights-{r}") for r in (0, 1)]
        assert all(torch.equal(both[0][name], both[1][name]) for name in alone)
        return max(float((alone[name] - both[0][name]).abs().max()) for name in alone)
