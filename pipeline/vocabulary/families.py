"""How a tokenizer takes a whole word as one token, family by family.

**WordPiece** (BERT, ELECTRA): the word goes into the model's vocabulary, so that it is found after normalisation, as
the longest piece at the beginning of a word, like every other entry. A BERT tokenizer parts ideographs before it looks
anything up: of Chinese an entry can be a character that it did not know, never a word.

**Byte-level BPE** (RoBERTa, ModernBERT): merges are appended that lead from the pieces of a word, the blank before it
among them, to one token. They are of the lowest rank, so that they come to bear when every old merge has been made: of
any text the new tokens are the old ones, some of them joined. A word of more than two pieces takes an entry for each
step. (`ignore_merges` would do without steps, and transformers' RobertaTokenizer forgets it when it is loaded.)

Added tokens (`add_tokens`) are neither: they are found in the text before it is normalised and parted, also inside of
other words or with the blank lost, and are never drawn as random words by masking.
"""

import json
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, pairwise

import numpy as np
from tokenizers import Encoding, Tokenizer, decoders
from transformers import PreTrainedTokenizerBase

from pipeline.run.errors import InputError
from pipeline.tokens import Spans, words_of_tokens

Unit = tuple[str, ...]
"""A word as the old tokenizer reads it: its pieces; of one it does not know, the word itself."""

Model = dict[str, object]
"""The model in a tokenizer.json."""


