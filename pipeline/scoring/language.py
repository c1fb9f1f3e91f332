"""Importance of words to a masked language model itself: what it does not know, or not yet.

Every word is masked once, whole, with those whose number leaves the same rest modulo `ROUNDS`: so a seventh of the
text is masked at a time, as in training, and neighbours are not masked together. The cost is `ROUNDS` forwards of the
text, with the head on the masked tokens alone; a forward a word would cost several times as much, and ask for
something the model was not trained on, a text with one mask.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import IGNORE, LabelledBatches, by_length
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.objectives.cross_entropy import LOGITS_AT_ONCE
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.prediction import PADDING
from pipeline.run.processes import processes
from pipeline.scoring.documents import Document, Importances
from pipeline.tokens import Frame

ROUNDS = 7
"""A seventh is BERT's 15 %."""

Measure = Callable[[Tensor, Tensor], Tensor]
"""(log-probabilities [M, vocabulary], true ids [M]) -> [M]."""


class LanguageModel:
    """A masked language model in evaluation, asked for every word once."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.objective, self.frame = MaskedLM(model.eval().to(processes().device)), Frame.of(tokenizer)
        self.pad_id, self.mask_id = tokenizer.pad_token_id, tokenizer.mask_token_id
        self.objective.eval()

    @classmethod
    def load(cls, folder: Path) -> "LanguageModel":
        """A finished one."""
        return cls(load_masked_lm(folder), load_tokenizer(folder))

    def ask(self, documents: Sequence[Document], measure: Measure) -> list[np.ndarray]:
        """float32 [L] of each document: the measure of each known token where it is masked, 0 of unknown ones."""
        starts = np.cumsum([0, *(len(document.ids) for document in documents)])
        found = np.zeros(starts[-1], dtype=np.float32)
        owners, batches = self._rounds(documents)
        for texts, places, values in self._answers(batches, measure):
            found[starts[owners[texts]] + places - len(self.frame.before)] = values
        return [found[start:end] for start, end in pairwise(starts)]

    def _rounds(self, documents: Sequence[Document]) -> tuple[np.ndarray, LabelledBatches]:
        """The document of each masked text, and the texts with the true ids of their masked tokens as labels."""
        owners, ids, labels = [], [], []
        for number, document in enumerate(documents):
            row = np.concatenate([self.frame.before, document.ids, self.frame.after]).astype(np.int64)
            word = np.full(len(row), -1)
            word[len(self.frame.before) :][: len(document.ids)] = document.word_ids
            for turn in np.unique(word[word >= 0] % ROUNDS):
                masked = (word >= 0) & (word % ROUNDS == turn)
                owners.append(number)
                ids.append(np.where(masked, self.mask_id, row))
                labels.append(np.where(masked, row, IGNORE))
        return np.array(owners, dtype=np.int64), LabelledBatches(ids, labels, self.pad_id)

    @torch.inference_mode()
    def _answers(
        self, batches: LabelledBatches, measure: Measure
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(text of each masked token, its place there, its measure), all [M], in batches of like length."""
        budget = LOGITS_AT_ONCE // self.objective.model.config.vocab_size * ROUNDS
        for indices in by_length(batches.lengths(np.arange(len(batches))), budget, PADDING):
            batch = batches.batch(indices)
            rows, places = (batch["labels"] != IGNORE).nonzero().numpy().T
            arranged = self.objective.arranged(batch)
            true = arranged.pop("targets")
            logs = self.objective.logits(**arranged).float().log_softmax(-1)
            yield indices[rows], places, measure(logs, true).cpu().numpy()


def entropy(model: LanguageModel, documents: Sequence[Document]) -> Importances:
    """How unsure the model is of a masked word: the entropy of its prediction in nats, the highest of its tokens.

    Entropy-aware masking (2026, self-entropy). High where many words fit; it does not ask which one is written.
    """
    values = model.ask(documents, lambda logs, _: -(logs.exp() * logs).sum(-1))
    return [document.best_of_words(row) for document, row in zip(documents, values, strict=True)]


def loss(model: LanguageModel, documents: Sequence[Document]) -> Importances:
    """How wrong the model is of a masked word: -log p(what is written) in nats, the highest of its tokens.

    What the model does not know yet is masked again and again in Self-Evolution (Zhong et al. 2023). Noise is not
    known either: names and typing errors are at the top; `excess_loss` leaves them out.
    """
    values = model.ask(documents, _surprise)
    return [document.best_of_words(row) for document, row in zip(documents, values, strict=True)]


def excess_loss(model: LanguageModel, reference: LanguageModel, documents: Sequence[Document]) -> Importances:
    """What a model adapted to good text knows better than this one: its loss minus the reference's, in nats.

    Rho-1 (Lin et al. 2024), there of causal models and in every batch, here of masked ones and once. Positive: it can
    be learned, and the reference's text teaches it. About 0: known to both, or noise to both. Negative: the reference
    forgot it.
    """
    both = (asked.ask(documents, _surprise) for asked in (model, reference))
    return [d.best_of_words(own - other) for d, own, other in zip(documents, *both, strict=True)]


def _surprise(logs: Tensor, true: Tensor) -> Tensor:
    return -logs.gather(-1, true[:, None])[:, 0]
