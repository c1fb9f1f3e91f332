"""Words, for masking whole words and for scoring them: jieba or rjieba for Chinese, Unicode rules for the rest.

    Segmenter("auto", "zh").spans("我爱北京。")   ->   [[0, 1], [1, 2], [2, 4], [4, 5]]

Spans are in order, do not overlap, and cover every character that is no white space. jieba is the reference; rjieba
is some ten times as fast and cuts one to three words in a thousand otherwise: it is used only when asked for by name.
Both know Chinese and ASCII; of anything else, accented letters and joined emoji too, they make single characters.

Unicode rules find the words of languages that put blanks between them. Of the others they know none: ideographs and
letters of Thai, Lao, Burmese and Khmer stand alone with their marks, kana go together by kind. A URL falls into its
words and punctuation. Where a tokenizer has longer pieces than these, its pieces are the words (pipeline/tokens.py).
"""

import logging
import os
import re
import stat
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import accumulate
from math import inf, log
from pathlib import Path

import numpy as np

from corpora.schemas import InputError

Cut = Callable[[str], list[str]]
"""Text -> its pieces, which joined are the text."""

NAMES = ("auto", "jieba", "rjieba", "unicode")

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
"""A language tag (BCP 47): zh, en, yue, zh-TW."""
NO_LANGUAGE = "language = {!r} is no tag of one language: write zh, en, yue, pt-BR …"

_IDEOGRAPHS = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ALONE = _IDEOGRAPHS + "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # and Thai, Lao, Burmese, Khmer: no blanks either
_HIRAGANA = "\u3041-\u309f"
_KATAKANA = "\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_FURTHER_MARKS = "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\U000e0100-\U000e01ef"
"""Skin tones, tags of flags, variants of ideographs: apart, as `re` is slow with many beyond the basic plane."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class WordsConfig:
    """How text is cut into words: settings of every stage that does so."""

    language: str = "zh"
    """Decides how words are told apart."""
    segmenter: str = "auto"
    """jieba, rjieba or unicode; auto is jieba for Chinese and unicode for the rest, and is kept as what it came to."""
    user_dictionary: str = field(default="", metadata={"file": True})
    """File of words to keep whole, a line `word [frequency [tag]]`, its path from the folder of the recipe."""

    def __post_init__(self) -> None:
        check_language(self.language)
        object.__setattr__(self, "segmenter", _named(self.segmenter, self.language))
        if self.user_dictionary:
            _takes_dictionary(self.segmenter)


def check_language(language: str) -> None:
    """Refuse what is no tag of one language, as a desktop's LANGUAGE is none."""
    if not LANGUAGE.fullmatch(language):
        raise InputError(NO_LANGUAGE.format(language))


class Segmenter:
    """Cuts text into words. `name` says by what, never `auto`: it belongs into the history of what is made with it."""

    def __init__(self, name: str = "auto", language: str = "zh", user_dictionary: Path | str | None = None) -> None:
        self.name = _named(name, language)
        self._cut = _cutter(self.name, _dictionary(user_dictionary, self.name))

    @classmethod
    def of(cls, config: WordsConfig) -> "Segmenter":
        """The one a recipe asks for."""
        return cls(config.segmenter, config.language, config.user_dictionary)

    def spans(self, text: str) -> np.ndarray:
        """Character spans of the words, [n, 2] int32."""
        # half a character is no text: jieba leaves it alone, rjieba fails on it
        words = self._cut(_SURROGATE.sub("\ufffd", text))
        spans = np.zeros((len(words), 2), dtype=np.int32)
        spans[:, 1] = np.fromiter(accumulate(map(len, words)), np.int32, len(words))
        spans[1:, 0] = spans[:-1, 1]
        return spans[~np.fromiter(map(str.isspace, words), bool, len(words))]

    def words(self, text: str) -> list[str]:
        """The words themselves, as they are written."""
        return [text[start:end] for start, end in self.spans(text).tolist()]


