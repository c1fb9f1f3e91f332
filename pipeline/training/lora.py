"""Low-rank adapters (LoRA, Hu et al. 2022) in the layers of an encoder, by peft; merged when the training has ended.

For bases whose moments do not fit, and to forget less (Biderman et al. 2024): the encoder's own weights stay as they
are, only adapters and the head learn. A head that shares the embeddings shares that they stay.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from pipeline.training.layers import layers_of


@dataclass(frozen=True)
class LoraConfig:
    """Adapters of every linear layer of the encoder."""

    rank: int = 0
    """Rank of an adapter; 0 = none, the encoder itself learns. 8 to 32 is usual."""
    alpha: float = 16.0
    """An adapter is multiplied by alpha / rank."""
    dropout: float = 0.05
    """Dropout before an adapter."""

    def __post_init__(self) -> None:
        if self.rank < 0 or self.alpha <= 0 or not 0 <= self.dropout < 1:
            raise ValueError("rank must not be negative, alpha positive, dropout at least 0 and below 1")


def add_adapters(encoder: nn.Module, config: LoraConfig, seed: int, whole: Iterable[nn.Module] = ()) -> None:
    """Adapters that start as nothing, beside frozen weights; what is to learn `whole`, such as a pooler, does."""
    import peft

    inside = {module for layer in layers_of(encoder) for module in layer.modules() if isinstance(module, nn.Linear)}
    names = [name for name, module in encoder.named_modules() if module in inside]
    settings = peft.LoraConfig(
        r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=names
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(settings, encoder)
    for module in whole:
        module.requires_grad_(True)


def merge_adapters(encoder: nn.Module) -> None:
    """The encoder as it was built, what the adapters have learned added to its weights."""
    from peft.tuners.lora import LoraLayer

    adapted = [(name, module) for name, module in encoder.named_modules() if isinstance(module, LoraLayer)]
    for name, module in adapted:
        module.merge(safe_merge=True)
        encoder.set_submodule(name, module.get_base_layer())
    encoder.requires_grad_(True)
