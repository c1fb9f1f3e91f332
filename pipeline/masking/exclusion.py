"""Words that are never predicted, whatever the policy: their importance is 0, that of all others 1-255."""

import string
import unicodedata
from collections.abc import Sequence

import numpy as np


def excluded_words(words: Sequence[str], stop_words: frozenset[str], keep_punctuation: bool) -> np.ndarray:
    """bool [words]: those among `stop_words` (of lower case), and those of punctuation only unless it is kept.

    Punctuation is what BERT's tokenizer calls so: Unicode's categories P*, and the symbols of ASCII.
    """
    if not stop_words and keep_punctuation:
        return np.zeros(len(words), dtype=bool)
    found = [word.lower() in stop_words or (not keep_punctuation and _is_punctuation(word)) for word in words]
    return np.array(found, dtype=bool)


def admitted(importance: np.ndarray, word_ids: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """uint8 [L]: importance uint8 [L], made 0 for tokens of excluded words and outside words, at least 1 elsewhere.

    word_ids int [L], -1 outside words; excluded bool [words], by word number.
    """
    found = np.maximum(importance, np.uint8(1))
    found[np.append(excluded, True)[word_ids]] = 0  # -1 is the one at the end
    return found


def _is_punctuation(word: str) -> bool:
    return bool(word) and all(c in string.punctuation or unicodedata.category(c)[0] == "P" for c in word)
