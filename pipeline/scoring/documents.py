"""A document as scorers see it, and what they say of it: importances of words, in the document's order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

Importances = list[np.ndarray]
"""Of N documents: float32 [words] each, higher is more important."""


@dataclass(frozen=True)
class Document:
    """A text, or a stretch of one, without special tokens."""

    id: str
    ids: np.ndarray  # int32 [L]
    word_ids: np.ndarray  # int32 [L]: place in `words` of the word each token belongs to, -1 for unknown tokens
    words: list[str]  # as written
    label: int = -1  # class, where it is known

    @classmethod
    def of(cls, name: str, ids: np.ndarray, word_ids: np.ndarray, words: Sequence[str], label: int = -1) -> "Document":
        """From the words of the whole text, of which `ids` may be a stretch: those outside are left out."""
        first, last = int(word_ids[word_ids >= 0].min(initial=len(words))), int(word_ids.max(initial=-1)) + 1
        return cls(name, ids, np.where(word_ids >= 0, word_ids - first, -1), list(words[first:last]), label)

    @cached_property
    def pieces(self) -> list[np.ndarray]:
        """Of each word int [n]: where its tokens stand. Empty for a word of unknown tokens alone."""
        inside = np.flatnonzero(self.word_ids >= 0)
        return np.split(inside, np.searchsorted(self.word_ids[inside], np.arange(1, len(self.words) + 1)))[:-1]

    @property
    def known(self) -> np.ndarray:
        """int [n]: the words that have a token."""
        return np.unique(self.word_ids[self.word_ids >= 0])

    def to_tokens(self, values: np.ndarray) -> np.ndarray:
        """[L]: the value of each token's word, zero where there is none; values [words]."""
        inside = self.word_ids >= 0
        result = np.zeros(len(self.ids), dtype=values.dtype)
        result[inside] = values[self.word_ids[inside]]
        return result

    def best_of_words(self, values: np.ndarray) -> np.ndarray:
        """float32 [words]: the highest value among the tokens of each word, 0 where it has none; values [L]."""
        result = np.full(len(self.words), -np.inf, dtype=np.float32)
        np.maximum.at(result, self.word_ids[self.word_ids >= 0], values[self.word_ids >= 0])
        return np.where(np.isfinite(result), result, 0)

    def sum_of_words(self, values: np.ndarray) -> np.ndarray:
        """float32 [words]: the sum over the tokens of each word; values [L]."""
        inside = self.word_ids >= 0
        return np.bincount(self.word_ids[inside], values[inside], len(self.words)).astype(np.float32)


def by_piece(document: Document) -> Document:
    """The document with each token a word of its own."""
    inside = document.word_ids >= 0
    numbers = np.where(inside, np.cumsum(inside) - 1, -1).astype(np.int32)
    return replace(document, word_ids=numbers, words=[document.words[i] for i in document.word_ids[inside]])


@dataclass(frozen=True)
class Scored:
    """Of one document: importance and decision of each word, and whether the classifier was right on the whole."""

    importance: np.ndarray  # float32 [words]
    keyword: np.ndarray  # bool [words]
    correct: bool = True
