"""Salient spans: the user's terms, masked whole and before everything else (Guu et al. 2020, REALM; ERNIE).

A list of terms may come from anywhere, a named-entity tagger among others.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

Terms = dict[str, list[tuple[str, ...]]]
"""First word -> the terms that begin with it as words of lower case, longest first."""


def terms_of(lines: Iterable[str], words: Callable[[str], list[str]]) -> Terms:
    """Terms, one a line, cut into words as the text is."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for line in lines:
        if cut := tuple(word.lower() for word in words(line.strip())):
            found.setdefault(cut[0], set()).add(cut)
    return {first: sorted(terms, key=lambda term: (-len(term), term)) for first, terms in found.items()}


def spans_of(words: Sequence[str], terms: Terms) -> list[tuple[int, int]]:
    """[first, end) of each occurrence of a term among words, the longest at each place, none in another."""
    lower, found, place = [word.lower() for word in words], [], 0
    while place < len(lower):
        fits = (term for term in terms.get(lower[place], ()) if tuple(lower[place : place + len(term)]) == term)
        length = len(next(fits, ()))
        if length:
            found.append((place, place + length))
        place += max(length, 1)
    return found


def joined(
    word_ids: np.ndarray, importance: np.ndarray, spans: Sequence[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Each span as one word of importance 255: word_ids int32 [L] and importance uint8 [L], made anew.

    A span takes the number of its first word.
    """
    number = np.arange(max(int(word_ids.max(initial=-1)) + 1, *(end for _, end in spans), 1))
    salient = np.zeros(len(number), dtype=bool)
    for first, end in spans:
        number[first:end], salient[first:end] = first, True
    inside = word_ids >= 0
    words = np.where(inside, number[word_ids], -1).astype(np.int32)
    return words, np.where(inside & salient[word_ids], 255, importance).astype(np.uint8)
