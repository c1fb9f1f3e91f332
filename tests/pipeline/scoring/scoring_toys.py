"""What the tests of scorers share: documents one can read, and a classifier that is sure of something."""

from collections.abc import Sequence

import numpy as np
import torch
from conftest import EN, WORDS, ZH
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from pipeline.scoring.documents import Document


def document(ids: Sequence[int], word_ids: Sequence[int], label: int = -1, name: str = "toy") -> Document:
    """From ids and the word of each; the words are called w0, w1, …"""
    words = [f"w{i}" for i in range(max(word_ids, default=-1) + 1)]
    return Document.of(name, np.array(ids, dtype=np.int32), np.array(word_ids, dtype=np.int32), words, label)


def written(text: str, label: int = -1, name: str = "toy") -> Document:
    """From words of the toy vocabulary with blanks between them; `##` continues a word."""
    pieces = text.split()
    starts = np.array([not piece.startswith("##") for piece in pieces], dtype=bool)
    word_ids = (np.cumsum(starts) - 1).astype(np.int32)
    words = ["".join(p.removeprefix("##") for p, w in zip(pieces, word_ids, strict=True) if w == i)
             for i in range(int(starts.sum()))]  # fmt: skip
    return Document(name, np.array([WORDS.index(p) for p in pieces], dtype=np.int32), word_ids, words, label)


def random_documents(count: int, seed: int = 0) -> list[Document]:
    """Documents of 1 to 18 tokens in words of one to three, with labels 0 to 2; one in ten tokens is unknown."""
    draw, found = np.random.default_rng(seed), []
    for number in range(count):
        length = int(draw.integers(1, 19))
        word_ids = np.repeat(np.arange(length), draw.integers(1, 4, length))[:length]
        word_ids = np.where(draw.random(length) < 0.1, -1, word_ids)
        ids = draw.integers(WORDS.index(ZH[0]), WORDS.index(EN.split()[-1]), length)
        found.append(document(ids.tolist(), word_ids.tolist(), int(draw.integers(3)), f"toy-{number}"))
    return found


def surer(model: PreTrainedModel) -> PreTrainedModel:
    """The model with weights that spread: tokens see each other, and probabilities differ."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.data *= 0.3 / module.weight.data.std()
    return model.eval()


def classifier_of(folder: object) -> PreTrainedModel:
    """A classifier of three classes on a toy checkpoint."""
    torch.manual_seed(0)
    return surer(AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3))
