"""Token importance by the sequential buffer of Train No Evil (Gu et al. 2020, section 2.2).

Words are handed to a fine-tuned classifier one by one. With P = P(y | whole text) and p_i = P(y | buffer + word i),
word i is important when P - p_i < delta; an important word is not kept in the buffer, so that the next word has to
convince on its own. Where we leave the paper:

- words, not word pieces, are the units (`unit = "piece"` for parity);
- by default a word must also *raise* the probability, p_i - P(y | buffer) > min_gain: without it a classifier whose
  prior favours y calls every word of a text of class y important (`min_gain = -1` for parity);
- all documents advance together, in batches of like length, padded to their own longest: the reference pads to 128.

The cost is a forward a word, of all documents together: words x words / 2 tokens a document at most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.run.progress import Progress
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document, Scored

Probability = Callable[[list[np.ndarray], np.ndarray], np.ndarray]
"""(ids of N texts without special tokens, class of each [N]) -> probability of that class [N]."""


@dataclass(frozen=True)
class BufferConfig:
    """When a word is important."""

    delta: float = 0.05
    """A word is important when P - p_i is below this (0.05 in the paper, 0.01 in its scripts)."""
    min_gain: float = 0.0
    """... and when it raises the probability of the class by more than this; -1 = not asked, as in the paper."""
    unit: Literal["word", "piece"] = "word"
    """What enters the buffer: a word, or a single token as in the reference code."""


def buffer(config: BufferConfig, classifier: Classifier, documents: Sequence[Document]) -> list[Scored]:
    """Importance p_i - P(y | buffer), how much the word alone adds, and the decision, of every word.

    Of every token where the documents are `by_piece`. A word of unknown tokens alone has no importance. Every
    document has a label.
    """
    known = [document.known for document in documents]
    units = [[d.ids[d.pieces[i]] for i in words] for d, words in zip(documents, known, strict=True)]
    classes = np.array([document.label for document in documents])
    found = buffer_scores(units, classes, classifier, config)
    return [_spread(len(d.words), *each) for d, *each in zip(documents, known, found, strict=True)]


def _spread(count: int, known: np.ndarray, found: Scored) -> Scored:
    importance, keyword = np.zeros(count, dtype=np.float32), np.zeros(count, dtype=bool)
    importance[known], keyword[known] = found.importance, found.keyword
    return Scored(importance, keyword)


def buffer_scores(
    documents: Sequence[Sequence[np.ndarray]], classes: np.ndarray, probability: Probability, config: BufferConfig
) -> list[Scored]:
    """Scores of documents given as units of token ids (int arrays), with class int [N]."""
    state = [_Buffer(units, config) for units in documents]
    whole = probability([joined(units) for units in documents], classes)
    prior = probability([joined([])] * len(documents), classes)
    for i, buffer in enumerate(state):
        buffer.begin(float(whole[i]), float(prior[i]))
    longest = max(map(len, documents), default=0)
    line = Progress(longest, "words")
    for step in range(longest):
        alive = [i for i, units in enumerate(documents) if len(units) > step]
        p = probability([state[i].candidate(step) for i in alive], classes[alive])
        for i, value in zip(alive, p, strict=True):
            state[i].decide(step, float(value))
        line.step(f"{len(alive)} documents")
    line.close()
    return [Scored(found.importance, found.keyword) for found in state]


class _Buffer:
    """The words kept so far of one document, and what was found."""

    def __init__(self, units: Sequence[np.ndarray], config: BufferConfig) -> None:
        self.units, self.config = units, config
        self.kept = joined([])
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


def joined(units: Sequence[np.ndarray]) -> np.ndarray:
    """int32: units of ids side by side."""
    return np.concatenate([np.array([], dtype=np.int32), *units])
