"""The keyword tagger: learns from the scores of the task text to find important words in any text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from transformers import AutoModelForTokenClassification, PreTrainedModel

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_tokenizer, load_trained
from pipeline.prediction import predicted_batches
from pipeline.run.processes import processes

LABELS = ["other", "keyword"]


def tagger_labels(word_ids: np.ndarray, keyword: np.ndarray) -> np.ndarray:
    """int64 [L]: 1 on every piece of a keyword, 0 on other words, IGNORE on special tokens."""
    return np.where(word_ids >= 0, keyword.astype(np.int64), IGNORE)


def evaluate_tagger(model: PreTrainedModel, batches: LabelledBatches) -> dict[str, float]:
    """Precision, recall and F1 of keyword tokens."""
    hits = predicted = true = 0
    for indices, probabilities in predicted_batches(model, batches):
        for i, row in zip(indices, probabilities.argmax(-1), strict=True):
            labels = batches.labels[i]
            guess, truth = row[: len(labels)] == 1, labels == 1
            hits += int((guess & truth).sum())
            predicted += int((guess & (labels != IGNORE)).sum())
            true += int(truth.sum())
    return precision_recall_f1(hits, predicted, true)


class Tagger:
    """A trained tagger: ids in, the probability that each token belongs to a keyword out."""

    def __init__(self, folder: Path) -> None:
        self.model = load_trained(AutoModelForTokenClassification, folder).to(processes().device)
        self.tokenizer = load_tokenizer(folder)

    def probabilities(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """float32 [L] for each sequence of ids [L]."""
        result: list[np.ndarray] = [np.array([])] * len(sequences)
        batches = LabelledBatches(list(sequences), [0] * len(sequences), self.tokenizer.pad_token_id)
        for indices, probabilities in predicted_batches(self.model, batches):
            for i, row in zip(indices, probabilities[..., 1], strict=True):
                result[i] = row[: len(sequences[i])]
        return result


def word_importance(word_ids: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """uint8 [L]: the highest probability among the pieces of a word, 0-255 on each of them; 0 on special tokens."""
    inside = word_ids >= 0
    best = np.zeros(int(word_ids.max(initial=-1)) + 1, dtype=np.float32)
    np.maximum.at(best, word_ids[inside], probability[inside])
    importance = np.zeros(len(word_ids), dtype=np.uint8)
    importance[inside] = np.round(best[word_ids[inside]] * 255).astype(np.uint8)
    return importance
