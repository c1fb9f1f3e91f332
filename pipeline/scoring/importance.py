"""From raw scores, whose unit is the scorer's, to decisions and to importances that mean the same for every scorer."""

from dataclasses import dataclass

import numpy as np

from pipeline.masking.config import IMPORTANT

LEVELS = 255
"""Importances of words: 1 to 255. 0 is never to be chosen, and left to tokens that belong to no word."""


def top_edge(values: np.ndarray, share: float | np.ndarray) -> np.ndarray:
    """The value above which at most `share` of the values are, fewer where it would fall among equals; 0 of none."""
    ranked = np.sort(values) if len(values) else np.zeros(1, dtype=np.float32)
    return ranked[np.maximum(len(ranked) - 1 - np.floor(np.asarray(share) * len(ranked)).astype(np.int64), 0)]


@dataclass(frozen=True)
class Scale:
    """A monotone map of raw scores to importances 1 to 255, so that "important" is one share of the words for all.

    The top `share` of the sample has IMPORTANT and more; above and below that edge importances follow the rank in the
    sample, equal steps holding equally many words. Equal scores stay equal: where many are, as with a lexicon that
    does not know most words, fewer are important.
    """

    edges: np.ndarray  # float32 [254], never decreasing: importance is 1 + the edges below the score

    @classmethod
    def of(cls, sample: np.ndarray, share: float) -> "Scale":
        """Fitted on scores of many words; sample [N]."""
        below, above = np.linspace(1, share, IMPORTANT)[1:], np.linspace(share, 0, LEVELS - IMPORTANT + 2)[1:-1]
        return cls(top_edge(sample, np.concatenate([below, above])).astype(np.float32))

    def __call__(self, importance: np.ndarray) -> np.ndarray:
        """uint8 [words]."""
        return (1 + np.searchsorted(self.edges, importance, side="left")).astype(np.uint8)
