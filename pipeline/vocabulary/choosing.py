"""Which words of a domain become one token: those that save the most tokens.

A word that stands n times in p pieces saves n (p - 1) tokens. They are taken greedily, and what a word saves is asked
anew when it is its turn: once `neural` is one token, `neurals` saves less. Ties go by the alphabet.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import islice

from transformers import PreTrainedTokenizerBase

from pipeline.lookup import uncut_reader
from pipeline.tokens import Spans
from pipeline.vocabulary.families import Family, Unit

READ_AT_ONCE = 256
"""Texts."""


@dataclass(frozen=True)
class VocabularyConfig:
    """Words of domain and task training text that a base reads in several tokens, and is to read in one."""

    words: int = 0
    """How many are added to the tokenizer of the base, with the mean of their pieces as embedding; 0 = none."""
    min_count: int = 10
    """How often a word must stand in what is counted: the embedding of a rarer one would hardly be trained."""
    documents: int = 50_000
    """Documents of each corpus that are counted, chosen by their ids: memory does not grow with the text."""

    def __post_init__(self) -> None:
        for name, least in (("words", 0), ("min_count", 1), ("documents", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least {least}")


@dataclass(frozen=True)
class NewWord:
    """A word that was taken."""

    written: str
    count: int
    """How often it stands in what was counted."""
    saved: int
    """Tokens there that it saves, those taken before it being there; of an unknown word, its count."""


def counted(family: Family, tokenizer: PreTrainedTokenizerBase, texts: Iterable[str], spans: Spans) -> Counter[Unit]:
    """How often each word stands in texts that the tokenizer reads in several tokens, or does not know."""
    reader, texts, counts = uncut_reader(tokenizer), iter(texts), Counter()
    while some := list(islice(texts, READ_AT_ONCE)):
        for text, coded in zip(some, reader.encode_batch(some, add_special_tokens=False), strict=True):
            counts.update(family.units(text, coded, spans))
    return counts


def taken(family: Family, counts: Counter[Unit], config: VocabularyConfig) -> list[NewWord]:
    """Give the family the best words, at most as many as are asked for; numbers and signs are none."""
    family.see(counts)
    saved: Callable[[Unit], int] = lambda unit: counts[unit] * (family.cost(unit) - 1)
    often = [(family.written(unit), unit) for unit, count in counts.items() if count >= config.min_count]
    heap = [(-saved(unit), word, unit) for word, unit in often if any(map(str.isalpha, word))]
    heapify(heap)
    found: list[NewWord] = []
    while heap and len(found) < config.words:
        promised, word, unit = heappop(heap)
        now = saved(unit)
        if now < -promised:
            if now:
                heappush(heap, (-now, word, unit))
        elif family.take(unit):
            found.append(NewWord(word, counts[unit], now))
    return found
