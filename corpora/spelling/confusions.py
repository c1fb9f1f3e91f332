"""Which characters are mistaken for which: by sound, by shape, by nothing at all.

    confusions = Confusions(sound=same_sound(), shape=read_confusions(path), any=common_characters())

A set is read from the user's file, `char<TAB>other<TAB>other…` or Parquet with a column of characters and columns of
lists; by sound there is one of pypinyin's, of the 3,755 commonest simplified characters (level 1 of GB 2312).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from corpora.parquet import read_batches
from corpora.schemas import InputError

Table = Mapping[str, tuple[str, ...]]
"""Character -> others."""

KINDS = ("sound", "shape", "any")


@dataclass(frozen=True)
class Confusions:
    """The candidates of a character, by kind."""

    sound: Table
    shape: Table
    any: tuple[str, ...]
    """Characters that may stand anywhere."""

    def of(self, kind: str, char: str) -> tuple[str, ...]:
        """What may stand for `char`; of `any`, it may be one itself."""
        if kind == "any":
            return self.any
        return (self.sound if kind == "sound" else self.shape).get(char, ())


@cache
def common_characters() -> tuple[str, ...]:
    """Level 1 of GB 2312: the 3,755 commonest simplified characters, in the order of their sound."""
    codes = (bytes([row, cell]) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return tuple(code.decode("gb2312") for code in codes if code <= b"\xd7\xf9")


@cache
def same_sound() -> Table:
    """Common character -> the other common ones of one pinyin, whatever the tone, both as they are read alone."""
    try:
        from pypinyin import lazy_pinyin
    except ImportError as error:
        raise InputError("confusions by sound need the package pypinyin (pip install pypinyin), or a file") from error
    alike: dict[str, list[str]] = defaultdict(list)
    for char in common_characters():
        alike[lazy_pinyin(char)[0]].append(char)
    return {char: tuple(o for o in chars if o != char) for chars in alike.values() for char in chars if len(chars) > 1}


def read_confusions(path: Path) -> Table:
    """A set from a file; others that are no single character, and a character for itself, are left out."""
    lines = _of_parquet(path) if path.suffix == ".parquet" else _of_text(path)
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for char, others in lines:
        if len(char) == 1:
            found[char] |= dict.fromkeys(other for other in others if len(other) == 1 and other != char)
    if not any(found.values()):
        raise InputError(
            f"{path} names no two characters: write a line each, char<TAB>other<TAB>other…, or Parquet with a column "
            "of characters and columns of lists"
        )
    return {char: tuple(others) for char, others in found.items() if others}


def _of_text(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Others may also stand together in one field, as in `char<TAB>others`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text ({error}): write char<TAB>other<TAB>other… in UTF-8") from error
    for line in lines:
        char, *others = line.rstrip().split("\t")
        yield char, list("".join(others))


def _of_parquet(path: Path) -> Iterator[tuple[str, Iterable[str]]]:
    for batch in read_batches(path):
        name, *lists = batch
        for char, *others in zip(batch[name], *(batch[other] for other in lists), strict=True):
            yield str(char), [other for some in others for other in some or ()]
