"""What a task puts on an encoder: layers -> over tokens -> pooling -> dense -> logits, each part a setting.

linear            everything at its default: the library's own model
MLP               widths = [512, 256]
TextCNN           over_tokens = "cnn", pooling = "max", widths = [256]     (Kim 2014)
BiLSTM            over_tokens = "lstm", pooling = "max"
residual stack    widths = [512, 512], residual = true
CRF               crf = true, for tags
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pipeline.finetuning.crf import Crf
from pipeline.finetuning.representation import AttentionPooling, Choice, Layers, Pooling, pooled

HEAD, HEAD_WEIGHTS = "head.json", "head.safetensors"
"""Beside an encoder: the settings of a head of ours, and its weights."""


@dataclass(frozen=True)
class HeadConfig:
    """The head. Left as it is, the model is the library's own (AutoModelForSequenceClassification, …Token…)."""

    layers: Choice = "last"
    """Which layers it sees; in Sun et al. 2019 the last and the maximum of the last four were best."""
    layer: int = -1
    """Of layers = "one": 0 are the embeddings, -1 is the last."""
    last: int = 4
    """Of concat, mean, max: how many of the last layers."""
    over_tokens: Literal["none", "cnn", "lstm"] = "none"
    """A layer over the tokens before they are pooled or tagged: convolutions side by side, or an LSTM both ways."""
    kernels: tuple[int, ...] = (3, 4, 5)
    """Widths of the convolutions, in tokens."""
    filters: int = 128
    """Filters of each convolution; half of the width of the LSTM."""
    pooling: Pooling = "cls"
    """How a text becomes one vector."""
    widths: tuple[int, ...] = ()
    """Hidden layers between the representation and the logits."""
    residual: bool = False
    """Make each of them a residual block, x + B gelu(A norm(x)), instead of relu(A x)."""
    dropout: float = 0.1
    """Before every dense layer."""
    crf: bool = False
    """Learn which tag follows which, instead of each alone."""

    def __post_init__(self) -> None:
        if self.residual and not self.widths:
            raise ValueError("residual = true makes blocks of widths, and there are none: set widths")
        if self.last < 1 or self.filters < 1 or not self.kernels or min((*self.kernels, *self.widths, 1)) < 1:
            raise ValueError("last, filters, kernels and widths must be at least 1, and kernels name one")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout = {self.dropout} must be at least 0 and less than 1")

    @property
    def is_plain(self) -> bool:
        """Whether the library has such a model."""
        return self == HeadConfig(dropout=self.dropout)

    def refusal(self, tokens: bool, layers: int) -> str:
        """Why it cannot be the head of a task of tokens, or of texts, on an encoder of so many layers; or ""."""
        if self.crf and not tokens:
            return "head.crf = true chains the tags of a text, and this task has none: leave it out"
        if tokens and self.pooling != "cls":
            return f"head.pooling = {self.pooling} makes one vector of a text, and every token has a tag: leave it out"
        if self.layers == "one" and not -layers - 1 <= self.layer <= layers:
            return f"head.layer = {self.layer} is none of this encoder's: it has {layers}"
        if self.layers in ("concat", "mean", "max") and self.last > layers + 1:
            return f"head.last = {self.last} layers are more than this encoder has: it has {layers}"
        return ""


class Head(nn.Module):
    """From the states of an encoder to logits, of texts or of tokens."""

    def __init__(self, config: HeadConfig, layers: int, width: int, outputs: int, tokens: bool, spread: float) -> None:
        super().__init__()
        self.pooling, self.tokens = config.pooling, tokens
        self.layers = Layers(config.layers, config.layer, config.last, layers)
        width *= self.layers.times_wider
        self.over_tokens = {"cnn": Convolutions, "lstm": BothWays}.get(config.over_tokens, lambda *_: None)(
            width, config
        )
        width = self.over_tokens.width if self.over_tokens else width
        self.attention = AttentionPooling(width) if config.pooling == "attention" else None
        self.dense = ResidualStack(width, config) if config.residual else Stack(width, config)
        self.dropout, self.out = nn.Dropout(config.dropout), nn.Linear(self.dense.width, outputs)
        nn.init.normal_(self.out.weight, std=spread)
        nn.init.zeros_(self.out.bias)
        self.crf = Crf(outputs) if config.crf else None

    def forward(self, hidden: tuple[Tensor, ...], final: Tensor, mask: Tensor) -> Tensor:
        """Logits [B, C] or [B, L, C]; hidden [B, L, width] of every layer, mask [B, L]."""
        mask = mask.bool()
        x = self.layers(hidden, final)
        if self.over_tokens:
            x = self.over_tokens(x, mask)
        if not self.tokens:
            x = self.attention(x, mask) if self.attention else pooled(self.pooling, x, mask)
        return self.out(self.dropout(self.dense(x)))


class Convolutions(nn.Module):
    """Convolutions of several widths side by side (Kim 2014), one output a token, so that tags can use them too.

    A text is padded with zeros to keep its length, where Kim's has no output across its ends.
    """

    def __init__(self, width: int, config: HeadConfig) -> None:
        super().__init__()
        make = lambda kernel: nn.Conv1d(width, config.filters, kernel, padding="same")
        self.convolutions = nn.ModuleList(map(make, config.kernels))
        self.width = config.filters * len(config.kernels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, L, width] -> [B, L, filters of all]; what lies beyond a text is zero to it."""
        x = (x * mask[..., None]).transpose(1, 2)
        return torch.cat([relu(convolution(x)) for convolution in self.convolutions], 1).transpose(1, 2)


class BothWays(nn.Module):
    """An LSTM from left to right and one from right to left."""

    def __init__(self, width: int, config: HeadConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, config.filters, batch_first=True, bidirectional=True)
        self.width = 2 * config.filters

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """[B, L, width] -> [B, L, 2 x filters]; each text is read from its own end."""
        packed = pack_padded_sequence(x, mask.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]


class Stack(nn.Module):
    """Dense layers with relu; none where there are no widths."""

    def __init__(self, width: int, config: HeadConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((width, *config.widths)))
        self.dropouts = nn.ModuleList(nn.Dropout(config.dropout) for _ in self.layers)
        self.width = config.widths[-1] if config.widths else width

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., last of widths]."""
        for dropout, layer in zip(self.dropouts, self.layers, strict=True):
            x = relu(layer(dropout(x)))
        return x


class ResidualStack(nn.Module):
    """Blocks x + B gelu(A norm(x)), A to the block's width and B back."""

    def __init__(self, width: int, config: HeadConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in config.widths)
        self.wider = nn.ModuleList(nn.Linear(width, inner) for inner in config.widths)
        self.back = nn.ModuleList(nn.Linear(inner, width) for inner in config.widths)
        self.dropouts = nn.ModuleList(nn.Dropout(config.dropout) for _ in config.widths)
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> the same."""
        for norm, wider, back, dropout in zip(self.norms, self.wider, self.back, self.dropouts, strict=True):
            x = x + back(dropout(gelu(wider(norm(x)))))
        return x
