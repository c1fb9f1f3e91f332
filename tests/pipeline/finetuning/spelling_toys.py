"""Texts of the toy vocabulary with planted errors, and what corrects them."""

from collections.abc import Sequence

import numpy as np
import torch
from conftest import wordpiece
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from pipeline.finetuning.characters import Characters, Spelt
from pipeline.finetuning.corrector import Corrector
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig, Reader

WORDS = ["好吃", "味道", "不错"]


def misspelt(number: int) -> dict[str, str]:
    """Words of two characters, the second wrong now and then: only the first says what should stand there."""
    draw = np.random.default_rng(number)
    words = draw.choice(WORDS, draw.integers(2, 6)).tolist()
    wrong = draw.random(len(words)) < 0.25
    source = [w[0] + draw.choice([*"差菜"]) if x else w for w, x in zip(words, wrong, strict=True)]
    return {"id": str(number), "source": "".join(source), "target": "".join(words)}


def reader(max_length: int = 30, overlap: float = 0.25) -> Reader:
    return Reader(wordpiece(), max_length, InputConfig(overlap=overlap))


def read(sources: Sequence[str], targets: Sequence[str] | None = None, **settings) -> Spelt:
    return Characters(reader(**settings)).read(sources, targets)[0]


def toy_pairs(count: int) -> Spelt:
    rows = [misspelt(number) for number in range(count)]
    return read([row["source"] for row in rows], [row["target"] for row in rows])


def toy_corrector(dropout: float = 0.1, layers: str = "last") -> nn.Module:
    """Width 16. Attention does not drop: over padded sequences torch draws, for the batch as it is."""
    sizes = {"vocab_size": 80, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 32, "max_position_embeddings": 32, "pad_token_id": 0, "initializer_range": 0.2}
    torch.manual_seed(0)
    mlm = BertForMaskedLM(BertConfig(**sizes, hidden_dropout_prob=dropout, attention_probs_dropout_prob=0.0))
    return Corrector(mlm, HeadConfig(layers=layers, dropout=dropout))
