"""Text -> ids, and the word each id belongs to, for every tokenizer family.

Words are character spans from a segmenter, tokens are character spans from a tokenizer, and neither knows the other:

- A token belongs to the words it shares a character with. The blank before a word, as in byte-level BPE and Metaspace,
  belongs to that word, or at the end of a text to the last one.
- Words that share a token are one word, with the number of the first: `的人` is one token to many a model, and whole
  words are masked so that no half of one is left to guess the other by.
- Several tokens in one character, as bytes are, belong to its word, and so do all tokens of a word.
- A special or unknown token belongs to no word (-1) and joins none: nothing can be learned from predicting it.

So the numbers never go back, the tokens of a word stand together (but for unknown ones among them), and a word of
which the tokenizer leaves nothing, such as a control character, has no token: its number is missing.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

from pipeline.lookup import read, uncut_reader
from pipeline.run.errors import InputError

Spans = Callable[[str], np.ndarray]
"""Text -> int [words, 2]: character spans of its words."""


@dataclass(frozen=True)
class Tokens:
    """Ids of one sequence with special tokens, and the word number of each (-1 for special and unknown tokens)."""

    input_ids: np.ndarray  # int32 [L]
    word_ids: np.ndarray  # int32 [L]


@dataclass(frozen=True)
class Frame:
    """The special tokens a tokenizer puts before, between and after texts."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Frame":
        """Found by probing, so that every tokenizer family is served by the same lines.

        A decoder's tokenizer puts nothing after a text: there its end mark is, or the model would unlearn to stop.
        """
        probe = tokenizer("a", add_special_tokens=False)["input_ids"]
        single, pair = tokenizer("a")["input_ids"], tokenizer("a", "a")["input_ids"]
        start = _find(single, probe)
        before, after = single[:start], single[start + len(probe) :]
        between = pair[start + len(probe) : len(pair) - len(after) - len(probe)]
        if not after and tokenizer.eos_token_id is not None:
            after = [tokenizer.eos_token_id]
        return cls(tuple(before), tuple(between), tuple(after))

    def room(self, max_length: int) -> int:
        """How many tokens of a single text fit."""
        room = max_length - len(self.before) - len(self.after)
        if room < 1:
            raise InputError(f"max_length = {max_length} leaves no room for text between special tokens: raise it")
        return room

    def around(self, text: Tokens) -> Tokens:
        """A text between its special tokens."""
        inside = slice(len(self.before), len(self.before) + len(text.input_ids))
        size = inside.stop + len(self.after)
        ids, words = np.empty(size, np.int32), np.full(size, -1, np.int32)
        ids[: inside.start], ids[inside], ids[inside.stop :] = self.before, text.input_ids, self.after
        words[inside] = text.word_ids
        return Tokens(ids, words)


def _find(ids: list[int], probe: list[int]) -> int:
    return next(i for i in range(len(ids)) if ids[i : i + len(probe)] == probe)


