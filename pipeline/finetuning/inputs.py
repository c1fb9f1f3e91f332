"""Rows -> ids: which texts of a row in which order, and what is read of a long one.

    head          its beginning
    tail          its end
    head_tail     beginning and end as one text (Sun et al. 2019: 128 + 382 of 510)
    two_segments  the beginning as text, the end as text_pair
    windows       all of it in windows that overlap, whose logits are pooled

Everything is cut in ids and before special tokens are added, so that a text keeps its end mark; of a pair, the longer
one is cut first, and windows slide over the first text beside the whole second one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.batches import LabelledBatches
from pipeline.run.errors import InputError
from pipeline.tokens import Frame, encode_tokens

Ids = list[int]


@dataclass(frozen=True)
class InputConfig:
    """What the model reads of a row."""

    fields: tuple[str, ...] = ("text", "text_pair")
    """Columns, one or two of them, in the order in which they are read; an empty second one is left out."""
    long: Literal["head", "tail", "head_tail", "two_segments", "windows"] = "head"
    """What is read of a text longer than max_length."""
    head_share: float = 0.25
    """Share of the room that goes to the beginning, of head_tail and two_segments (128 of 510)."""
    overlap: float = 0.25
    """Share of a window that stands in the window before it as well."""
    max_windows: int = 8
    """What comes after so many is cut off."""
    pooled: Literal["mean", "max"] = "mean"
    """How the logits of windows become one: their mean, or the highest of each class."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.fields) <= 2 or not set(self.fields) <= {"text", "text_pair"}:
            raise ValueError(f"fields = {list(self.fields)} must be one or two of text, text_pair")
        for name in ("head_share", "overlap"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 0 and less than 1")
        if self.max_windows < 1:
            raise ValueError(f"max_windows = {self.max_windows} must be at least 1")


@dataclass(frozen=True)
class Read:
    """A row as ids."""

    input_ids: np.ndarray  # int64 [L] with special tokens; windows end to end, all but the last max_length long
    types: np.ndarray  # int64 [L] segment of each id
    whole: int  # ids of the row without special tokens, uncut
    lost: int  # of these, how many are not read
    word_ids: np.ndarray | None = None  # int32 [L] token of the row each id belongs to, -1 for special ones; for tags


class Reader:
    """Reads rows for one model."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int, config: InputConfig) -> None:
        self.tokenizer, self.max_length, self.config = tokenizer, max_length, config
        self.frame = Frame.of(tokenizer)
        self.frame.room(max_length)  # refuses a length without room
        self.pad_id, self.has_types = tokenizer.pad_token_id, "token_type_ids" in tokenizer("a")
        self._types = [tokenizer(*texts).get("token_type_ids") for texts in (("a",), ("a", "a"))]

    def texts(self, rows: Sequence[Mapping[str, object]]) -> Iterator[Read]:
        """Rows with the columns of `fields`."""
        columns = [self._ids([row[name] for row in rows]) for name in self.config.fields]
        for first, *others in zip(*columns, strict=True):
            second = others[0] if others and others[0] else None
            yield self._read(first or second or [], second if first else None)

    def tagged(self, rows: Sequence[Mapping[str, object]]) -> Iterator[Read]:
        """Rows of `tokens`, cut at the end."""
        room = self.frame.room(self.max_length)
        before, after = len(self.frame.before), len(self.frame.after)
        for coded in encode_tokens(self.tokenizer, [row["tokens"] for row in rows]):
            ids, words = coded.input_ids[:room].tolist(), coded.word_ids[:room]
            framed, types = self.framed(ids, None)
            words = np.pad(words, (before, after), constant_values=-1)
            yield Read(framed, types, len(coded.input_ids), len(coded.input_ids) - len(ids), words)

    def _ids(self, texts: list[str | None]) -> list[Ids]:
        """Of each text, without special tokens and uncut; one literally in a text is read as plain characters."""
        given = [text or "" for text in texts]
        return self.tokenizer(given, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]

    def _read(self, first: Ids, second: Ids | None) -> Read:
        parts = self._parts(first, second)
        framed = [self.framed(*part) for part in parts]
        whole = len(first) + len(second or [])
        return Read(*map(np.concatenate, zip(*framed, strict=True)), whole, self._lost(first, second, parts))

    def _parts(self, first: Ids, second: Ids | None) -> list[tuple[Ids, Ids | None]]:
        """What is read: the texts of each window, or of the only one."""
        room, long = self.frame.room(self.max_length), self.config.long
        between = len(self.frame.between)
        if second is not None:
            if long == "two_segments":
                raise InputError("long = two_segments makes a pair of one text, and these rows have two: choose head")
            kept = min(len(second), max(room - between - len(first), (room - between) // 2))
            return [(part, second[:kept]) for part in self._cut(first, room - between - kept)]
        if long == "two_segments" and len(first) > room:
            head = round(self.config.head_share * (room - between))
            return [(first[:head], _end(first, room - between - head))]
        return [(part, None) for part in self._cut(first, room)]

    def _cut(self, ids: Ids, room: int) -> list[Ids]:
        """The parts of one text."""
        if len(ids) <= room:
            return [ids]
        if self.config.long == "windows":
            return [ids[start : start + room] for start in self._starts(len(ids), room)]
        head = {"tail": 0, "head_tail": round(self.config.head_share * room)}.get(self.config.long, room)
        return [ids[:head] + _end(ids, room - head)]

    def _starts(self, length: int, room: int) -> range:
        """Where windows begin: as many as it takes, and as there may be."""
        step = max(room - round(self.config.overlap * room), 1)
        return range(0, length - room + step, step)[: self.config.max_windows]

    def _lost(self, first: Ids, second: Ids | None, parts: list[tuple[Ids, Ids | None]]) -> int:
        if self.config.long == "windows" and len(parts) > 1:
            room = len(parts[0][0])
            read = min(self._starts(len(first), room)[-1] + room, len(first)) + len(parts[0][1] or [])
        else:
            read = sum(len(part) + len(other or []) for part, other in parts)
        return len(first) + len(second or []) - read

    def framed(self, first: Ids, second: Ids | None) -> tuple[np.ndarray, np.ndarray]:
        """Ids and their segments, as the tokenizer would put special tokens around these texts."""
        frame = self.frame
        parts = [frame.before, first, *([] if second is None else [frame.between, second]), frame.after]
        ids = np.array([i for part in parts for i in part], dtype=np.int64)
        types = self._types[second is not None]
        if types is None:
            return ids, np.zeros_like(ids)
        sizes = [1] * len(frame.before) + [len(first)]
        sizes += [] if second is None else [1] * len(frame.between) + [len(second)]
        return ids, np.repeat(types, sizes + [1] * len(frame.after)).astype(np.int64)


def _end(ids: Ids, count: int) -> Ids:
    return ids[len(ids) - count :]


class TaggedBatches(LabelledBatches):
    """Rows of tokens with a tag each, which stands at the first id of its token."""

    def __init__(
        self,
        input_ids: list[np.ndarray],
        labels: list[np.ndarray],
        pad_id: int,
        types: list[np.ndarray] | None,
        words: list[np.ndarray],
        counts: np.ndarray,
    ) -> None:
        super().__init__(input_ids, labels, pad_id, types)
        self.words = words
        """Of each row int [W]: the tokens that are read, in the order in which their labels stand."""
        self.counts = counts
        """int [rows]: tokens of each row, those cut off among them."""
