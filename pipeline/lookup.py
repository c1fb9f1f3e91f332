"""Texts -> ids, as the tokenizer library gives them; of a BERT tokenizer by tables, with the same result.

A BERT tokenizer sets every ideograph and every punctuation mark apart, and reads word by word what blanks and those
leave between them. What it makes of a part depends on nothing beside the part. So the library is asked once for each
character that stands alone and once for each run between them; of a Chinese text that leaves little to ask.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from threading import Lock
from weakref import WeakKeyDictionary

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from transformers import PreTrainedTokenizerBase

BLANKS = " \t\n\r\u3000"
RUN, BLANK = -1, -2
"""Of characters without an id of their own: part of a run, or between two."""
KEPT = 1_000_000
"""Characters of runs whose ids are kept; then they are asked for anew."""


@dataclass(frozen=True)
class Read:
    """The tokens of many texts, one text after the other, without special tokens and uncut."""

    ids: np.ndarray  # int32 [T]
    offsets: np.ndarray  # int64 [T, 2]: characters from and to, in the token's text
    lengths: np.ndarray  # int64 [texts]: tokens of each

    def of(self, texts: np.ndarray) -> "Read":
        """Of these texts alone, by their numbers, int64 [any]; the same one may be wanted more than once."""
        lengths = self.lengths[texts]
        begin = (np.cumsum(self.lengths) - self.lengths)[texts] - (np.cumsum(lengths) - lengths)
        places = np.repeat(begin, lengths) + np.arange(lengths.sum())
        return Read(self.ids[places], self.offsets[places], lengths)

    def and_then(self, other: "Read") -> "Read":
        """These texts and more."""
        mine, others = ((each.ids, each.offsets, each.lengths) for each in (self, other))
        return Read(*map(np.concatenate, zip(mine, others, strict=True)))


def read(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Read:
    """Special tokens written in a text, such as a literal `[MASK]`, are read as plain characters."""
    table = _table(tokenizer)
    return table.read(texts) if table else _by_library(tokenizer.backend_tokenizer, texts)


def uncut_reader(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """What reads for a tokenizer, set to cut and pad nothing; transformers sets all three anew at each call of its."""
    return _uncut(tokenizer.backend_tokenizer)


def _uncut(backend: Tokenizer) -> Tokenizer:
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return backend


def _by_library(backend: Tokenizer, texts: Sequence[str]) -> Read:
    coded = _uncut(backend).encode_batch(texts, add_special_tokens=False)
    lengths = np.fromiter(map(len, coded), np.int64, len(coded))
    ids = np.fromiter(chain.from_iterable(each.ids for each in coded), np.int32, lengths.sum())
    pairs = chain.from_iterable(each.offsets for each in coded)
    return Read(ids, np.fromiter(chain.from_iterable(pairs), np.int64, 2 * len(ids)).reshape(-1, 2), lengths)


# ---- by tables -----------------------------------------------------------------------------------------------------


_TABLES: WeakKeyDictionary[PreTrainedTokenizerBase, tuple[int, "Table | None"]] = WeakKeyDictionary()


def _table(tokenizer: PreTrainedTokenizerBase) -> "Table | None":
    """The table of a tokenizer of BERT's kind, made once and again when it has more entries; None of any other."""
    size, table = _TABLES.get(tokenizer, (-1, None))
    if size != len(tokenizer):
        backend = tokenizer.backend_tokenizer
        table = Table(backend) if _parts_alone(backend) else None
        _TABLES[tokenizer] = len(tokenizer), table
    return table


def _parts_alone(backend: Tokenizer) -> bool:
    """Whether a part of a text is read without a look beside it: by BERT's rules, no entries found before them."""
    return (
        isinstance(backend.normalizer, BertNormalizer)
        and isinstance(backend.pre_tokenizer, BertPreTokenizer)
        and isinstance(backend.model, WordPiece)
        and all(token.special for token in backend.get_added_tokens_decoder().values())
    )


class Table:
    """What the library has said of single characters and of runs."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend, self._lock = backend, Lock()
        self._kinds = _kinds(backend)
        self._forget()

    def read(self, texts: Sequence[str]) -> Read:
        """As the library reads them."""
        joined = "".join(f"{text}\n" for text in texts)
        kinds = self._kinds[np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)]
        alone, edges = np.flatnonzero(kinds >= 0), np.flatnonzero(np.diff(kinds == RUN, prepend=False))
        starts, ends = edges[::2], edges[1::2]  # as many: every text ends with a blank
        runs = self._runs([joined[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)])

        counts = np.zeros(len(kinds), dtype=np.int64)  # of tokens that begin at a character
        counts[alone], counts[starts] = 1, runs.lengths
        until = np.cumsum(counts)
        sizes = np.array([len(text) + 1 for text in texts], dtype=np.int64)
        lengths = np.diff(until[np.cumsum(sizes) - 1], prepend=0)
        single = until[alone] - 1
        inside = np.repeat(until[starts] - np.cumsum(runs.lengths), runs.lengths) + np.arange(len(runs.ids))
        ids, offsets = np.empty(lengths.sum(), np.int32), np.empty((lengths.sum(), 2), np.int64)
        ids[single], ids[inside] = kinds[alone], runs.ids
        offsets[single] = alone[:, None] + np.arange(2)
        offsets[inside] = runs.offsets + np.repeat(starts, runs.lengths)[:, None]
        return Read(ids, offsets - np.repeat(np.cumsum(sizes) - sizes, lengths)[:, None], lengths)

    def _runs(self, runs: Sequence[str]) -> Read:
        with self._lock:  # a stage reads ahead on a thread of its own
            if self._kept > KEPT:
                self._forget()
            new = list(dict.fromkeys(run for run in runs if run not in self._numbers))
            if new:
                self._numbers.update(zip(new, range(len(self._numbers), len(self._numbers) + len(new)), strict=True))
                self._said = self._said.and_then(_by_library(self._backend, new))
                self._kept += sum(map(len, new))
            return self._said.of(np.fromiter(map(self._numbers.__getitem__, runs), np.int64, len(runs)))

    def _forget(self) -> None:
        self._numbers: dict[str, int] = {}
        self._said, self._kept = _by_library(self._backend, []), 0


def _kinds(backend: Tokenizer) -> np.ndarray:
    """int32 [0x110000]: of every character its id where it always stands alone, else RUN or BLANK.

    One does if the library takes it out from between two letters, of which the second then begins a word of its own.
    """
    kinds = np.full(0x110000, RUN, dtype=np.int32)
    chars = [token for token in backend.get_vocab() if len(token) == 1]
    coded, letter = (_by_library(backend, [text]) for text in (" ".join(f"a{char}a" for char in chars), "a"))
    words = coded.offsets[:, 0] // len("aaa ")
    three = np.bincount(words, minlength=len(chars)) == len("aaa")
    ids = coded.ids[three[words]].reshape(-1, 3)
    apart = (ids[:, [0, 2]] == letter.ids).all(axis=1)
    kinds[np.array(list(map(ord, chars)), dtype=np.int64)[three][apart]] = ids[apart, 1]
    kinds[[ord(char) for char in BLANKS]] = BLANK
    return kinds