class Family(ABC):
    """A tokenizer that is given words."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, ...]] = {}
        """Every new entry, in order, and the old pieces of what it stands for."""

    @abstractmethod
    def units(self, text: str, coded: Encoding, spans: Spans) -> Iterator[Unit]:
        """The words of a text that are read in several tokens, or not at all.

        `spans` are the words of a segmenter, for a tokenizer that does not part words itself.
        """

    def see(self, units: Iterable[Unit]) -> None:  # noqa: B027  not all need to
        """The words of the text, before any is taken."""

    @abstractmethod
    def cost(self, unit: Unit) -> int:
        """In how many tokens a word is read by now; one that is not known counts as two."""

    @abstractmethod
    def take(self, unit: Unit) -> bool:
        """Read this word as one token from now on, unless that cannot be or does harm."""

    @abstractmethod
    def written(self, unit: Unit) -> str:
        """The word as text."""

    def extend(self, model: Model) -> None:  # noqa: B027  not all have more
        """Write what is more than entries into the model of a tokenizer.json."""


class WordPieces(Family):
    """Entries of a WordPiece model.

    The longest piece from the left is taken whatever follows, so that a new entry may leave a rest nobody knows: a
    word is taken only if no other word of the text comes to be read in more pieces than before, or not at all.
    """

    def __init__(self, backend: Tokenizer, model: Model) -> None:
        super().__init__()
        self.entries, self.words = set(model["vocab"]), []
        self.unknown, self.prefix = model["unk_token"], model["continuing_subword_prefix"]
        self.longest = model["max_input_chars_per_word"]
        self.normalize = backend.normalizer.normalize_str if backend.normalizer else str

    def units(self, text: str, coded: Encoding, spans: Spans) -> Iterator[Unit]:
        """The words as the tokenizer parts them, whatever a segmenter says."""
        tokens, offsets = coded.tokens, coded.offsets
        for word, places in groupby(range(len(tokens)), coded.word_ids.__getitem__):
            first, *more = places
            if tokens[first] == self.unknown:
                yield (self.normalize(text[slice(*offsets[first])]).strip(),)
            elif more and word is not None:
                yield tuple(tokens[first : more[-1] + 1])

    def see(self, units: Iterable[Unit]) -> None:
        """Kept in order, so that those with one beginning stand together."""
        self.words = sorted(set(map(self.written, units)))

    def cost(self, unit: Unit) -> int:
        """Pieces by now."""
        return len(self._pieces(self.written(unit))) or 2

    def take(self, unit: Unit) -> bool:
        """Left out is what would be read no better, or make another word worse."""
        word = self.written(unit)
        if not 0 < len(word) <= self.longest or len(self.normalize(word).split()) != 1:
            return False
        before = {other: len(self._pieces(other)) for other in self._beginning_with(word)}
        self.entries.add(word)
        now = {other: len(self._pieces(other)) for other in before}
        if any(was and not 0 < now[other] <= was for other, was in before.items()):
            self.entries.remove(word)
            return False
        self.made[word] = unit if len(unit) > 1 else (self.unknown,)
        return True

    def written(self, unit: Unit) -> str:
        """The pieces joined."""
        return unit[0] + "".join(piece.removeprefix(self.prefix) for piece in unit[1:])

    def _beginning_with(self, word: str) -> Iterator[str]:
        for i in range(bisect_left(self.words, word), len(self.words)):
            if not self.words[i].startswith(word):
                return
            yield self.words[i]

    def _pieces(self, word: str) -> list[str]:
        """The longest pieces from the left; none where the word is not known."""
        pieces, start = [], 0
        while start < len(word) <= self.longest:
            prefix = self.prefix if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.entries), None)
            if end is None:
                return []
            pieces.append(prefix + word[start:end])
            start = end
        return pieces


class Merges(Family):
    """Merges of a byte-level BPE model, after all it has."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.entries = set(model["vocab"])
        self.ranks: dict[tuple[str, str], int] = {}
        self.decoder = decoders.ByteLevel()

    def units(self, text: str, coded: Encoding, spans: Spans) -> Iterator[Unit]:
        """The words of the segmenter, parted where the tokenizer merges nothing."""
        tokens, edges = coded.tokens, np.array(spans(text), dtype=np.int64)
        if not len(edges) or not tokens:
            return
        edges[-1, 1] = len(text) + 1  # blanks at the end belong to the last word
        words = words_of_tokens(np.array(coded.offsets, dtype=np.int64), edges).tolist()
        both = list(zip(coded.word_ids, words, strict=True))
        for (part, _), places in groupby(range(len(tokens)), both.__getitem__):
            first, *more = places
            if more and part is not None:
                yield tuple(tokens[first : more[-1] + 1])

    def cost(self, unit: Unit) -> int:
        """Pieces by now."""
        return len(self._pieces(unit))

    def take(self, unit: Unit) -> bool:
        """Left out is what the old merges would make in another way: they might go on from there."""
        ranks, made, pieces = dict(self.ranks), dict(self.made), self._pieces(unit)
        while len(pieces) > 1:
            joined = pieces[0] + pieces[1]
            if joined in self.entries:
                self.ranks, self.made = ranks, made
                return False
            self.ranks[pieces[0], pieces[1]] = len(self.ranks)
            self.made.setdefault(joined, self._old(pieces[0]) + self._old(pieces[1]))
            pieces = self._pieces(unit)
        return True

    def written(self, unit: Unit) -> str:
        """The pieces joined."""
        return self.decoder.decode(["".join(unit)])

    def extend(self, model: Model) -> None:
        """The merges."""
        model["merges"] += map(list, self.ranks)

    def _old(self, piece: str) -> tuple[str, ...]:
        return self.made.get(piece, (piece,))

    def _pieces(self, unit: Unit) -> list[str]:
        """The pieces when the new merges have been made, the first rank first, from the left."""
        pieces = list(unit)
        while len(pieces) > 1:
            ranked = [(self.ranks.get(pair, len(self.ranks)), i) for i, pair in enumerate(pairwise(pieces))]
            rank, i = min(ranked)
            if rank == len(self.ranks):
                break
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        return pieces


def family_of(tokenizer: PreTrainedTokenizerBase, place: str) -> Family:
    """How the tokenizer of a place takes words, or an InputError where that is not known."""
    backend = tokenizer.backend_tokenizer
    whole = json.loads(backend.to_str())
    model = whole["model"]
    if model["type"] == "WordPiece":
        return WordPieces(backend, model)
    affixes = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    if model["type"] == "BPE" and _is_byte_level(whole["pre_tokenizer"]) and not affixes:
        return Merges(model)
    raise InputError(
        f"the tokenizer of {place} is of the kind {model['type']}, and words can be added to WordPiece (BERT) and "
        "byte-level BPE (RoBERTa, ModernBERT): set base.vocabulary.words = 0, or choose another base"
    )


def _is_byte_level(pre_tokenizer: Mapping[str, object] | None) -> bool:
    """Whether a pre-tokenizer, or one of a sequence, writes bytes as characters."""
    if pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return any(part["type"] == "ByteLevel" for part in parts)
