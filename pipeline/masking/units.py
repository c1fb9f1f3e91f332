"""What is chosen as a whole: words, tokens, or neighbouring words joined."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pipeline.draws import JOIN, fraction
from pipeline.masking.config import MaskingConfig
from pipeline.masking.rows import Rows, ranges, steps, sums

_GEOMETRIC = 0.2 * 0.8 ** np.arange(10)
LENGTHS = {
    "ngram": np.array([0.4, 0.3, 0.2, 0.1]),
    "span": _GEOMETRIC / _GEOMETRIC.sum(),
}
"""Probability of 1, 2, 3 … words: MacBERT; SpanBERT, cut at ten and scaled to one, 3.8 on average."""


@dataclass(frozen=True)
class Units:
    """The units of a batch side by side, row after row; together they hold all tokens that may be chosen."""

    places: np.ndarray  # int64 [W] where in the flat columns these tokens are
    scores: np.ndarray  # uint8 [W] their importance
    start: np.ndarray  # int64 [U] where among them a unit begins; it ends where the next begins
    row: np.ndarray  # int64 [U]
    first: np.ndarray  # int64 [U] position of its first token in the sequence
    ends: np.ndarray  # int64 [B + 1] where among these tokens each row begins, and the last one ends
    tokens: np.ndarray  # int64 [B] tokens of words in each row, those that may not be chosen included

    @classmethod
    def of(cls, config: MaskingConfig, rows: Rows, word_ids: np.ndarray, importance: np.ndarray) -> "Units":
        """Those of flat columns: word_ids int [T], -1 outside words; importance uint8 [T], 0 for never."""
        places = np.flatnonzero(word_ids >= 0)
        tokens = steps(np.searchsorted(places, rows.offsets))
        scores = importance[places]
        if not scores.all():
            eligible = _eligible(scores, tokens)
            places, scores = places[eligible], scores[eligible]
        ends = np.searchsorted(places, rows.offsets)
        start = np.arange(len(places)) if config.by_token else _changes(word_ids[places], ends)
        row = np.repeat(np.arange(len(rows)), steps(np.searchsorted(start, ends)))
        words = cls(places, scores, start, row, places[start] - rows.offsets[row], ends, tokens)
        return words if config.by_token or config.unit == "word" else words.joined(LENGTHS[config.unit], rows)

    def joined(self, lengths: np.ndarray, rows: Rows) -> "Units":
        """Neighbouring words as one unit: rows are cut into pieces of 1, 2, 3 … words, with probabilities `lengths`.

        Nothing is joined over the end of a row, a special token, or a word that is never chosen.
        """
        drawn = fraction(rows.draw(JOIN, self.row, self.first))
        count = 1 + np.searchsorted(np.cumsum(lengths)[:-1], drawn, side="right")
        begins = np.flatnonzero(_pieces(self._apart(), count))
        return replace(self, start=self.start[begins], row=self.row[begins], first=self.first[begins])

    @cached_property
    def length(self) -> np.ndarray:
        """int64 [U]: tokens of each unit."""
        return steps(np.append(self.start, len(self.places)))

    @cached_property
    def importance(self) -> np.ndarray:
        """uint8 [U]: of each unit's most important token."""
        return np.maximum.reduceat(self.scores, self.start)

    def _apart(self) -> np.ndarray:
        """bool [U]: a word does not follow on the one before it."""
        follows = self.places[self.start[1:]] == self.places[self.start[1:] - 1] + 1
        return np.append(True, ~follows | (self.row[1:] != self.row[:-1]))[: len(self)]

    def __len__(self) -> int:
        return len(self.row)

    def tokens_of(self, units: np.ndarray) -> np.ndarray:
        """int64 [M]: where in the flat columns the tokens of these units are."""
        return self.places[ranges(self.start[units], self.length[units])]


def _eligible(scores: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """bool [W]: the tokens that may be chosen. A row of zeros only is one that nobody scored: all of it may."""
    row = np.repeat(np.arange(len(tokens)), tokens)
    return (scores > 0) | (sums(row, scores, len(tokens)) == 0)[row]


def _changes(words: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """int64 [U]: where another word begins than that of the token before, or another row, which `ends` gives."""
    begins = np.ones(len(words) + 1, dtype=bool)
    np.not_equal(words[1:], words[:-1], out=begins[1:-1])
    begins[ends] = True
    return np.flatnonzero(begins[:-1])


def _pieces(apart: np.ndarray, count: np.ndarray) -> np.ndarray:
    """bool [U]: where a piece begins, if the one that begins at i would have `count[i]` words and none passes `apart`.

    Pieces follow each other from the left; pointer doubling finds all in as many rounds as the longest run has bits.
    """
    runs = np.append(np.flatnonzero(apart), len(apart))
    lengths = steps(runs)
    jump = np.append(np.minimum(np.arange(len(apart)) + count, np.repeat(runs[1:], lengths)), len(apart))
    begins = np.append(apart, True)
    for _ in range(int(lengths.max(initial=0)).bit_length()):
        begins[jump[begins]] = True
        jump = jump[jump]
    return begins[:-1]
