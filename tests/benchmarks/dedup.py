"""near-duplicates: found by how much was changed, and templates taken for copies

Planted copies: of made-up documents (see *preparation*; short ones of some 100 characters or 25 words, long ones ten
times that) each is copied once with a share of its characters changed, inserted or left out, a third each, anywhere.
*Found* is the share of the copies that `corpus.drop_near_duplicates` drops; no original is ever dropped for another.
*Runs shared* is what decides: the mean share (Jaccard) of runs of five characters (Chinese) or words (English) that a
copy has in common with its original. A changed character touches five runs of characters; in English the word around
it, and with it five runs of words, so that the same share of characters changes far more there.

Templates: 1,000 documents of one frame each, in which facts alone differ (numbers and names, evenly spread), so that
none is a copy. *Dropped* are false alarms. *By bands alone* is what MinHash without our second look does, which is how
it is usually done: whoever shares one band of 14 with any document before is dropped.
"""

from collections.abc import Callable

import numpy as np

from corpora.cleaning import near as module
from corpora.cleaning.contamination import hashed_runs
from corpora.cleaning.near import RUN, Met, near
from tests.benchmarks.text import prose
from tests.benchmarks.timing import Found, Rows

COPIES, TEMPLATED = 500, 1000
RATES = (0.01, 0.02, 0.05, 0.10, 0.20)
FRAMES = (0.5, 0.7, 0.8, 0.9)
SHORT, LONG = {"zh": 100, "en": 160}, {"zh": 1000, "en": 1600}
"""Characters."""


def measure(quick: bool) -> Found:
    """What is found by rate, and false alarms by share of the frame."""
    count = 40 if quick else COPIES
    planted = [copied(language, size, count) for language in ("zh", "en") for size in (SHORT, LONG)]
    return [
        f"{count:,} copies each.",
        [row for rows in planted for row in rows],
        [templated(language, share, 60 if quick else TEMPLATED) for language in ("zh", "en") for share in FRAMES],
    ]


def copied(language: str, size: dict[str, int], count: int) -> Rows:
    """What is found of copies of one size, and the runs that they share."""
    originals, found, shared = documents(language, size[language], count), {}, {}
    for rate in RATES:
        draw = np.random.default_rng(round(1000 * rate))
        copies = [edited(draw, text, rate) for text in originals]
        kept = texts_kept(language, [*originals, *copies])
        if kept[:count] != originals:
            raise AssertionError("an original was dropped")
        name = f"{rate:.0%} changed"
        found[name] = f"{1 - (len(kept) - count) / count:.1%}"
        shared[name] = f"{np.mean([jaccard(language, *pair) for pair in zip(originals, copies, strict=True)]):.2f}"
    name = f"{language}, {'short' if size is SHORT else 'long'}"
    return [{"": f"{name}: found", **found}, {"": f"{name}: runs shared", **shared}]


def documents(language: str, size: int, count: int) -> list[str]:
    """Texts of so many characters."""
    text = "\n".join(prose(language, count * size // 300 + 10, seed=size))
    while len(text) < count * size:
        text += "\n".join(prose(language, count, seed=len(text)))
    return [text[start : start + size] for start in range(0, count * size, size)]


def edited(draw: np.random.Generator, text: str, rate: float) -> str:
    """The text, so many of its letters and ideographs changed, followed by another, or left out."""
    chars = list(text)
    letters = [i for i, char in enumerate(chars) if char.isalnum()]
    for place in draw.choice(letters, max(1, round(rate * len(letters))), replace=False).tolist():
        other = text[letters[draw.integers(len(letters))]]
        chars[place] = [other, chars[place] + other, ""][draw.integers(3)]
    return "".join(chars)


def templated(language: str, share: float, count: int) -> dict[str, str]:
    """False alarms among documents of one frame, which is this share of them."""
    draw, size = np.random.default_rng(round(100 * share)), 400 if language == "zh" else 1600
    [frame] = documents(language, size, 1)
    fact = facts(language, draw)
    texts = [filled(frame, share, fact) for _ in range(count)]
    pairs = draw.choice(count, (200, 2))
    shared = np.mean([jaccard(language, texts[i], texts[j]) for i, j in pairs if i != j])
    verified, usual = 1 - len(texts_kept(language, texts)) / count, module.ALIKE
    module.ALIKE = 0.0
    alone, module.ALIKE = 1 - len(texts_kept(language, texts)) / count, usual
    told = {"runs shared": f"{shared:.2f}", "dropped": f"{verified:.1%}", "by bands alone": f"{alone:.1%}"}
    return {"": f"{language}, frame {share:.0%}", **told}


def facts(language: str, draw: np.random.Generator) -> Callable[[int], str]:
    """What fills a place of so many characters: a number, or names."""
    names = "".join(documents(language, 5000, 1)).split() if language == "en" else []

    def fact(size: int) -> str:
        if language == "zh":
            return "".join(map(chr, draw.integers(0x4E00, 0x9FA5, size)))
        words = " ".join([str(draw.integers(10**6)), *(names[i] for i in draw.integers(len(names), size=size))])
        return f" {words[:size]} "

    return fact


def filled(frame: str, share: float, fact: Callable[[int], str]) -> str:
    """The frame in ten pieces, a fact after each, so that it is this share of the whole."""
    step = len(frame) // 10
    size = round(step * (1 - share) / share)
    return "".join(frame[start : start + step] + fact(size) for start in range(0, 10 * step, step))


def texts_kept(language: str, texts: list[str]) -> list[str]:
    """Those that are no near-duplicate of one before."""
    rows = [{"place": "", "id": str(i), "text": text} for i, text in enumerate(texts)]
    return [row["text"] for row in near(rows, Met.of(language), lambda *_: None)]


def jaccard(language: str, one: str, other: str) -> float:
    """The share of all runs that both have."""
    units = Met.of(language).units
    first, second = (set(hashed_runs([units(text)], RUN)[0].tolist()) for text in (one, other))
    return len(first & second) / max(len(first | second), 1)
