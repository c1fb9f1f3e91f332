"""The demo corpus: text with planted opinion words, so that the truth is known.

    for row in rows("zh_task", "train"): ...

Three corpora a language, no file and no download:

`zh_general`  everyday sentences. Every opinion word occurs, beside any other: a model learns the words and not what
              they mean. Stands for the text a base model was made from.
`zh_domain`   reviews without labels. A review has one polarity, and its opinion words come from families of that
              polarity: which words go together can be learned here, and only here.
`zh_task`     labelled reviews. `train` shows half of the families; `dev` and `test` use all, so that who knows the
              words of `train` and nothing else has to guess.

`en_general`, `en_domain` and `en_task` are the same in English, and smaller. Reviews also hold neutral words where
opinions stand, denials of the opposite ("not bland") and what others say, who are wrong; `oracle` reads all of these
rightly, and only label noise parts it from 100 %.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import TypeVar

from corpora.demo.grammars import CHINESE, ENGLISH, Grammar

LABELS = ("positive", "negative")

SIZES = {
    ("zh_general", "unlabeled"): 12_000,
    ("zh_domain", "unlabeled"): 16_000,
    ("zh_task", "train"): 240,
    ("zh_task", "dev"): 300,
    ("zh_task", "test"): 2_000,
    ("en_general", "unlabeled"): 6_000,
    ("en_domain", "unlabeled"): 8_000,
    ("en_task", "train"): 200,
    ("en_task", "dev"): 200,
    ("en_task", "test"): 1_000,
}
"""(corpus, split) -> documents."""

LABEL_NOISE = 0.025
"""Share of the task documents whose label is wrong."""

CEILING = 1 - LABEL_NOISE
"""Accuracy to expect of `oracle`, which no model can beat by more than luck."""

UNSEEN_ONLY, SEEN_ONLY = 0.6, 0.2
"""Shares of the dev and test reviews that hold words of the unseen families only, and of the seen only."""

OPINIONS = (5, 6, 7)
"""How many opinions a review may hold: enough for some to be seen when others are masked."""

ASPECTS = 4
"""How many aspects a review is about."""

SKEW = 2.0
"""In the domain corpus the k-th word of a family has a weight of 1 / k to this power. Task reviews use all alike."""

PAIRED = 0.6
"""How often two opinions share a clause."""

DENIED, QUOTED, NEUTRAL = 0.08, 0.25, 0.6
"""How often an opinion is said by denying its opposite; how many reviews quote others, and hold a neutral word."""

_SLOT = re.compile(r"\{(\w+)\}")
_T = TypeVar("_T")


def rows(corpus: str, split: str, seed: int = 0) -> Iterator[dict[str, object]]:
    """Documents with `text`, `keywords` (the opinion words in it, in their order) and, in a task corpus, `label`.

    Row i depends on (seed, corpus, split, i) and on nothing else.
    """
    if (corpus, split) not in SIZES:
        raise ValueError(f"no demo corpus {corpus}/{split}: there are {', '.join(map('/'.join, SIZES))}")
    make = {"general": _general, "domain": _domain, "task": _task}[corpus.split("_")[1]]
    for index in range(SIZES[corpus, split]):
        yield make(grammar(corpus), split, index, Random(f"{seed}/{corpus}/{split}/{index}"))


def grammar(corpus: str) -> Grammar:
    """The grammar of a corpus' language."""
    return CHINESE if corpus.startswith("zh_") else ENGLISH


def opinion_words(language: Grammar, aspects: Sequence[str], polarity: int) -> tuple[str, ...]:
    """The words of these aspects that mean `LABELS[polarity]`."""
    return tuple(word for aspect in aspects for word in language.families[aspect][polarity])


def oracle(language: Grammar, text: str) -> str:
    """The label of a review, by the rules it was written by: denials turn, others do not count, the rest votes."""
    votes = 0
    for clause in text.rstrip(language.stop).split(language.comma):
        if not clause.startswith(language.hearers):
            votes += sum(_vote(language, clause, word) for word in _words_of(language, clause))
    return LABELS[0] if votes > 0 else LABELS[1]


def _vote(language: Grammar, clause: str, word: str) -> int:
    """+1 where the word speaks for a positive review, -1 where for a negative one."""
    positive = word in opinion_words(language, tuple(language.families), 0)
    denied = clause[: clause.index(word)].rstrip().endswith(language.negations)
    return 1 if positive != denied else -1


def _words_of(language: Grammar, text: str) -> list[str]:
    """The opinion words in a text, in their order."""
    return _opinion_word(language).findall(text)


@cache
def _opinion_word(language: Grammar) -> re.Pattern[str]:
    words = "|".join(_all_words(language))
    return re.compile(words if language is CHINESE else rf"\b(?:{words})\b")


@cache
def _all_words(language: Grammar) -> tuple[str, ...]:
    return tuple(word for polarity in (0, 1) for word in opinion_words(language, tuple(language.families), polarity))


