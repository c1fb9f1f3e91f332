"""What may stand for a word: words of as many tokens that are like it, by meaning, by sound or by a list.

One table serves `similar` and `confusion`: a word is a tuple of ids, its entry a hash of them, its candidates are
tuples of the same length, all flat so that a batch is looked up at once. It is one safetensors file. There are three
ways to fill it:

    similar_words   neighbours among the base model's input embeddings; MacBERT took those of word2vec
    from_words      a list of synonyms or of look-alikes: `word<TAB>other<TAB>other…`
    same_sound      Chinese characters of one pinyin, as in Liu et al. 2021
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from pipeline.draws import bits, further
from pipeline.masking.rows import ranges, steps
from pipeline.run.errors import InputError

Word = tuple[int, ...]
"""A word as the ids of its tokens."""
FILE = "substitutes.safetensors"
"""Its name beside the sequences it was made for."""
BLOCK = 256
"""Words whose neighbours are computed at once."""


@dataclass(frozen=True)
class Substitutes:
    """Words and their candidates: those of entry i are `offsets[i] : offsets[i + 1]` of `ids`, end to end."""

    hashes: np.ndarray  # uint64 [N], rising
    lengths: np.ndarray  # int64 [N] tokens of the word, and of each candidate
    offsets: np.ndarray  # int64 [N + 1]
    ids: np.ndarray  # int32

    @classmethod
    def of(cls, candidates: Mapping[Word, Sequence[Word]]) -> "Substitutes":
        """The table of a mapping; candidates of another length, and the word itself, are left out."""
        sound = {
            word: [other for other in others if len(other) == len(word) and other != word]
            for word, others in candidates.items()
        }
        words = [word for word, others in sound.items() if others and word]
        names = _hashes(words)
        order = np.argsort(names)
        flat = [np.array([sound[words[i]]], dtype=np.int32).ravel() for i in order]
        return cls(
            hashes=names[order],
            lengths=np.array([len(words[i]) for i in order], dtype=np.int64),
            offsets=np.cumsum([0, *map(len, flat)], dtype=np.int64),
            ids=np.concatenate([np.zeros(0, np.int32), *flat]),
        )

    @classmethod
    def load(cls, path: Path) -> "Substitutes":
        """From a file that `save` wrote; an InputError where there is none."""
        if not path.exists():
            raise InputError(
                f"no substitutes in {path}: run make masked with masked.replacement = similar or confusion"
            )
        return cls(**load_file(path))

    def save(self, path: Path) -> None:
        """As one safetensors file."""
        save_file({field.name: getattr(self, field.name) for field in fields(self)}, path)

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, names: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """int64 [N]: the entry of each word by its hash uint64 [N] and number of tokens int [N]; -1 where none is."""
        if not len(self):
            return np.full(len(names), -1)
        entry = np.minimum(np.searchsorted(self.hashes, names), len(self) - 1)
        return np.where((self.hashes[entry] == names) & (self.lengths[entry] == lengths), entry, -1)

    def tokens_of(self, entries: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """int32: the ids of one candidate of each entry, end to end; `drawn` [N] in [0, 1) says which."""
        length, first = self.lengths[entries], self.offsets[entries]
        count = (self.offsets[entries + 1] - first) // length
        return self.ids[ranges(first + (drawn * count).astype(np.int64) * length, length)]


def hashes(ids: np.ndarray, start: np.ndarray) -> np.ndarray:
    """uint64 [N]: a hash of each word, given the ids [M] of all end to end and where each begins, int [N]."""
    if not len(start):
        return np.zeros(0, dtype=np.uint64)
    place = np.arange(len(ids)) - np.repeat(start, np.diff(start, append=len(ids)))
    return np.add.reduceat(further(bits(0, 0, place), ids), start)


def _hashes(words: Sequence[Word]) -> np.ndarray:
    lengths = np.array([len(word) for word in words], dtype=np.int64)
    return hashes(np.array([i for word in words for i in word], dtype=np.int64), np.cumsum(lengths) - lengths)


def words_of(input_ids: np.ndarray, word_ids: np.ndarray) -> list[Word]:
    """The words of a sequence as ids, in order, to be counted; both int [L], word_ids -1 outside words."""
    inside = np.flatnonzero(word_ids >= 0)
    edges = np.flatnonzero(steps(word_ids[inside])) + 1
    return [tuple(word.tolist()) for word in np.split(input_ids[inside], edges) if len(word)]


def similar_words(
    counts: Mapping[Word, int], embeddings: np.ndarray, neighbours: int = 10, min_count: int = 5
) -> dict[Word, list[Word]]:
    """Word -> the words of as many tokens whose mean input embeddings are nearest by cosine, nearest first.

    counts: how often each word occurs; rarer ones than `min_count` are neither looked up nor offered, for their
    embeddings say little. embeddings: float [V, width] of the base model.
    """
    found: dict[Word, list[Word]] = {}
    frequent = sorted(word for word, count in counts.items() if count >= min_count)
    for length in sorted({len(word) for word in frequent}):
        words = [word for word in frequent if len(word) == length]
        vectors = embeddings[np.array(words)].mean(axis=1)
        vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        nearest = _nearest(vectors, min(neighbours, len(words) - 1))
        found |= {word: [words[i] for i in row] for word, row in zip(words, nearest.tolist(), strict=True)}
    return found


def _nearest(vectors: np.ndarray, count: int) -> np.ndarray:
    """int64 [N, count]: the other rows of the largest dot product, largest first."""
    blocks = []
    for begin in range(0, len(vectors), BLOCK):
        likeness = vectors[begin : begin + BLOCK] @ vectors.T
        mine = np.arange(len(likeness))
        likeness[mine, begin + mine] = -np.inf
        best = np.argpartition(-likeness, max(count - 1, 0), axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(likeness, best, axis=1), axis=1, kind="stable")
        blocks.append(np.take_along_axis(best, order, axis=1))
    return np.concatenate(blocks)


def read_words(path: Path) -> dict[str, list[str]]:
    """A list of words and what may stand for them: a line each, `word<TAB>other<TAB>other…`, UTF-8."""
    if not path.exists():
        raise InputError(f"no list of words in {path}: write one, a line each: word<TAB>other<TAB>other…")
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {word: [other for other in others if other] for word, *others in lines}


def from_words(
    words: Mapping[str, Sequence[str]], encode: Callable[[list[str]], list[list[int]]]
) -> dict[Word, list[Word]]:
    """A list of words as ids; `encode` turns texts into ids, without special tokens."""
    texts = [text for word, others in words.items() for text in (word, *others)]
    ids = iter(map(tuple, encode(texts)))
    return {next(ids): [next(ids) for _ in others] for others in words.values()}


def same_sound(vocabulary: Mapping[str, int]) -> dict[Word, list[Word]]:
    """Chinese character -> the other characters of the vocabulary with the same pinyin, whatever the tone."""
    try:
        from pypinyin import lazy_pinyin
    except ImportError as error:
        raise InputError("pinyin needs the package pypinyin: pip install pypinyin") from error
    sounds: dict[str, list[Word]] = defaultdict(list)
    for token, number in sorted(vocabulary.items(), key=lambda item: item[1]):
        if len(token) == 1 and "\u4e00" <= token <= "\u9fff":
            sounds[lazy_pinyin(token)[0]].append((number,))
    return {word: [other for other in words if other != word] for words in sounds.values() for word in words}
