"""What the tests of training share: a short training of a toy, and what it leaves behind."""

import json
from pathlib import Path

import torch
from torch import nn

from pipeline.batches import Batches
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import Trained, train

CONFIG = TrainerConfig(steps=8, batch_size=8, per_device_batch_size=8, learning_rate=3e-3, warmup_ratio=0.25)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def logged(folder: Path, log: str = "metrics") -> list[dict]:
    """The lines of a log."""
    return [json.loads(line) for line in (folder / "logs" / f"{log}.jsonl").read_text().splitlines()]


def learn(
    model: nn.Module, batches: Batches, config: TrainerConfig = CONFIG, **more: object
) -> tuple[dict[str, torch.Tensor], Trained]:
    """The weights after training, and what the training says of itself."""
    result = train(MaskedLM(model), batches, config, "toy", **more)
    return weights(model), result
