"""Made-up text. As ids, how long its sequences are is what matters to speed, not what they say; as lines, what is
in them.

Lengths are lognormal, cut at the maximum, as of short reviews and sentences of an encyclopedia: many short ones, a
long tail. Ids follow Zipf's law over a Chinese vocabulary of BERT's size; words have 1.7 tokens on average, and every
tenth is important.
"""

import logging
from dataclasses import dataclass

import jieba
import numpy as np
from transformers import BertTokenizer, PreTrainedTokenizerBase

from corpora.segment import private_cache
from corpora.stop_words import stop_words
from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig, Policy
from pipeline.masking.replacement import Vocabulary
from pipeline.tokens import replaceable_ids

VOCABULARY = 21128
"""As of bert-base-chinese."""

CLS, SEP = 2, 3
TYPICAL, DEVIATION = 0.387, 0.75
"""Median length as a share of the maximum, and deviation of its logarithm: they fill 45 % of a padded batch."""


@dataclass(frozen=True)
class Text:
    """Sequences, and the tokenizer whose ids they hold."""

    sequences: Sequences
    tokenizer: PreTrainedTokenizerBase
    longest: int

    @property
    def lengths(self) -> np.ndarray:
        """int [N]: tokens of each sequence."""
        return np.diff(self.sequences.offsets)

    @property
    def fill(self) -> float:
        """Share of real tokens when every sequence is padded to the longest allowed."""
        return float(self.lengths.mean()) / self.longest

    def rows(self) -> list[np.ndarray]:
        """The ids of each sequence."""
        return np.split(self.sequences.input_ids, self.sequences.offsets[1:-1])

    def batches(self, policy: Policy) -> MaskedBatches:
        """As the product reads them."""
        vocabulary = Vocabulary(self.tokenizer.mask_token_id, replaceable_ids(self.tokenizer))
        return MaskedBatches(self.sequences, MaskingConfig(policy=policy), vocabulary, self.tokenizer.pad_token_id)


def text(count: int, longest: int = 128, seed: int = 0) -> Text:
    """`count` sequences of at most `longest` tokens, special tokens included."""
    draw = np.random.default_rng(seed)
    lengths = np.clip(draw.lognormal(np.log(TYPICAL * longest), DEVIATION, count), 5, longest).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    size, first, last = int(offsets[-1]), offsets[:-1], offsets[1:] - 1
    ids = 4 + (VOCABULARY - 4) ** draw.random(size)
    ids[first], ids[last] = CLS, SEP
    begins = draw.random(size) < 0.6
    begins[first], begins[first + 1] = False, True
    numbers = np.cumsum(begins)
    important = draw.integers(1, 142, numbers[-1] + 1).astype(np.uint8)[numbers]
    words = numbers - np.repeat(numbers[first] + 1, lengths)
    words[first] = words[last] = -1
    names = np.array([f"bench-{draw.integers(2**62):016x}" for _ in range(count)], dtype="S")
    sequences = Sequences(names, offsets, ids.astype(np.int32), words.astype(np.int32), important)
    return Text(sequences, tokenizer(longest), longest)


def lines(count: int, seed: int = 0) -> list[str]:
    """`count` lines of Chinese to be cut into words, of lengths as above: jieba's words, drawn by their frequency.

    Between them stand punctuation, numbers, Latin words, and names of two ideographs that are in no dictionary.
    """
    jieba.setLogLevel(logging.ERROR)
    jieba.dt.tmp_dir = str(private_cache())
    jieba.initialize()
    draw, known = np.random.default_rng(seed), {word: n for word, n in jieba.dt.FREQ.items() if n}
    words, counts = list(known), np.array(list(known.values()))
    sizes = _sizes(draw, count)
    drawn = draw.choice(len(words), sizes.sum(), p=counts / counts.sum())
    names = ["".join(map(chr, pair)) for pair in draw.integers(0x4E00, 0x9FA5, (100, 2))]
    between = ["，", "。", "、", "“", "”", " 3.14 ", "2024", "iPhone", "well-made", *names]
    more = np.where(draw.random(len(drawn)) < 0.2, draw.zipf(1.5, len(drawn)) % len(between), -1)
    pieces = [words[word] + (between[place] if place >= 0 else "") for word, place in zip(drawn, more, strict=True)]
    return _cut(pieces, sizes)


def english_lines(count: int, seed: int = 0) -> list[str]:
    """`count` lines of English's shape, of lengths as above: nearly half are its function words, the rest made up of
    syllables, by Zipf's law over 50,000."""
    draw, known = np.random.default_rng(seed), np.array(sorted(stop_words("en")))
    syllables = np.array(["ba", "con", "der", "el", "fi", "ing", "lo", "mar", "ne", "or", "pre", "sta", "ti", "ver"])
    made = np.array(["".join(parts[: 1 + i % 4]) for i, parts in enumerate(draw.choice(syllables, (50_000, 4)))])
    sizes = _sizes(draw, count)
    places = draw.zipf(1.3, sizes.sum()) % len(made)
    function = draw.integers(len(known), size=len(places))
    words = np.where(draw.random(len(places)) < 0.45, known[function], made[places])
    after = np.array([" ", ", ", ". "])[np.searchsorted([0.85, 0.93], draw.random(len(places)))]
    return _cut(np.char.add(words, after).tolist(), sizes)


def prose(language: str, count: int, seed: int = 0) -> list[str]:
    """`count` documents of four lines, in Chinese ("zh") or English ("en")."""
    made = (lines if language == "zh" else english_lines)(4 * count, seed)
    return ["\n".join(made[start : start + 4]) for start in range(0, len(made), 4)]


def _sizes(draw: np.random.Generator, count: int) -> np.ndarray:
    """int64 [count]: words of each line."""
    return np.clip(draw.lognormal(np.log(TYPICAL * 128), DEVIATION, count), 5, 512).astype(np.int64)


def _cut(pieces: list[str], sizes: np.ndarray) -> list[str]:
    """The pieces joined, so many a line."""
    return ["".join(pieces[end - size : end]) for size, end in zip(sizes, np.cumsum(sizes), strict=True)]


def tokenizer(longest: int) -> PreTrainedTokenizerBase:
    """BERT's tokenizer over special tokens and Chinese characters, `VOCABULARY` entries in all."""
    characters = [chr(0x4E00 + number) for number in range(20_992)]
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters]
    entries += [f"##{char}" for char in characters[: VOCABULARY - len(entries)]]
    return BertTokenizer(vocab={entry: number for number, entry in enumerate(entries)}, model_max_length=longest)
