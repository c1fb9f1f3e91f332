"""Words, for masking whole words and for scoring them: jieba or rjieba for Chinese, Unicode rules for the rest.

    Segmenter("auto", "zh").spans("我爱北京。")   ->   [[0, 1], [1, 2], [2, 4], [4, 5]]

Spans are in order, do not overlap, and cover every character that is no white space. jieba is the reference; rjieba
is about fifteen times as fast and cuts one word in a thousand otherwise, so it is used only when asked for by name.
"""

import logging
import os
import re
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from corpora.schemas import InputError

Cut = Callable[[str], list[str]]
"""Text -> its pieces, which joined are the text."""

NAMES = ("auto", "jieba", "rjieba", "unicode")

_IDEOGRAPH = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_SURROGATE = re.compile("[\ud800-\udfff]")


class Segmenter:
    """Cuts text into words. `name` says by what, never `auto`: it belongs into the history of what is made with it."""

    def __init__(self, name: str = "auto", language: str = "zh", user_dictionary: Path | None = None) -> None:
        if name not in NAMES:
            raise InputError(f"no segmenter {name}: take one of {', '.join(NAMES)}")
        self.name = ("jieba" if language == "zh" else "unicode") if name == "auto" else name
        self._cut = _cutter(self.name, _dictionary(user_dictionary, self.name))

    def spans(self, text: str) -> np.ndarray:
        """Character spans of the words, [n, 2] int32."""
        # half a character is no text: jieba leaves it alone, rjieba fails on it
        words = self._cut(_SURROGATE.sub("\ufffd", text))
        edges = np.cumsum([0, *map(len, words)], dtype=np.int32)
        kept = ~np.fromiter(map(str.isspace, words), bool, len(words))
        return np.stack([edges[:-1], edges[1:]], axis=1)[kept]

    def words(self, text: str) -> list[str]:
        """The words themselves, as they are written."""
        return [text[start:end] for start, end in self.spans(text).tolist()]


def _cutter(name: str, dictionary: Path | None) -> Cut:
    return {"jieba": _jieba, "rjieba": _rjieba, "unicode": _unicode}[name](dictionary)


def _dictionary(path: Path | None, name: str) -> Path | None:
    if path is None:
        return None
    if name == "unicode":
        raise InputError(
            f"the unicode segmenter takes no user dictionary ({path}): use jieba or rjieba, or leave it out"
        )
    if not Path(path).is_file():
        raise InputError(f"no user dictionary {path}: correct the path, or leave it out")
    return Path(path)


def _jieba(dictionary: Path | None) -> Cut:
    import jieba  # 0.1 s, and not needed for other languages

    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()  # one of our own: words added here are not added for everybody
    tokenizer.tmp_dir = str(private_cache())
    tokenizer.initialize()
    for word, frequency, tag in _entries(dictionary):
        tokenizer.add_word(word, frequency, tag)
    return tokenizer.lcut


def _rjieba(dictionary: Path | None) -> Cut:
    try:
        import rjieba
    except ModuleNotFoundError:
        raise InputError('rjieba is not installed: pip install rjieba, or set segmenter = "jieba"') from None
    tokenizer = rjieba.Jieba()
    for word, frequency, tag in _entries(dictionary):
        tokenizer.add_word(word, frequency, tag)
    return tokenizer.cut


def _unicode(_: Path | None) -> Cut:
    return _unicode_pattern().findall


def _entries(dictionary: Path | None) -> Iterator[tuple[str, int | None, str | None]]:
    """Lines of `word [frequency [tag]]`, jieba's own format."""
    if dictionary is None:
        return
    for number, line in enumerate(dictionary.read_text(encoding="utf-8-sig").splitlines(), start=1):
        word, *rest = line.split() or [""]
        if len(rest) > 2 or (len(rest) == 2 and not rest[0].isdigit()):
            raise InputError(f"{dictionary}:{number} is not `word [frequency [tag]]`: {line!r}")
        frequency = int(rest.pop(0)) if rest and rest[0].isdigit() else None
        if word:
            yield word, frequency, rest[0] if rest else None


@lru_cache(maxsize=1)
def _unicode_pattern() -> re.Pattern:
    """Tried in order at each place: white space, a number, an ideograph, a word, any other character.

    A word is letters and digits with their combining marks, apostrophes and hyphens inside it (don't, well-made).
    """
    marks = _combining_marks()
    letter = f"(?:(?![{_IDEOGRAPH}])[^\\W_][{marks}]*)"
    return re.compile(rf"\s+|\d+(?:[.,]\d+)+|[{_IDEOGRAPH}][{marks}]*|{letter}+(?:['’\-‐]{letter}+)*|[\s\S][{marks}]*")


def _combining_marks() -> str:
    """The marks of the basic plane and the two joiners, as ranges for a character class."""
    codes = [code for code in range(0x10000) if unicodedata.category(chr(code)).startswith("M")] + [0x200C, 0x200D]
    return "".join(map(chr, codes))


def private_cache() -> Path:
    """A folder nobody else can write to: jieba loads its cache with `marshal`, which trusts what it reads."""
    wanted = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "keymask"
    try:
        wanted.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = wanted.stat()
        if state.st_uid == os.getuid() and not stat.S_IMODE(state.st_mode) & 0o022 and os.access(wanted, os.W_OK):
            return wanted
    except (OSError, RuntimeError):
        pass  # no home, or one that cannot be written to
    return Path(_temporary().name)


@lru_cache(maxsize=1)
def _temporary() -> tempfile.TemporaryDirectory:
    """One a process, mode 700, gone at its end; the price is a second of reading the dictionary."""
    return tempfile.TemporaryDirectory(prefix="keymask-")
