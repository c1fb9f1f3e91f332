"""Texts as their characters: which of them a model reads as one token each, and can so correct.

A *place* is a character that is a token of its own: ideographs, punctuation, single letters and digits, also those the
vocabulary lacks. What stands in one token with others, such as a Latin word or a number, is read and left as it is. So
whatever a text holds, characters and tokens never part company.

Texts are read whole, a long one in windows that overlap. A character in two windows is learned and answered in one of
them, that in which it is farther from the edge.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.finetuning.inputs import Reader
from pipeline.lookup import uncut_reader
from pipeline.run.errors import InputError

UNWRITABLE = -1
"""Label of a place where another character should stand that the vocabulary lacks: wrong, and no more is learned."""

FEWEST_PLACES = 0.5
"""Share of the ideographs that must be places: tokenizers of bytes or of whole words have next to none."""


class Spelt(LabelledBatches):
    """Windows of texts; at the places that a window answers for, labels are the ids of what should stand there."""

    def __init__(
        self,
        windows: Sequence["Window"],
        labels: list[np.ndarray],
        reader: Reader,
        written: np.ndarray,
        characters: np.ndarray,
    ) -> None:
        types = [one.types for one in windows] if reader.has_types else None
        super().__init__([one.input_ids for one in windows], labels, reader.pad_id, types)
        self.windows = windows
        self.written = written
        """int32 [T]: the code points of all texts, end to end."""
        self.characters = characters
        """int32 [vocabulary]: the code point an id stands for, -1 where it is no single character."""


@dataclass(frozen=True)
class Window:
    """A piece of a text as ids, and what it answers for."""

    input_ids: np.ndarray  # int64 [L] with special tokens
    types: np.ndarray  # int64 [L] segments
    columns: np.ndarray  # int64 [W] places in this window, as positions of ids
    places: np.ndarray  # int64 [W] the same as positions among the characters of all texts


class Characters:
    """Reads texts for correction."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.tokenizer = reader, reader.tokenizer
        self.codes = codes_of(self.tokenizer)
        self.unknown = -1 if self.tokenizer.unk_token_id is None else self.tokenizer.unk_token_id
        self._ids: dict[str, int] = {}

    def read(self, texts: Sequence[str], targets: Sequence[str] | None = None) -> tuple[Spelt, np.ndarray]:
        """The texts and how many ids each has, int64 [texts]; what should stand there is as long as each text."""
        targets = texts if targets is None else targets
        windows, wanted, sizes = [], self._wanted("".join(targets)), []
        first, met = 0, np.zeros(2, dtype=np.int64)
        for text, coded in zip(texts, self._coded(texts), strict=True):
            columns, places = self._places(text, coded)
            met += (len(places), sum(map(is_ideograph, text)))
            windows += self._windows(np.array(coded.ids, dtype=np.int64), columns, places + first)
            sizes.append(len(coded.ids))
            first += len(text)
        if met[0] < FEWEST_PLACES * met[1]:
            raise InputError(
                f"of {met[1]} ideographs the tokenizer reads {met[0]} as tokens of their own: spelling correction "
                "needs a tokenizer of characters, such as that of a Chinese BERT"
            )
        written, right = (codes_in("".join(each)) for each in (texts, targets))
        labels = [_labels(one, wanted, written == right) for one in windows]
        return Spelt(windows, labels, self.reader, written, self.codes), np.array(sizes, dtype=np.int64)

    def _coded(self, texts: Sequence[str]) -> list:
        return uncut_reader(self.tokenizer).encode_batch(list(texts), add_special_tokens=False)

    def _places(self, text: str, coded: object) -> tuple[np.ndarray, np.ndarray]:
        """Of a text: the tokens [W] that are one character and a word of their own, and the characters they are."""
        if not coded.ids:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        offsets = np.array(coded.offsets, dtype=np.int64)
        words = np.array([-1 if word is None else word for word in coded.word_ids])
        alone = np.bincount(words + 1)[words + 1] == 1
        columns = np.flatnonzero(alone & (words >= 0) & (offsets[:, 1] - offsets[:, 0] == 1))
        places = offsets[columns, 0]
        ids = np.array(coded.ids, dtype=np.int64)[columns]
        same = ids == self._wanted("".join(text[i] for i in places), self.unknown)
        return columns[same], places[same]

    def _windows(self, ids: np.ndarray, columns: np.ndarray, places: np.ndarray) -> Iterator[Window]:
        """Of one text, given its places as positions of ids [W] and of characters [W]."""
        reader, frame = self.reader, self.reader.frame
        room = frame.room(reader.max_length)
        step = max(room - round(reader.config.overlap * room), 1)
        starts = range(0, max(len(ids) - room, 0) + step, step) if len(ids) > room else range(1)
        ends = [min(start + room, len(ids)) for start in starts]
        middles = [(end + start) // 2 for end, start in zip(ends[:-1], starts[1:], strict=True)]
        for start, end, (low, high) in zip(starts, ends, pairwise([0, *middles, len(ids)]), strict=True):
            framed, types = reader.framed(ids[start:end].tolist(), None)
            mine = slice(*np.searchsorted(columns, [low, high]))
            yield Window(framed, types, columns[mine] - start + len(frame.before), places[mine])

    def _wanted(self, text: str, instead: int = UNWRITABLE) -> np.ndarray:
        """int64 [characters]: the id of each character alone; `instead` where the vocabulary has none."""
        if new := sorted({*text} - self._ids.keys()):
            for char, coded in zip(new, self._coded(new), strict=True):
                known = len(coded.ids) == 1 and coded.ids[0] != self.unknown
                self._ids[char] = coded.ids[0] if known else UNWRITABLE
        found = np.array([self._ids[char] for char in text], dtype=np.int64)
        return np.where(found == UNWRITABLE, instead, found)


def _labels(window: Window, wanted: np.ndarray, right: np.ndarray) -> np.ndarray:
    """int64 [L]: what should stand at the places of a window, IGNORE elsewhere; where it does, the id that is read."""
    labels, columns, places = np.full(len(window.input_ids), IGNORE, dtype=np.int64), window.columns, window.places
    labels[columns] = np.where(right[places], window.input_ids[columns], wanted[places])
    return labels


def codes_in(text: str) -> np.ndarray:
    """int32 [characters]: code points."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<i4").astype(np.int32)


def text_of(codes: np.ndarray) -> str:
    """The text of code points [characters]."""
    return "".join(map(chr, codes.tolist()))


def codes_of(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """int32 [vocabulary]: the code point of an id that is a single character, read alone; else -1."""
    single = {i: token for token, i in tokenizer.get_vocab().items() if len(token) == 1}
    found = np.full(len(tokenizer), -1, dtype=np.int32)
    coded = uncut_reader(tokenizer).encode_batch(list(single.values()), add_special_tokens=False)
    for (number, token), each in zip(single.items(), coded, strict=True):
        if each.ids == [number] and number not in tokenizer.all_special_ids:
            found[number] = ord(token)
    return found


def is_ideograph(char: str) -> bool:
    """Whether a character is of the main blocks of Chinese."""
    return "\u3400" <= char <= "\u9fff"
