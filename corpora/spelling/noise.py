"""Misspelt text of correct text, so that any corpus of a language teaches its correction.

    rows = training_pairs(config, parts, data, held_out, reject_of, read)

A character becomes one that sounds or looks like it. Which ones, and what they become, is a function of (seed, id of
the sentence, position): the same in any order and on any machine.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain
from pathlib import Path

from corpora.cards import Card
from corpora.cleaning.dedup import Seen, identified, unique, without_sides
from corpora.keeping import Reject, cleaned
from corpora.parquet import Row
from corpora.schemas import InputError
from corpora.spelling.confusions import KINDS, Confusions, common_characters, read_confusions, same_sound
from corpora.splits import place_of

_SENTENCE = re.compile(r"[^。！？!?\n]+[。！？!?]*[”’」』）)]*")
_IDEOGRAPH = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")


@dataclass(frozen=True)
class NoiseConfig:
    """What becomes training pairs, and how wrong they are. Nothing, unless `text` names a corpus."""

    text: tuple[str, ...] = ()
    """Cards of correct text, each `card` or `card:split+split`, as in corpus.domain."""
    pairs: int = 0
    """At most so many sentences, a fixed sample in which a smaller one is contained; 0 takes all."""
    clean: float = 0.3
    """Share of the sentences left as they are: a model that only ever saw wrong ones corrects everything."""
    rate: float = 0.06
    """Share of the ideographs of the others that are replaced; about one in a sentence of 17, as people err."""
    sound: float = 0.7
    """Share of the replacements that sound alike; of errors people make it is about that (Liu et al. 2011: 0.76)."""
    shape: float = 0.2
    """Share of those that look alike. Without a file of shapes, and of characters that have none, it goes to sound."""
    any: float = 0.1
    """Share of those that are any common character."""
    sound_file: str = ""
    """Characters that sound alike, a path as it stands or under DATA: `char<TAB>other…`, or Parquet; empty = those of
    one syllable to pypinyin."""
    shape_file: str = ""
    """The same of characters that look alike; empty = none."""
    min_chars: int = 6
    """Shorter sentences are left out: nothing in them says what is wrong."""
    max_chars: int = 120
    """Longer ones are, too."""
    seed: int = 0
    """Another seed, other errors and another sample."""

    def __post_init__(self) -> None:
        for name in ("clean", "rate", "sound", "shape", "any"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")
        if self.sound + self.shape + self.any <= 0:
            raise ValueError("sound, shape and any are all 0: give one of them a share")
        if self.pairs < 0 or not 1 <= self.min_chars <= self.max_chars:
            raise ValueError("pairs must not be negative, and min_chars at least 1 and at most max_chars")

    def confusion_files(self, data: Path) -> dict[str, Path]:
        """`sound` and `shape` -> the file that is named, as it stands or under `data`."""
        named = {kind: getattr(self, f"{kind}_file") for kind in ("sound", "shape")}
        return {kind: _found(name, data, kind) for kind, name in named.items() if name}


def training_pairs(
    config: NoiseConfig,
    parts: Sequence[tuple[Card, tuple[str, ...]]],
    data: Path,
    held_out: set[int],
    reject_of: Callable[[str], Reject],
    read: Callable[[Card, str, Reject], Iterator[Row]],
) -> Iterator[Row]:
    """Pairs of the sentences of some cards' splits, which `read` gives, none of which is, right, among `held_out`.

    `reject_of(origin)` is told of what is left out. Memory: fingerprints of all sentences, and the sample if there is
    one.
    """
    seen = Seen()

    def correct(card: Card, split: str) -> Iterator[Row]:
        origin = f"{card.name}:{split}"
        reject = reject_of(origin)
        found = sentences(cleaned(read(card, split, reject), 1, reject), config)
        found = identified(found, card.name, f"{origin}:misspelt")
        return unique(without_sides(found, held_out, "in_dev_or_test", reject), seen, reject)

    rows = chain.from_iterable(correct(card, split) for card, splits in parts for split in splits)
    if config.pairs:
        rows = nsmallest(config.pairs, rows, key=lambda row: (place_of(row["id"], config.seed), row["id"]))
    return misspelt(rows, config, _confusions(config, data))


def _confusions(config: NoiseConfig, data: Path) -> Confusions:
    files = {kind: read_confusions(path) for kind, path in config.confusion_files(data).items()}
    return Confusions(files.get("sound") or same_sound(), files.get("shape") or {}, common_characters())


def _found(name: str, data: Path, kind: str) -> Path:
    for path in (data / name, Path(name)):
        if path.is_file():
            return path
    raise InputError(f"noise.{kind}_file: no file {data / name}, nor {name}: get it, or leave the setting out")


def sentences(rows: Iterable[Row], config: NoiseConfig) -> Iterator[Row]:
    """The sentences of documents, each a row of its own with `text` and where its document stood.

    A sentence ends with its mark and the quotes closed after it. One without an ideograph is none of ours.
    """
    for row in rows:
        for found in _SENTENCE.finditer(row["text"]):
            text = found[0].strip()
            if config.min_chars <= len(text) <= config.max_chars and _IDEOGRAPH.search(text):
                yield {"text": text, "place": row["place"], "group": row.get("group")}


def misspelt(rows: Iterable[Row], config: NoiseConfig, confusions: Confusions) -> Iterator[Row]:
    """Rows with `id` and a correct `text` -> the same with `source`, misspelt, and `target`; `text` is the source."""
    for row in rows:
        source = row["text"]
        if _draw(config.seed, row["id"], "clean") >= config.clean:
            source = "".join(
                _instead(char, f"{row['id']}/{i}", config, confusions) for i, char in enumerate(row["text"])
            )
        yield row | {"text": source, "source": source, "target": row["text"]}


def _instead(char: str, place: str, config: NoiseConfig, confusions: Confusions) -> str:
    """What stands at a place: the character itself, or one it is mistaken for."""
    if not _IDEOGRAPH.match(char) or _draw(config.seed, place, "wrong") >= config.rate:
        return char
    found = _candidates(char, _draw(config.seed, place, "kind"), config, confusions)
    number = int(_draw(config.seed, place, "which") * len(found))
    if found and found[number] == char:  # among those that may stand anywhere it is one itself
        number = (number + 1) % len(found)
    return found[number] if found else char


def _candidates(char: str, drawn: float, config: NoiseConfig, confusions: Confusions) -> tuple[str, ...]:
    """Of the kind drawn; by sound where the character has none of that kind."""
    shares = [getattr(config, kind) for kind in KINDS]
    drawn *= sum(shares)
    kind = next((kind for i, kind in enumerate(KINDS) if drawn < sum(shares[: i + 1])), KINDS[-1])
    return confusions.of(kind, char) or (confusions.of("sound", char) if config.sound else ())


def _draw(seed: int, place: str, purpose: str) -> float:
    """In [0, 1), a function of its arguments."""
    return place_of(place, f"{seed}/{purpose}")
