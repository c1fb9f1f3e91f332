"""Token importance by the sequential buffer of Train No Evil (Gu et al. 2020, section 2.2).

Words are handed to a fine-tuned classifier one by one. With P = P(y | whole text) and p_i = P(y | buffer + word i),
word i is important when P - p_i < delta; an important word is not kept in the buffer, so that the next word has to
convince on its own. Where we leave the paper:

- words, not word pieces, are the units (`unit = "piece"` for parity);
- by default a word must also *raise* the probability, p_i - P(y | buffer) > min_gain: without it a classifier whose
  prior favours y calls every word of a text of class y important (`min_gain = -1` for parity);
- all documents advance together, in batches of like length, padded to their own longest: the reference pads to 128.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from transformers import PreTrainedModel

from pipeline.batches import LabelledBatches
from pipeline.prediction import predict
from pipeline.run.processes import Progress, processes
from pipeline.tokens import Frame

Probability = Callable[[list[np.ndarray], np.ndarray], np.ndarray]
"""(ids of N texts without special tokens, class of each [N]) -> probability of that class [N]."""


@dataclass(frozen=True)
class Scored:
    """Of one document: importance and decision of each unit, and whether the classifier was right on the whole."""

    importance: np.ndarray  # float32 [units]: p_i - P(y | buffer), how much the word alone adds
    keyword: np.ndarray  # bool [units]
    correct: bool


@dataclass(frozen=True)
class BufferConfig:
    """When a word is important."""

    delta: float = 0.05
    """A word is important when P - p_i is below this (0.05 in the paper, 0.01 in its scripts)."""
    min_gain: float = 0.0
    """... and when it raises the probability of the class by more than this; -1 = not asked, as in the paper."""
    unit: Literal["word", "piece"] = "word"
    """What enters the buffer: a word, or a single token as in the reference code."""


def buffer_scores(
    documents: Sequence[Sequence[np.ndarray]],
    classes: np.ndarray,
    probability: Probability,
    correct: np.ndarray,
    config: BufferConfig,
) -> list[Scored]:
    """Scores of documents given as units of token ids (int arrays), with class int [N] and bool [N]: classified right.

    Documents classified wrongly are not scored: all zeros, `correct` False.
    """
    state = [_Buffer(units, config) for units in documents]
    empty = np.array([], dtype=np.int32)
    whole = probability([_joined(units) for units in documents], classes)
    prior = probability([empty] * len(documents), classes)
    for i, buffer in enumerate(state):
        buffer.begin(float(whole[i]), float(prior[i]))
    longest = max((len(units) for units, right in zip(documents, correct, strict=True) if right), default=0)
    line = Progress(longest, "words")
    for step in range(longest):
        alive = [i for i, units in enumerate(documents) if correct[i] and len(units) > step]
        p = probability([state[i].candidate(step) for i in alive], classes[alive])
        for i, value in zip(alive, p, strict=True):
            state[i].decide(step, float(value))
        line.step(f"{len(alive)} documents")
    line.close()
    return [Scored(b.importance, b.keyword, bool(right)) for b, right in zip(state, correct, strict=True)]


class _Buffer:
    """The words kept so far of one document, and what was found."""

    def __init__(self, units: Sequence[np.ndarray], config: BufferConfig) -> None:
        self.units, self.config = units, config
        self.kept = np.array([], dtype=np.int32)
        self.importance = np.zeros(len(units), dtype=np.float32)
        self.keyword = np.zeros(len(units), dtype=bool)

    def begin(self, whole: float, prior: float) -> None:
        self.whole, self.p_kept = whole, prior

    def candidate(self, step: int) -> np.ndarray:
        return np.concatenate([self.kept, self.units[step]])

    def decide(self, step: int, p: float) -> None:
        gain = p - self.p_kept
        self.importance[step] = gain
        self.keyword[step] = self.whole - p < self.config.delta and gain > self.config.min_gain
        if not self.keyword[step]:
            self.kept, self.p_kept = self.candidate(step), p


def _joined(units: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.array([], dtype=np.int32), *units])


class Classifier:
    """A fine-tuned classifier as a function of token ids without special tokens."""

    def __init__(self, model: PreTrainedModel, frame: Frame, pad_id: int) -> None:
        self.model, self.frame, self.pad_id = model.to(processes().device), frame, pad_id

    def probabilities(self, texts: list[np.ndarray]) -> np.ndarray:
        """float32 [N, classes]."""
        rows = [np.concatenate([self.frame.before, text, self.frame.after]).astype(np.int64) for text in texts]
        return predict(self.model, LabelledBatches(rows, [0] * len(rows), self.pad_id))

    def __call__(self, texts: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
        """float32 [N]: of one class each."""
        return self.probabilities(texts)[np.arange(len(texts)), classes]
