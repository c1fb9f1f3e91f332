"""What is done to a model before it is fine-tuned on few labels: set back, mixed with what it was, dropped more."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from pipeline.draws import MIX, bits, uniform
from pipeline.finetuning.classifier import encoder_of, head_of
from pipeline.models import reinitialise
from pipeline.run.errors import InputError
from pipeline.training.layers import layers_of


@dataclass(frozen=True)
class StabiliserConfig:
    """What the model is made to forget, or kept from forgetting."""

    reinit_layers: int = 0
    """Top layers that start from random weights again (Zhang et al. 2021: 1 to 6 of 24, of a base not adapted; after
    DAPT it throws adapted layers away). The pooler always starts anew, as pretraining leaves it untrained."""
    mixout: float = 0.0
    """Chance that an input of a linear layer of the encoder has its pre-trained weights in a step: 0.9 in Lee et al.
    (2020), 0.1 in Zhang et al. (2021). It takes the place of dropout, which is off."""
    dropout: float = -1.0
    """Dropout everywhere in the model, attention included, while it is fine-tuned; -1 = as it was pretrained."""

    def __post_init__(self) -> None:
        if self.reinit_layers < 0:
            raise ValueError(f"reinit_layers = {self.reinit_layers} must not be negative")
        if not 0 <= self.mixout < 1:
            raise ValueError(f"mixout = {self.mixout} must be at least 0 and below 1")
        if self.dropout != -1 and not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout} must be at least 0 and below 1, or -1 to leave it as it is")
        if self.mixout and self.dropout > 0:
            raise ValueError(f"mixout takes the place of dropout: leave dropout = {self.dropout} out")


def reinitialise_top(model: nn.Module, count: int, seed: int) -> set[Tensor]:
    """Random weights for the top `count` layers, each with draws of its own; their parameters."""
    encoder = encoder_of(model)
    layers = layers_of(encoder)
    if count > len(layers):
        raise InputError(f"reinit_layers = {count}, but the model has {len(layers)} layers")
    chosen = layers[len(layers) - count :]
    for number, layer in enumerate(chosen):
        reinitialise(layer, encoder.config, int(bits(seed, MIX, number)) >> 1)
    return {p for layer in chosen for p in layer.parameters()}


def set_dropout(model: nn.Module, p: float) -> None:
    """Dropout everywhere: in modules, and where a model keeps it as a number (ModernBERT's attention)."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = p
        for name, value in vars(module).items():
            if isinstance(value, float) and "dropout" in name:
                setattr(module, name, p)


class Mixout:
    """Mixout (Lee et al. 2020) of the linear layers of an encoder, for as long as it is trained.

        W' = W_pre + M (W - W_pre) / (1 - p),    M = 0 with chance p

    One draw for all weights of an input, as in the authors' code, a function of (seed, step, layer, input): the same
    in every micro-batch and process of a step. In evaluation, and after `remove`, the weights are W. What has no
    pre-trained weights is left alone, the head among it; dropout is off.
    """

    def __init__(self, model: nn.Module, p: float, seed: int, fresh: Collection[Tensor] = ()) -> None:
        self.p, self.seed = p, seed
        set_dropout(model, 0.0)
        left_alone = {p for module in head_of(model) for p in module.parameters()} | {*fresh}
        linear = [module for module in encoder_of(model).modules() if isinstance(module, nn.Linear)]
        self.layers = [layer for layer in linear if layer.weight not in left_alone]
        self.mixtures = [_Mixture(layer.weight, p) for layer in self.layers]
        for layer, mixture in zip(self.layers, self.mixtures, strict=True):
            parametrize.register_parametrization(layer, "weight", mixture)
        self.begin(0, 0.0)

    def begin(self, step: int, elapsed: float) -> None:
        """Draw for a step."""
        for number, mixture in enumerate(self.mixtures):
            drawn = uniform(self.seed, MIX, step, number, np.arange(len(mixture.kept)))
            mixture.kept.copy_(torch.from_numpy(drawn >= self.p))

    def after_backward(self) -> None:
        """Nothing."""

    def remove(self) -> None:
        """Leave plain weights, under their plain names."""
        for layer in self.layers:
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)


class _Mixture(nn.Module):
    """Weights [out, in] as the trained ones and the pre-trained ones mixed."""

    def __init__(self, weight: Tensor, p: float) -> None:
        super().__init__()
        self.p = p
        self.register_buffer("pretrained", weight.detach().clone(), persistent=False)
        self.register_buffer("kept", torch.ones(weight.shape[1]), persistent=False)

    def forward(self, weight: Tensor) -> Tensor:
        if not self.training:
            return weight
        return self.pretrained + self.kept * (weight - self.pretrained) / (1 - self.p)
