"""Text in another language than its corpus: found where that is beyond doubt, kept where it is not.

    rows = of_language(rows, Tongue("en"), reject, shown)

A text with as many function words as its language has is in that language, and nothing more is asked. Any other is
given to py3langid (langid.py of Lui and Baldwin 2012, trained anew: naive Bayes over runs of bytes, 140 languages,
nothing to download), whose probabilities know how little a short text says.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from corpora.cleaning.contamination import unspaced
from corpora.cleaning.known import known
from corpora.keeping import Reject
from corpora.parquet import Row
from corpora.schemas import InputError
from corpora.stop_words import stop_words

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLE = 1000
"""Characters looked at: at the beginning, and of a longer text at the end as well."""

OWN = 0.15
"""Share of function words, of Chinese characters that are one, from which on a text is in its language."""

LEAST = 50
"""Bytes below which nothing is said: a title or a name may be of any language."""

LIKELY, UNLIKELY = 0.5, 0.01
"""Probability of another language from which on a text is in it, where that of its own is not above this."""

NEAR = {"zh": ("yue", "wuu"), "en": ("pcm",)}
"""Languages that are no other to a corpus: Cantonese, Wu, Nigerian Pidgin."""

NONE = "zxx"
"""What has no language: numbers, code."""

SHOWN = 10
"""Texts of each corpus that are shown."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_LETTER = re.compile(r"[^\W\d_]")


class Tongue:
    """The language of a corpus."""

    def __init__(self, language: str) -> None:
        if language not in _identifier().labels:
            raise InputError(f"corpus.drop_other_languages knows no language {language}: leave it out")
        self.own = (language, *NEAR.get(language, ()), NONE)
        self.units = _LETTER if unspaced(language) else _WORD
        try:
            self.function_words = stop_words(language)
        except ValueError:
            self.function_words = frozenset()

    def other_of(self, row: Row) -> str:
        """The same of a row's texts."""
        found = known(row)
        if found and found.language is not None:
            return found.language
        return self.other(f"{row['text']}\n{row['text_pair']}" if row.get("text_pair") else row["text"])

    def other(self, text: str) -> str:
        """The other language that all that is looked at of a text is surely in, "" where there is none."""
        pieces = [text[:SAMPLE], text[-SAMPLE:]] if len(text) > SAMPLE else [text]
        found = ""
        for piece in pieces:
            if not (found := self._other(piece)):
                break
        return found

    def _other(self, text: str) -> str:
        if len(text.encode()) < LEAST or self._functions(text) >= OWN:
            return ""
        [(language, probability), *_] = ranked = _identifier().rank(text)
        own = sum(share for name, share in ranked if name in self.own)
        return language if probability >= LIKELY and own <= UNLIKELY else ""

    def _functions(self, text: str) -> float:
        """Share of function words in a text."""
        units = self.units.findall(text.lower())
        return sum(unit in self.function_words for unit in units) / max(len(units), 1)


@lru_cache(maxsize=1)
def _identifier() -> "LanguageIdentifier":
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def of_language(
    rows: Iterable[Row], tongue: Tongue, reject: Reject, shown: list[tuple[str, str]] | None = None
) -> Iterator[Row]:
    """The rows that are not surely in another language; `shown` is told of the first few that are, and of which."""
    for row in rows:
        found = tongue.other_of(row)
        if not found:
            yield row
            continue
        reject(row["place"], "other_language", row["text"])
        if shown is not None and len(shown) < SHOWN:
            shown.append((found, row["text"]))
