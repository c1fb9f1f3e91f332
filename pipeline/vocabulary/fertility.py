"""In how many tokens a tokenizer reads a text: its fertility (Rust et al. 2021)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fertility:
    """Of a text, by words as `pipeline/tokens.py` numbers them."""

    words: int
    tokens: int
    """Of words."""
    unknown: int
    """Tokens that are the unknown one: of no word."""
    whole: int
    """Words of one token."""

    @classmethod
    def of(cls, rows: Iterable[tuple[np.ndarray, np.ndarray]], unknown_id: int | None) -> "Fertility":
        """Of `input_ids` and `word_ids`, both int [L], of each sequence."""
        words = tokens = unknown = whole = 0
        for ids, numbers in rows:
            _, sizes = np.unique(numbers[numbers >= 0], return_counts=True)
            words, tokens, whole = words + len(sizes), tokens + int(sizes.sum()), whole + int((sizes == 1).sum())
            unknown += int((ids == unknown_id).sum()) if unknown_id is not None else 0
        return cls(words, tokens, unknown, whole)

    @property
    def tokens_per_word(self) -> float:
        """1 = every word is a token."""
        return self.tokens / max(self.words, 1)

    @property
    def unknown_rate(self) -> float:
        """Share of the tokens that are unknown."""
        return self.unknown / max(self.tokens + self.unknown, 1)

    @property
    def whole_share(self) -> float:
        """Share of the words that are one token."""
        return self.whole / max(self.words, 1)
