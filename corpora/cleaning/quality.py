"""Text that repeats itself, or is no running text: the rules of Gopher (Rae et al. 2021), for two kinds of script.

    rows = of_quality(rows, "zh", reject)

The rules were made for English web pages of fifty words and more, and are asked of nothing shorter: two of six words
are soon the same, and reviews and titles are what users adapt to. Where a language writes no blanks, characters are
looked at, three for a word of a run: at the 1.7 that a Chinese word has on average, names and terms, which are long
there, would throw out one in thirteen abstracts of Chinese science (docs/corpora.md has the shares). For the same
reason the most frequent run must stand three times, and runs are asked for from a hundred words on. What asks for
words as such in English (their mean length) has no counterpart, and throws away good Chinese in other tools.

Where we leave the paper beyond that: shares are of units (words, or characters) and not of the letters in them, and
paragraphs are lines.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from corpora.cleaning.contamination import Units, characters, hashed_runs, unspaced, words
from corpora.cleaning.known import known
from corpora.keeping import Reject
from corpora.parquet import Row
from corpora.stop_words import stop_words

JUDGED, JUDGED_BY_RUNS = 50, 100
"""Words from which on a document is judged at all, and by its runs."""
CHARACTERS_A_WORD, CHARACTERS_OF_A_RUN = 1.7, 3.0
"""Of Chinese: on average, and for each word of a run that Gopher asks for."""
LEAST = 3
"""Times that a most frequent run stands."""

TOP = {2: 0.20, 3: 0.18, 4: 0.16}
"""Words of a run -> share of a document that its most frequent one may take."""
AGAIN = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}
"""Words of a run -> share of a document that stands in runs which stood there before."""
LINES, LINE_CHARACTERS = 0.30, 0.20
"""Share of lines, and of the characters in them, that stood there before."""
SYMBOLS, BULLETS, ELLIPSES, LETTERED = 0.10, 0.90, 0.30, 0.60
"""`#` and `…` a word; lines that begin with a bullet; lines that end in an ellipsis; characters that are letters,
digits or ideographs (Gopher: four fifths of the words have a letter)."""
FUNCTION_WORDS = 2
"""Different ones that running text has at least."""

_SYMBOL = re.compile(r"#|…+|\.{3,}")
_BULLET = re.compile(r"^\s*[•‣▪●○◦·*＊-]\s")
_ELLIPSIS = re.compile(r"(…|\.{3}|。。。)\s*$")


@dataclass(frozen=True)
class Rules:
    """The rules for text of a language."""

    units: Units
    a_word: float
    """Units of a word."""
    of_a_run: float
    """Units for each word of a run."""
    function_words: frozenset[str]

    @classmethod
    def of(cls, language: str) -> "Rules":
        """For text of a language; without a list of its function words, these are not asked for."""
        try:
            known = stop_words(language)
        except ValueError:
            known = frozenset()
        if unspaced(language):
            return cls(characters, CHARACTERS_A_WORD, CHARACTERS_OF_A_RUN, known)
        return cls(words, 1.0, 1.0, known)

    def fault(self, text: str) -> str | None:
        """Why a text is not worth learning from, if it is not."""
        units = self.units(text)
        count = len(units) / self.a_word
        if count < JUDGED:
            return None
        if fault := _of_lines([line for line in text.split("\n") if line.strip()]):
            return fault
        if len(_SYMBOL.findall(text)) > SYMBOLS * count or _lettered(text) < LETTERED:
            return "mostly_symbols"
        if count >= JUDGED_BY_RUNS and self._repeats(units):
            return "repeats_itself"
        return "no_function_words" if self._functions(text) < min(FUNCTION_WORDS, len(self.function_words)) else None

    def _repeats(self, units: np.ndarray) -> bool:
        """Whether runs of words are too much of the whole."""
        runs = lambda length: round(length * self.of_a_run)
        return _any_above((top_share(units, runs(n)), share) for n, share in TOP.items()) or _any_above(
            (share_again(units, runs(n)), share) for n, share in AGAIN.items()
        )

    def _functions(self, text: str) -> int:
        """Different function words in a text; where no blanks stand between words, characters of it that are one."""
        found = set(text) if self.units is characters else set(text.lower().split())
        return len(found & self.function_words)


def _any_above(found: Iterable[tuple[float, float]]) -> bool:
    """Whether a share is above its limit, of runs ever longer: where none comes again, no longer one does."""
    for share, limit in found:
        if share > limit or not share:
            return share > limit
    return False


def top_share(units: np.ndarray, length: int) -> float:
    """Of a text's units [L] the share that its most frequent run of `length` takes; 0 where none is frequent."""
    runs, _ = hashed_runs([units], length)
    most = int(np.unique(runs, return_counts=True)[1].max(initial=0))
    return most * length / len(units) if most >= LEAST else 0.0


def share_again(units: np.ndarray, length: int) -> float:
    """Of a text's units [L] the share in runs of `length` that stood there before; each counts once."""
    runs, _ = hashed_runs([units], length)
    again = np.ones(len(runs), dtype=bool)
    again[np.unique(runs, return_index=True)[1]] = False
    covered = np.zeros(len(units) + 1, dtype=np.int64)
    np.add.at(covered, np.flatnonzero(again), 1)
    np.add.at(covered, np.flatnonzero(again) + length, -1)
    return float(np.count_nonzero(np.cumsum(covered)[:-1])) / max(len(units), 1)


def _of_lines(lines: list[str]) -> str | None:
    """What is wrong with the lines of a text, of three at least."""
    if len(lines) < 3:
        return None
    counts = Counter(line.strip() for line in lines)
    again = {line: count - 1 for line, count in counts.items() if count > 1}
    length = sum(len(line) * count for line, count in again.items())
    if sum(again.values()) > LINES * len(lines) or length > LINE_CHARACTERS * sum(map(len, lines)):
        return "repeats_lines"
    if sum(map(bool, map(_BULLET.match, lines))) > BULLETS * len(lines):
        return "mostly_bullets"
    return "mostly_ellipses" if sum(map(bool, map(_ELLIPSIS.search, lines))) > ELLIPSES * len(lines) else None


def _lettered(text: str) -> float:
    seen = "".join(text.split())
    return sum(map(str.isalnum, seen)) / max(len(seen), 1)


def of_quality(rows: Iterable[Row], language: str, reject: Reject) -> Iterator[Row]:
    """The rows whose text stands up to the rules."""
    rules = Rules.of(language)
    for row in rows:
        found = known(row)
        if fault := rules.fault(row["text"]) if found is None or found.fault is None else found.fault:
            reject(row["place"], fault, row["text"])
        else:
            yield row
