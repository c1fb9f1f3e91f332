"""What is said of words whatever they weigh: these are never chosen, those are salient."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.masking.exclusion import admitted, excluded_words
from pipeline.masking.terms import Terms, joined, spans_of


@dataclass(frozen=True)
class Marks:
    """Words to exclude (exclusion.py), and terms to mask whole and first (terms.py)."""

    stop_words: frozenset[str]
    keep_punctuation: bool
    terms: Terms

    def put(self, word_ids: np.ndarray, importance: np.ndarray, words: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """word_ids int32 [L], each term one word; importance uint8 [L]: 0 of what is never chosen, else 1-255."""
        importance = admitted(importance, word_ids, excluded_words(words, self.stop_words, self.keep_punctuation))
        spans = spans_of(words, self.terms) if self.terms else []
        return joined(word_ids, importance, spans) if spans else (word_ids, importance)
