"""cutting text into words, and ids with their words

Chinese lines, written of jieba's own dictionary: words drawn by their frequency there, and between them punctuation,
numbers, Latin words and made-up names, which no dictionary has. Real text holds more that is unknown to all.

First table: the words alone, beside `jieba.lcut`. *Same lines* are cut exactly as jieba does, *word F1* counts words
with both ends alike. Ours under the name jieba is the library with its search done in one pass. Unicode rules take
every ideograph for a word: they are for other languages, and here for their speed.

Second table: from text to ids and the word of each. The peer is what people write around transformers: a tokenizer
that returns offsets, `jieba.lcut`, and a loop over characters and tokens.
"""

import statistics
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import jieba
from transformers import PreTrainedTokenizerBase

from corpora.segment import Segmenter
from pipeline.tokens import encode
from tests.benchmarks.text import lines, tokenizer
from tests.benchmarks.timing import Found, Rows, cpu_seconds, in_turns, spread, times

ROUNDS, LINES = 11, 1500
SEGMENTERS = ("jieba", "rjieba", "unicode")
LCUT, LOOP = "jieba.lcut", "transformers, jieba.lcut and a loop"


def measure(quick: bool) -> Found:
    """What was read, and two tables."""
    texts = lines(60 if quick else LINES)
    cuts = {name: Segmenter(name).spans for name in SEGMENTERS}
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    rounds = 2 if quick else ROUNDS
    first, *ours = rows(timed(cutting(texts, cuts), rounds), megabytes, LCUT)
    ours = [row | agreement(texts, spans) for row, spans in zip(ours, cuts.values(), strict=True)]
    versions = ", ".join(f"{name} {version(name)}" for name in ("jieba", "rjieba", "tokenizers"))
    facts = f"{len(texts):,} lines, {megabytes:.2f} MB; {rounds} rounds; {versions}."
    return [facts, [first, *ours], rows(timed(reading(texts, cuts), rounds), megabytes, LOOP)]


def cutting(texts: list[str], cuts: dict[str, Callable]) -> dict[str, Callable[[], object]]:
    """The words of all lines."""
    arms = {f"Keymask, {name}": partial(lambda spans: [spans(text) for text in texts], cuts[name]) for name in cuts}
    return {LCUT: lambda: [jieba.lcut(text) for text in texts], **arms}


def reading(texts: list[str], cuts: dict[str, Callable]) -> dict[str, Callable[[], object]]:
    """Ids and words of all lines."""
    bert = tokenizer(512)
    ours = lambda spans: list(encode(bert, texts, spans))
    return {
        LOOP: lambda: by_loop(bert, texts),
        **{f"Keymask, {name}": partial(ours, cuts[name]) for name in ("jieba", "rjieba")},
    }


def by_loop(bert: PreTrainedTokenizerBase, texts: list[str]) -> list[tuple[list[int], list[int]]]:
    """As people write it: a list from character to word, and a look-up for each token."""
    coded, found = bert(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False), []
    for text, ids, offsets in zip(texts, coded["input_ids"], coded["offset_mapping"], strict=True):
        word_of_char = []
        for number, word in enumerate(jieba.lcut(text)):
            word_of_char += [number] * len(word)
        found.append((ids, [word_of_char[start] for start, _ in offsets]))
    return found


def agreement(texts: list[str], spans: Callable) -> dict[str, str]:
    """How far words are those of jieba: whole lines, and words counted one by one."""
    same = hits = total = 0
    for text in texts:
        theirs, place = set(), 0
        for word in jieba.lcut(text):
            theirs.add((place, place + len(word)))
            place += len(word)
        theirs = {(start, end) for start, end in theirs if not text[start:end].isspace()}
        ours = set(map(tuple, spans(text).tolist()))
        same, hits, total = same + (ours == theirs), hits + 2 * len(ours & theirs), total + len(ours) + len(theirs)
    return {"same lines": f"{100 * same / len(texts):.1f}%", "word F1": f"{100 * hits / total:.2f}%"}


def timed(arms: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each arm, round by round."""
    return in_turns({name: lambda _, call=call: cpu_seconds(call) for name, call in arms.items()}, rounds)


def rows(measured: dict[str, list[float]], megabytes: float, peer: str) -> Rows:
    """MB of text a second, with the ratio to the peer."""
    medians = {name: statistics.median(values) for name, values in measured.items()}
    return [
        {
            "": name,
            "MB / CPU s": f"{megabytes / medians[name]:.2f}",
            "spread": spread(values),
            "to the peer": "1 (peer)" if name == peer else times(medians[peer], medians[name]),
        }
        for name, values in measured.items()
    ]
