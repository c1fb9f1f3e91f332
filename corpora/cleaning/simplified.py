"""Traditional Chinese characters as simplified ones, by OpenCC's dictionaries (its `t2s`).

Words that keep a character (乾坤, 著名) are known to it, so the whole text is read. Where tags or another text stand
beside the characters each is converted by itself: as many come out, and one character becomes the same everywhere.
"""

from collections.abc import Callable
from functools import lru_cache

from corpora.keeping import has_surrogate


def simplified(text: str) -> str:
    """The text in simplified characters; one that is simplified stays as it is."""
    return text if text.isascii() or has_surrogate(text) else _convert()(text)


def simplified_each(text: str) -> str:
    """The same character by character: as long as the text."""
    return "".join(map(_character, text))


@lru_cache(maxsize=1 << 16)
def _character(char: str) -> str:
    return simplified(char)


@lru_cache(maxsize=1)
def _convert() -> Callable[[str], str]:
    from opencc import OpenCC

    return OpenCC("t2s").convert