def _named(name: str, language: str) -> str:
    if name not in NAMES:
        raise InputError(f"no segmenter {name}: take one of {', '.join(NAMES)}")
    return ("jieba" if language.lower().startswith("zh") else "unicode") if name == "auto" else name


def _cutter(name: str, dictionary: Path | None) -> Cut:
    return _CUTTERS[name](dictionary) if dictionary else _plain(name)


@lru_cache
def _plain(name: str) -> Cut:
    """Without words of a user's. Jieba's own take a third to half a second: once a process, however many ask."""
    return _CUTTERS[name](None)


def _dictionary(path: Path | str | None, name: str) -> Path | None:
    if not path:
        return None
    _takes_dictionary(name)
    if not Path(path).is_file():
        raise InputError(f"no user dictionary {path}: correct the path, or leave it out")
    return Path(path)


def _takes_dictionary(name: str) -> None:
    if name == "unicode":
        raise InputError("the unicode segmenter takes no user dictionary: use jieba or rjieba, or leave it out")


def _jieba(dictionary: Path | None) -> Cut:
    with warnings.catch_warnings():  # its escapes, and its way of finding its files, are of another time
        warnings.simplefilter("ignore")
        import jieba  # 0.1 s, and not needed for other languages

    jieba.setLogLevel(logging.ERROR)
    tokenizer = jieba.Tokenizer()  # one of our own: words added here are not added for everybody
    tokenizer.tmp_dir = str(private_cache())
    tokenizer.initialize()
    tokenizer.get_DAG, tokenizer.calc = lambda text: None, partial(_best_path, tokenizer)
    for word, frequency, tag in _entries(dictionary):
        tokenizer.add_word(word, frequency, tag)
    return tokenizer.lcut


def _best_path(tokenizer: object, text: str, _: None, path: dict[int, tuple[float, int]]) -> None:
    """jieba's own search in one pass, each word looked up once: the same sums, so the same cuts, in 3/4 of the time.

    path[i] becomes the best log probability of text[i:], and the last character of its first word.
    """
    counts, total, size = tokenizer.FREQ, log(tokenizer.total), len(text)
    path[size] = (0, 0)
    for start in range(size - 1, -1, -1):
        best, last, end = -inf, start, start + 1
        while end <= size and (count := counts.get(text[start:end])) is not None:  # else no longer word is known
            if count and (found := log(count) - total + path[end][0]) >= best:
                best, last = found, end - 1
            end += 1
        path[start] = (best if best > -inf else log(1) - total + path[start + 1][0], last)


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


_CUTTERS = {"jieba": _jieba, "rjieba": _rjieba, "unicode": _unicode}


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
    """Tried in order at each place: white space, a number, a letter that stands alone, kana, a word, a flag, the rest.

    A word is letters and digits with their combining marks, apostrophes and hyphens inside it (don't, well-made). The
    rest is one character, or several that joiners make one (a family of emoji).
    """
    marks = f"[{_combining_marks()}]*"
    letter = f"(?:(?![{_ALONE}{_HIRAGANA}{_KATAKANA}])[^\\W_]{marks})"
    further = f"{marks}(?:[{_FURTHER_MARKS}]{marks})*"
    kinds = [
        r"\s+",
        r"\d+(?:[.,]\d+)+",
        f"[{_ALONE}]{further}",
        f"(?:[{_HIRAGANA}]{marks})+",
        f"(?:[{_KATAKANA}]{marks})+",
        f"{letter}+(?:['’\\-‐]{letter}+)*",
        "[\U0001f1e6-\U0001f1ff]{2}",
        f"[\\s\\S]{further}(?:(?<=\u200d)[^\\w\\s]{further})*",
    ]
    return re.compile("|".join(kinds))


def _combining_marks() -> str:
    """The marks of the basic plane and the two joiners, for a character class."""
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
