"""The keyword tagger: learns from the scores of the task text to find important words in any text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from transformers import AutoModelForTokenClassification, PreTrainedModel

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.calibration import Calibration
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_tokenizer, load_trained
from pipeline.prediction import predicted_tokens, takes_rows
from pipeline.run.processes import processes
from pipeline.scoring.importance import Scale

LABELS = ["other", "keyword"]


def tagger_labels(word_ids: np.ndarray, keyword: np.ndarray) -> np.ndarray:
    """int64 [L]: 1 on every piece of a keyword, 0 on other words, IGNORE on special tokens."""
    return np.where(word_ids >= 0, keyword.astype(np.int64), IGNORE)


def importance_labels(word_ids: np.ndarray, importance: np.ndarray, scale: Scale) -> np.ndarray:
    """int64 [L]: the importance 1-255 of each token's word on the common scale, IGNORE on special tokens."""
    return np.where(word_ids >= 0, scale(importance).astype(np.int64), IGNORE)


def scale_of_words(rows: Sequence[Mapping[str, np.ndarray]]) -> Scale:
    """The scale on which as many words are important as are keywords; rows of word_ids, importance, keyword [L]."""
    first = [_first_pieces(row["word_ids"]) for row in rows]
    one_a_word = lambda name: np.concatenate([row[name][at] for row, at in zip(rows, first, strict=True)])
    return Scale.of(one_a_word("importance"), one_a_word("keyword").mean())


def _first_pieces(word_ids: np.ndarray) -> np.ndarray:
    """int [words]: where each word begins."""
    words, places = np.unique(word_ids, return_index=True)
    return places[words >= 0]


def tagged_tokens(model: PreTrainedModel, batches: LabelledBatches) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities float32 [N, 2], truth bool [N]) of all tokens that have a label."""
    found, truth = [], []
    for indices, probabilities in predicted_tokens(model, batches, takes_rows(model)):
        labels = np.concatenate([batches.labels[i] for i in indices])
        found.append(probabilities[labels != IGNORE])
        truth.append(labels[labels != IGNORE] == 1)
    return np.concatenate(found), np.concatenate(truth)


def tagger_metrics(probabilities: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of keyword tokens, and their average precision, which knows no border at one half.

    probabilities [N, 2], truth bool [N].
    """
    from sklearn.metrics import average_precision_score

    guess = probabilities.argmax(-1) == 1
    found = precision_recall_f1(int((guess & truth).sum()), int(guess.sum()), int(truth.sum()))
    return found | {"average_precision": 100 * float(average_precision_score(truth, probabilities[:, 1]))}


def evaluate_tagger(model: PreTrainedModel, batches: LabelledBatches) -> dict[str, float]:
    """The same of a model, as it is."""
    return tagger_metrics(*tagged_tokens(model, batches))


class Tagger:
    """A trained tagger: ids in, the probability that each token belongs to a keyword out, calibrated if it was."""

    def __init__(self, folder: Path) -> None:
        self.model = load_trained(AutoModelForTokenClassification, folder).to(processes().device)
        self.tokenizer, self.calibration = load_tokenizer(folder), Calibration.load(folder)
        self.rows = takes_rows(self.model)

    def probabilities(self, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
        """float32 [L] for each sequence of ids [L]."""
        result: list[np.ndarray] = [np.array([])] * len(sequences)
        batches = LabelledBatches(list(sequences), [0] * len(sequences), self.tokenizer.pad_token_id)
        for indices, probabilities in predicted_tokens(self.model, batches, self.rows):
            believed = self.calibration(probabilities) if self.calibration else probabilities
            ends = np.cumsum(batches.lengths(indices))
            for i, row in zip(indices, np.split(believed[:, 1], ends[:-1]), strict=True):
                result[i] = row
        return result


def word_importance(word_ids: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """uint8 [L]: the highest probability among the pieces of a word, 0-255 on each of them; 0 on special tokens."""
    inside = word_ids >= 0
    best = np.zeros(int(word_ids.max(initial=-1)) + 1, dtype=np.float32)
    np.maximum.at(best, word_ids[inside], probability[inside])
    importance = np.zeros(len(word_ids), dtype=np.uint8)
    importance[inside] = np.round(best[word_ids[inside]] * 255).astype(np.uint8)
    return importance