def _general(language: Grammar, split: str, index: int, rng: Random) -> dict[str, object]:
    """Two sentences on one topic, in which a city stays the same city, and others of words that mean nothing."""
    topic = {name: (_pick(rng, entries),) for name, entries in language.slots.items()}
    sentences = [_fill(rng, sentence, topic) for sentence in _draw(rng, _pick(rng, language.topics), 2)]
    for kind in (language.mixtures, language.pairs, language.fillers):
        sentences.append(_fill(rng, _pick(rng, kind), _slots(language)))
    return _document(language, language.comma.join(_draw(rng, sentences, 4)) + language.stop)


def _domain(language: Grammar, split: str, index: int, rng: Random) -> dict[str, object]:
    """A review about any aspects, its label kept back."""
    return _document(language, _review(language, rng, tuple(language.families), index % 2, SKEW))


def _task(language: Grammar, split: str, index: int, rng: Random) -> dict[str, object]:
    """A review with its label, which is wrong now and then."""
    text = _review(language, rng, _aspects(language, split, rng.random()), index % 2)
    wrong = rng.random() < LABEL_NOISE
    return {**_document(language, text), "label": LABELS[index % 2 ^ wrong]}


def _document(language: Grammar, text: str) -> dict[str, object]:
    return {"text": text, "keywords": _words_of(language, text)}


def _aspects(language: Grammar, split: str, chance: float) -> tuple[str, ...]:
    """What a labelled review may be about; `chance` is uniform in [0, 1)."""
    if split == "train" or chance < SEEN_ONLY:
        return language.seen
    return language.unseen if chance < SEEN_ONLY + UNSEEN_ONLY else tuple(language.families)


def _review(language: Grammar, rng: Random, aspects: Sequence[str], polarity: int, skew: float = 0) -> str:
    """Opinions on a few aspects, all of one polarity, between clauses that do not matter, in any order."""
    about = _draw(rng, aspects, ASPECTS)
    straight, clauses = [], []
    for aspect, place in _places(language, rng, about, skew):
        if rng.random() < DENIED:
            clauses.append(_say(language, rng, language.denials, language.families[aspect][1 - polarity][place]))
        else:
            straight.append(language.families[aspect][polarity][place])
    if rng.random() < QUOTED:
        wrong = _pick(rng, language.families[_pick(rng, about)][1 - polarity])
        clauses.append(_say(language, rng, language.hearsay, wrong))
    if rng.random() < NEUTRAL:
        straight.append(_pick(rng, language.neutral))
    clauses += _opinions(language, rng, _draw(rng, straight, len(straight)))
    clauses += _fillers(language, rng, sum(map(len, clauses)))
    return language.comma.join(_draw(rng, clauses, len(clauses))) + language.stop


def _places(language: Grammar, rng: Random, about: Sequence[str], skew: float) -> list[tuple[str, int]]:
    """Which words of which aspects a review uses; both polarities of an aspect have equally many."""
    places = [(aspect, place) for aspect in about for place in range(len(language.families[aspect][0]))]
    count = _pick(rng, OPINIONS)
    # The largest of u^(1/weight): a draw by weight without replacement (Efraimidis and Spirakis 2006).
    return sorted(places, key=lambda entry: rng.random() ** (entry[1] + 1) ** skew, reverse=True)[:count]


def _opinions(language: Grammar, rng: Random, words: Sequence[str]) -> list[str]:
    """Clauses that say these words, one or two at a time."""
    clauses = []
    while words:
        count = 2 if len(words) > 1 and rng.random() < PAIRED else 1
        clauses.append(_say(language, rng, (language.opinions, language.pairs)[count - 1], *words[:count]))
        words = words[count:]
    return clauses


def _say(language: Grammar, rng: Random, sentences: Sequence[str], *words: str) -> str:
    """A sentence with these words in it."""
    clause = _fill(rng, _pick(rng, sentences).replace("{word}", "%s"), _slots(language))
    return clause % words


def _fillers(language: Grammar, rng: Random, length: int) -> list[str]:
    """Different clauses without meaning, until a review of `length` is long enough."""
    low, high = language.length
    enough = low + (high - low) * rng.random()
    fillers = []
    for sentence in _draw(rng, language.fillers, len(language.fillers)):
        if length >= enough:
            break
        fillers.append(_fill(rng, sentence, language.slots))
        length += len(fillers[-1]) + len(language.comma)
    return fillers


@cache
def _slots(language: Grammar) -> dict[str, tuple[str, ...]]:
    return {
        **language.slots,
        "subject": language.subjects,
        "negation": language.negations,
        "hearer": language.hearers,
        "word": _all_words(language) + language.neutral,
    }


def _fill(rng: Random, sentence: str, slots: Mapping[str, Sequence[str]]) -> str:
    return _SLOT.sub(lambda slot: _pick(rng, slots[slot[1]]), sentence)


def _pick(rng: Random, entries: Sequence[_T]) -> _T:
    """One entry. Uses `random()` alone, the one method whose results no Python version changes."""
    return entries[int(len(entries) * rng.random())]


def _draw(rng: Random, entries: Sequence[_T], count: int) -> list[_T]:
    """`count` different entries, in random order."""
    left = list(entries)
    return [left.pop(int(len(left) * rng.random())) for _ in range(count)]
