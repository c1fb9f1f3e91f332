"""Sequence labelling: a tag a token, spans of a type."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.batches import IGNORE
from pipeline.calibration import calibration_error, reliability
from pipeline.finetuning.crf import at_words, marginals, viterbi
from pipeline.finetuning.inputs import TaggedBatches
from pipeline.finetuning.spans import allowed, count_spans, tags_of_scheme
from pipeline.finetuning.task import Answers, Counts, LogitTask, Row, Task
from pipeline.metrics import mean_f1, precision_recall_f1
from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.prediction import logits_of


@dataclass(frozen=True)
class Tags(LogitTask):
    """One tag a token; F1 of the spans they mark."""

    kind = "tags"
    column = "tags"
    metrics = ("f1", "macro_f1", "accuracy")

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Task":
        """All tags of the scheme, for the types there are."""
        return cls(tags_of_scheme(tag for row in rows for tag in row["tags"]))

    def target(self, row: Row) -> np.ndarray:
        """int64 [tokens]."""
        return np.array([self.place(tag) for tag in row["tags"]], dtype=np.int64)

    def truth(self, rows: Sequence[Row]) -> np.ndarray:
        """int64 [tokens of all rows]."""
        return np.concatenate([self.target(row) for row in rows])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of the tags; a model with a CRF has a loss of its own."""
        return summed_cross_entropy(logits, labels)

    def scores(self, logits: Tensor) -> Tensor:
        """Probabilities of each token alone."""
        return logits.softmax(-1)

    def decide(self, scores: np.ndarray) -> np.ndarray:
        """The likeliest tag of each token alone."""
        return scores.argmax(1)

    @torch.inference_mode()
    def answers(self, model: nn.Module, batches: TaggedBatches) -> Answers:
        """The likeliest tags of a text that the scheme allows; O where a token was cut off or has no id."""
        scores = np.zeros((batches.counts.sum(), len(self.names)), dtype=np.float32)
        scores[:, 0] = 1
        predicted, firsts = np.zeros(len(scores), dtype=np.int64), np.cumsum(batches.counts) - batches.counts
        for indices, logits, labels in logits_of(model, batches):
            tags, shares = self._decoded(getattr(model, "crf", None), logits, labels)
            for i, row, share in zip(indices, tags.cpu().numpy(), shares.cpu().numpy(), strict=True):
                places = firsts[i] + batches.words[i]
                predicted[places], scores[places] = row[: len(places)], share[: len(places)]
        return Answers(scores, predicted)

    def _decoded(self, crf: nn.Module | None, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Tags [B, W] and probabilities [B, W, C]; labels [B, L] say where words begin."""
        emissions, inside = at_words(logits, labels != IGNORE)
        free = [logits.new_zeros(len(self.names)), logits.new_zeros(2 * (len(self.names),))]
        start, between, end = (crf.start, crf.transitions, crf.end) if crf else (*free, free[0])
        forbid = [torch.from_numpy(~rule).to(logits.device) for rule in allowed(self.names)]
        ruled = [x.masked_fill(no, -torch.inf) for x, no in zip((start, between, end), forbid, strict=True)]
        shares = marginals(emissions, inside, start, between, end) if crf else emissions.softmax(-1)
        return viterbi(emissions, inside, *ruled), shares

    def measure(self, truth: np.ndarray, answers: Answers, counts: Counts) -> dict[str, float]:
        """Precision, recall and F1 of spans, mean F1 over types, accuracy and calibration error of tokens."""
        right, confidence = answers.predicted == truth, answers.scores[np.arange(len(truth)), answers.predicted]
        return precision_recall_f1(*np.sum(list(counts.values()) or [(0, 0, 0)], axis=0)) | {
            "macro_f1": mean_f1(counts.values())["macro_f1"],
            "accuracy": 100 * float(right.mean()),
            "calibration_error": calibration_error(reliability(confidence, right)),
        }

    def counts(self, truth: np.ndarray, answers: Answers, lengths: np.ndarray) -> Counts:
        """Of every type of span."""
        return count_spans(self._texts(truth, lengths), self._texts(answers.predicted, lengths))

    def _texts(self, tags: np.ndarray, lengths: np.ndarray) -> list[list[str]]:
        return [[self.names[i] for i in text] for text in np.split(tags, np.cumsum(lengths)[:-1])]

    def told(self, answers: Answers, lengths: np.ndarray) -> list[Row]:
        """The tags, and the probability of each."""
        sure = np.split(answers.scores[np.arange(len(answers.predicted)), answers.predicted], np.cumsum(lengths)[:-1])
        texts = self._texts(answers.predicted, lengths)
        return [{"predicted": tags, "probabilities": p} for tags, p in zip(texts, sure, strict=True)]