def words_of_tokens(offsets: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """int32 [T]: the word of each token, never decreasing.

    offsets int [T, 2] and spans int [W, 2] are characters from and to, both in order; spans do not overlap, and the
    last one ends after every token has begun.
    """
    first = np.searchsorted(spans[:, 1], offsets[:, 0], side="right")
    last = np.maximum(np.searchsorted(spans[:, 0], offsets[:, 1]) - 1, first)  # before it: a blank alone
    return _joined(first, last, len(spans))[first]


def _joined(first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """int32 [count]: of each word, the first of those joined with it by tokens that reach from `first` to `last`."""
    reach = np.cumsum(np.bincount(first, minlength=count) - np.bincount(last, minlength=count))
    numbers = np.arange(count, dtype=np.int32)
    numbers[1:][reach[:-1] > 0] = 0  # a token reaches into this word from the one before
    return np.maximum.accumulate(numbers)


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spans: Spans) -> Iterator[Tokens]:
    """Ids and words of whole texts, without special tokens and uncut.

    Special tokens written in a text, such as a literal `[MASK]`, are read as plain characters.
    """
    found = read(tokenizer, texts)
    ids, lengths = found.ids, found.lengths
    known = ~np.isin(ids, tokenizer.all_special_ids)
    words = _words_of_texts(texts, spans, lengths, found.offsets, known)
    if tokenizer.unk_token_id is not None:  # a unigram model may have special tokens among its pieces
        ids[~known] = tokenizer.unk_token_id
    for end, length in zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
        yield Tokens(ids[end - length : end], words[end - length : end])


def _words_of_texts(
    texts: Sequence[str], spans: Spans, lengths: np.ndarray, offsets: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """int32 [T]: the word of each token of many texts, counted from 0 in each; -1 if not `known`, or without a word.

    lengths [texts] are numbers of tokens; offsets [T, 2] and known [T] are of all tokens, text after text. The texts
    are looked at as one, each moved behind the one before it: a short one costs no calls of its own.
    """
    found = [np.zeros((0, 2), dtype=np.int64), *map(spans, texts)]
    words = np.array([len(each) for each in found[1:]], dtype=np.int64)
    sizes = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    ends, before = np.cumsum(sizes), np.cumsum(words) - words
    edges = np.concatenate(found) + np.repeat(ends - sizes, words)[:, None]
    edges[(before + words - 1)[words > 0], 1] = ends[words > 0]  # blanks at the end of a text belong to its last word
    text = np.repeat(np.arange(len(texts)), lengths)
    inside = known & (words > 0)[text]
    numbers, text = np.full(len(known), -1, dtype=np.int32), text[inside]
    numbers[inside] = words_of_tokens(offsets[inside] + (ends - sizes)[text, None], edges) - before[text]
    return numbers


def encode_tokens(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[str]]) -> Iterator[Tokens]:
    """Ids of rows of tokens, and the token each belongs to, unknown ones too; without special tokens and uncut.

    Tokens are read with a blank between them, as words of a text are: what stood between them is not known. One that
    the tokenizer makes nothing of has no id.
    """
    coded = uncut_reader(tokenizer).encode_batch([" ".join(tokens) for tokens in rows], add_special_tokens=False)
    for tokens, each in zip(rows, coded, strict=True):
        ends = np.cumsum([len(token) + 1 for token in tokens], dtype=np.int64)
        spans = np.stack([ends - [len(token) + 1 for token in tokens], ends - 1], axis=1) if tokens else ends
        offsets = np.array(each.offsets, dtype=np.int64).reshape(-1, 2)
        words = words_of_tokens(offsets, spans) if len(offsets) else np.zeros(0, dtype=np.int32)
        yield Tokens(np.array(each.ids, dtype=np.int32), words)


def cut_points(word_ids: np.ndarray, room: int) -> list[tuple[int, int]]:
    """Pieces of at most `room` tokens, cut between words; a word longer than the room is cut inside."""
    if len(word_ids) <= room:
        return [(0, len(word_ids))]
    edges = np.flatnonzero(np.diff(word_ids, prepend=-2))  # a token at an edge begins a word
    pieces, start = [], 0
    while len(word_ids) - start > room:
        last = edges[np.searchsorted(edges, start + room, side="right") - 1]
        end = int(last) if last > start else start + room
        pieces.append((start, end))
        start = end
    return [*pieces, (start, len(word_ids))]


def texts_of(batch: dict[str, list]) -> list[str]:
    """The text of each document of a batch; a pair is one text of two lines."""
    return [t if p is None else f"{t}\n{p}" for t, p in zip(batch["text"], batch["text_pair"], strict=True)]


def sequence_rows(
    batch: dict[str, list], tokenizer: PreTrainedTokenizerBase, spans: Spans, max_length: int
) -> Iterator[dict[str, object]]:
    """Sequences of at most `max_length` ids from a batch of documents: `id`, `input_ids`, `word_ids`.

    Nothing is cut off: a longer document becomes several sequences, `id`, `id#1`, `id#2`, …
    """
    frame = Frame.of(tokenizer)
    for name, whole in zip(batch["id"], encode(tokenizer, texts_of(batch), spans), strict=True):
        for number, (start, end) in enumerate(cut_points(whole.word_ids, frame.room(max_length))):
            part = frame.around(Tokens(whole.input_ids[start:end], whole.word_ids[start:end]))
            yield {
                "id": f"{name}#{number}" if number else name,
                "input_ids": part.input_ids,
                "word_ids": part.word_ids,
            }


def fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """What a tokenizer does, as a hash: two corpora of ids with one fingerprint mean the same by an id.

    Truncation and padding are left out: they belong to the last call, or to what a checkpoint was used for.
    """
    backend = tokenizer.backend_tokenizer
    if backend.truncation or backend.padding:
        backend = Tokenizer.from_str(backend.to_str())
        backend.no_truncation()
        backend.no_padding()
    return hashlib.sha256(backend.to_str().encode()).hexdigest()[:16]


def replaceable_ids(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """int32: ids that may stand in for a masked token: no special, added or unused one."""
    out = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    vocabulary = tokenizer.get_vocab()
    out |= {i for token, i in vocabulary.items() if token.lower().startswith("[unused")}
    return np.array(sorted(set(vocabulary.values()) - out), dtype=np.int32)


def unknown_rate(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> float:
    """Share of tokens that are unknown."""
    unknown = total = 0
    for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]:
        unknown += ids.count(tokenizer.unk_token_id)
        total += len(ids)
    return unknown / max(total, 1)


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, rows: int, place: str, masks: bool = True) -> None:
    """Refuse a tokenizer that cannot serve a model of `rows` embeddings, which `masks` or predicts next tokens."""
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {place} is a slow one without offsets: save it as tokenizer.json first")
    if masks and tokenizer.mask_token_id is None:
        raise InputError(
            f"the tokenizer of {place} has no mask token: choose a model made for masked language modelling"
        )
    if len(tokenizer) > rows:
        raise InputError(
            f"the tokenizer of {place} has {len(tokenizer)} entries, its model only {rows} embeddings: "
            "they do not belong together; take both from one checkpoint"
        )


def planted_words(text: str, spans: np.ndarray, keywords: Sequence[str]) -> np.ndarray:
    """bool [words]: the words of a text that are among `keywords`, or lie inside an occurrence of one."""
    truth = np.zeros(len(spans), dtype=bool)
    for keyword in keywords:
        start = text.find(keyword)
        while start >= 0:
            truth |= (spans[:, 0] < start + len(keyword)) & (spans[:, 1] > start)
            start = text.find(keyword, start + 1)
    return truth
