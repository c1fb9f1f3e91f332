"""Prefix scores in one forward: a classifier that reads from left to right and says at every token what it thinks.

`prefix` asks a classifier for every prefix, because what it says at [CLS] depends on the whole text. With causal
attention a token sees the text up to itself, and one forward holds all prefixes, at the cost of classifying the text
once. It is another classifier, and has to be trained: the fine-tuned encoder goes on with causal attention and a fresh
head that predicts the label at every token. We know of no paper that scores words so.
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.models import load_token_classifier
from pipeline.objectives.labelling import Labelling
from pipeline.prediction import predicted_batches
from pipeline.run.processes import processes
from pipeline.scoring.documents import Document, Importances
from pipeline.tokens import Frame
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train


class Causal(nn.Module):
    """A token classifier whose tokens see themselves and what is before them."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SimpleNamespace:
        """`logits` [B, L, classes], the first of padding's tokens among them; ids and mask [B, L]."""
        before = torch.ones(2 * input_ids.shape[1:], dtype=torch.bool, device=input_ids.device).tril()
        hidden = ~(before & attention_mask.bool()[:, None, None, :])
        hidden &= ~torch.eye(input_ids.shape[1], dtype=torch.bool, device=input_ids.device)  # padding sees itself
        kind = self.model.dtype
        seen = torch.zeros(hidden.shape, dtype=kind, device=hidden.device).masked_fill(hidden, torch.finfo(kind).min)
        return SimpleNamespace(logits=self.model(input_ids=input_ids, attention_mask=seen).logits)


class CausalClassifier:
    """Trained on documents with labels, to say of each of their words how much it changed its mind."""

    def __init__(self, model: PreTrainedModel, frame: Frame, pad_id: int) -> None:
        self.model, self.frame, self.pad_id = Causal(model).eval().to(processes().device), frame, pad_id

    @classmethod
    def taught(
        cls, folder: Path, tokenizer: PreTrainedTokenizerBase, documents: Sequence[Document], config: TrainerConfig
    ) -> "CausalClassifier":
        """The encoder of a finished classifier, trained to read from left to right; every process is given all."""
        classes = AutoConfig.from_pretrained(folder).label2id
        model = load_token_classifier(folder, sorted(classes, key=classes.get), config.seed)
        causal = cls(model, Frame.of(tokenizer), tokenizer.pad_token_id)
        causal.learn(documents, config)
        return causal

    def learn(self, documents: Sequence[Document], config: TrainerConfig) -> None:
        """To predict the label at every token of a word; every process is given all documents."""
        train(Labelling(self.model), self._batches(documents), config, "causal classifier")

    def __call__(self, documents: Sequence[Document]) -> Importances:
        """P(label | text up to the word) - P(label | text before it), of documents with labels."""
        found: dict[int, np.ndarray] = {}
        for indices, probabilities in predicted_batches(self.model, self._batches(documents)):
            for i, row in zip(indices, probabilities, strict=True):
                found[i] = self._gains(documents[i], row[:, documents[i].label])
        return [found[i] for i in range(len(documents))]

    def _gains(self, document: Document, p: np.ndarray) -> np.ndarray:
        """p [L]: after each token, special ones among them. What unknown tokens do is of no word."""
        before, gains = len(self.frame.before), np.zeros(len(document.words), dtype=np.float32)
        for word in document.known:
            first, last = document.pieces[word][[0, -1]] + before
            gains[word] = p[last] - p[first - 1]
        return gains

    def _batches(self, documents: Sequence[Document]) -> LabelledBatches:
        sides = len(self.frame.before), len(self.frame.after)
        ids = [np.concatenate([self.frame.before, d.ids, self.frame.after]) for d in documents]
        labels = [np.where(np.pad(d.word_ids, sides, constant_values=-1) >= 0, d.label, IGNORE) for d in documents]
        return LabelledBatches(ids, labels, self.pad_id)
