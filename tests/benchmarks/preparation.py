"""preparing text, step by step

From raw files to clean documents in Parquet, every step by itself: made-up documents of four lines (Chinese: jieba's
words by their frequency; English: its function words between made-up ones by Zipf's law), every tenth with markup,
every twentieth a copy with a character changed, all of them under one of five lines of a page. Sizes are of UTF-8.

Beside it what a user would take instead:

- *datasets*: `load_dataset`, then the same rule, our own function, one row a call by `Dataset.map` or `filter` (in
  memory, nothing hashed or cached): what differs is the machinery. Where no rule of ours is called: exact duplicates
  and runs of dev and test are looked up in a Python set of strings, lines in a `Counter`, words are those of
  `jieba.lcut`, or the same rules.
- *datatrove*: its MinHash (signatures, buckets, clusters, filter) and its Gopher filters (repetition, then quality of
  what that leaves) with their defaults, which cut text into words by spaCy. It is no dependency:
  `pip install datatrove==0.10.1 "spacy<4" "xxhash<3.6"` beside ours, or the column says that it is not installed. Its
  filter of languages is left out: it fetches a model.

*All of it* is `make corpus` from file to Parquet with all of these but segmentation, which is a matter of `make
masked`.
"""

import json
import statistics
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import jieba
from datasets import Dataset, load_dataset

from corpora.cards import Card
from corpora.cleaning.contamination import CHARACTERS, WORDS, Grams, clear
from corpora.cleaning.dedup import Seen, identified, normalised, unique
from corpora.cleaning.furniture import repeated_lines, without_lines
from corpora.cleaning.languages import Tongue, of_language
from corpora.cleaning.near import Met, near
from corpora.cleaning.quality import Rules, of_quality
from corpora.cleaning.rewriting import ALL, rewritten
from corpora.config import CorpusConfig
from corpora.keeping import clean, cleaned, in_silence
from corpora.parquet import write_corpus
from corpora.reading.sources import documents
from corpora.schemas import DOCUMENTS
from corpora.segment import Segmenter
from stages.prepare import prepare
from tests.benchmarks.text import prose
from tests.benchmarks.timing import Found, cpu_seconds, in_turns, spread, times

COUNT, ROUNDS = 400, 5
LEAST, LEAST_LINES = 2, 10
PAGE = ("首页 | 登录 | 注册", "Home | About | Contact", "相关推荐", "Related articles", "© 2026")

Call = Callable[[], object]


@dataclass(frozen=True)
class Step:
    """What is timed: ours, and whoever stands beside it."""

    ours: Call
    datasets: Call | None = None
    datatrove: Call | None = None


def measure(quick: bool) -> Found:
    """A table a language."""
    found: Found = []
    for language in ("zh", "en"):
        with tempfile.TemporaryDirectory() as folder:
            texts = made(language, 60 if quick else COUNT)
            size = sum(len(text.encode()) for text in texts) / 1e6
            named = steps(language, texts, Path(folder))
            found += [f"**{language}**, {len(texts):,} documents, {size:.2f} MB"]
            found += [[row(name, step, len(texts), size, 1 if quick else ROUNDS) for name, step in named.items()]]
    return found


def row(name: str, step: Step, count: int, size: float, rounds: int) -> dict[str, str]:
    """A step, and how much faster it is than the others."""
    arms = {arm: call for arm, call in vars(step).items() if call}
    measured = in_turns({arm: lambda _, call=call: cpu_seconds(call) for arm, call in arms.items()}, rounds)
    medians = {arm: statistics.median(values) for arm, values in measured.items()}
    ours = medians.pop("ours")
    told = {"datatrove": "not installed"} if name in PEERED and not installed() else {}
    told |= {arm: times(seconds, ours) for arm, seconds in medians.items()}
    rates = {"documents / CPU s": f"{count / ours:,.0f}", "MB / CPU s": f"{size / ours:.2f}"}
    ratios = {f"to {arm}": told.get(arm, "") for arm in ("datasets", "datatrove")}
    return {"": name, **rates, "spread": spread(measured["ours"]), **ratios}


PEERED = ("quality", "near duplicates")
"""Steps that datatrove has as well."""


def installed() -> bool:
    """Whether datatrove and what it cuts words by are there."""
    return bool(find_spec("datatrove") and find_spec("spacy"))


def made(language: str, count: int) -> list[str]:
    """Documents, some with markup, some copied, all below a line of a page."""
    texts = prose(language, count)
    for i in range(19, count, 20):
        texts[i] = texts[i - 1][:50] + "#" + texts[i - 1][51:]
    for i in range(0, count, 10):
        texts[i] = f"<div>{texts[i]}</div> &amp; <b>more</b>"
    return [f"{PAGE[i % len(PAGE)]}\n{text}" for i, text in enumerate(texts)]


def steps(language: str, texts: list[str], folder: Path) -> dict[str, Step]:
    """Every step, on the same documents."""
    path = folder / "texts.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts), encoding="utf-8")
    rows = [{"place": f"texts:{i}", "text": text} for i, text in enumerate(texts)]
    known = list(identified(cleaned(rows, LEAST, in_silence), "bench", "bench:unlabeled"))
    card = Card("bench", "", language, "", "", {"text": "text"}, {"unlabeled": (str(path),)})
    held, grams = prose(language, max(len(texts) // 10, 1), seed=1), Grams.of(language)
    grams.add(held)
    table, words = Dataset.from_list(rows), Segmenter(language=language)
    tongue, rules = Tongue(language), Rules.of(language)
    cut = jieba.lcut if language == "zh" else words.words
    keep = lambda rule: partial(table.filter, lambda one: rule(one["text"]), new_fingerprint="bench", **UNCACHED)
    put = lambda name, rule: partial(
        table.map, lambda one: {name: rule(one["text"])}, new_fingerprint="bench", **UNCACHED
    )
    troves = Troves(language, texts, folder).calls() if installed() else {}
    return {
        "read": Step(
            lambda: list(documents(card, "unlabeled", Path(), in_silence)),
            lambda: list(load_dataset("json", data_files=str(path), split="train", streaming=True)),
        ),
        "rewrite": Step(lambda: list(rewritten(rows, ALL, Counter())), put("text", in_turn)),
        "clean": Step(
            lambda: list(cleaned(rows, LEAST, in_silence)), keep(lambda text: clean(text, LEAST)[0] is not None)
        ),
        "languages": Step(
            lambda: list(of_language(rows, tongue, in_silence)), keep(lambda text: not tongue.other(text))
        ),
        "quality": Step(
            lambda: list(of_quality(rows, language, in_silence)),
            keep(lambda text: not rules.fault(text)),
            troves.get("quality"),
        ),
        "exact duplicates": Step(
            lambda: list(unique(identified(rows, "bench", ""), Seen(), in_silence)),
            lambda: without_copies(table),
        ),
        "near duplicates": Step(
            lambda: list(near(known, Met.of(language), in_silence)), None, troves.get("near duplicates")
        ),
        "contamination": Step(
            lambda: list(clear(known, grams, in_silence)),
            keep(partial(shares_none, runs_of(held, language), language)),
        ),
        "lines of the page": Step(
            lambda: list(without_lines(rows, repeated_lines(lambda: rows, LEAST_LINES), LEAST, in_silence, Counter())),
            lambda: without_frequent(table),
        ),
        "segmentation": Step(lambda: [words.spans(text) for text in texts], put("words", cut)),
        "Parquet": Step(
            lambda: write_corpus(folder / "ours", DOCUMENTS, known),
            lambda: table.to_parquet(folder / "theirs.parquet"),
        ),
        "all of it": Step(lambda: prepare(everything(language, path, folder), Path(), folder / "corpus")),
    }


# ---- as it is written around datasets ------------------------------------------------------------------------------

UNCACHED = {"keep_in_memory": True, "load_from_cache_file": False}


def in_turn(text: str) -> str:
    """The same rewriting, of a text."""
    for rewrite in ALL.values():
        text = rewrite.whole(text)
    return text


def without_copies(table: Dataset) -> Dataset:
    """By the whole normalised text."""
    seen: set[str] = set()

    def is_new(row: dict[str, str]) -> bool:
        key, before = normalised(row["text"]), len(seen)
        seen.add(key)
        return len(seen) > before

    return table.filter(is_new, new_fingerprint="bench", **UNCACHED)


def runs_in(text: str, language: str) -> Iterable[object]:
    """The runs of a text that are looked up: strings of characters, tuples of words."""
    units = normalised(text) if language == "zh" else tuple(map(normalised, text.split()))
    size = CHARACTERS if language == "zh" else WORDS
    return (units[start : start + size] for start in range(len(units) - size + 1))


def runs_of(texts: list[str], language: str) -> set[object]:
    """Those of dev and test."""
    return {run for text in texts for run in runs_in(text, language)}


def shares_none(known: set[object], language: str, text: str) -> bool:
    """Whether a text has none of them."""
    return not any(run in known for run in runs_in(text, language))


def without_frequent(table: Dataset) -> Dataset:
    """Every line counted, then those taken out that stand in many documents."""
    counts = Counter(line for text in table["text"] for line in {line.strip() for line in text.split("\n")})
    rest = lambda text: "\n".join(line for line in text.split("\n") if counts[line.strip()] < LEAST_LINES)
    return table.map(lambda row: {"text": rest(row["text"])}, new_fingerprint="bench", **UNCACHED)


# ---- datatrove, and all of ours ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Troves:
    """datatrove's steps, in this process."""

    language: str
    texts: list[str]
    folder: Path

    def calls(self) -> dict[str, Call]:
        """Step -> what is timed; its word cutters are loaded before."""
        from datatrove.utils.logging import logger
        from datatrove.utils.word_tokenizers import load_word_tokenizer

        logger.remove()
        load_word_tokenizer(self.language).word_tokenize(self.texts[0])
        return {"quality": self.quality, "near duplicates": self.near}

    def quality(self) -> None:
        """Gopher's rules."""
        from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter

        kept = GopherRepetitionFilter(language=self.language).run(self._documents())
        list(GopherQualityFilter(language=self.language).run(kept))

    def near(self) -> None:
        """MinHash in its four stages, on disk."""
        from datatrove.pipeline.dedup import (
            MinhashDedupBuckets,
            MinhashDedupCluster,
            MinhashDedupFilter,
            MinhashDedupSignature,
        )

        with tempfile.TemporaryDirectory(dir=self.folder) as place:
            signatures, pairs, gone = (f"{place}/{name}" for name in ("signatures", "pairs", "gone"))
            MinhashDedupSignature(signatures, language=self.language).run(self._documents())
            for bucket in range(14):
                MinhashDedupBuckets(signatures, pairs).run(None, bucket, 14)
            MinhashDedupCluster(pairs, gone).run(None, 0, 1)
            list(MinhashDedupFilter(gone).run(self._documents(), 0, 1))

    def _documents(self) -> Iterable[object]:
        from datatrove.data import Document

        return (Document(text=text, id=str(i)) for i, text in enumerate(self.texts))


def everything(language: str, path: Path, folder: Path) -> CorpusConfig:
    """A recipe that asks for all of it."""
    card = folder / "bench.toml"
    card.write_text(
        f'name = "bench"\ntitle = ""\nlanguage = "{language}"\nlicence = ""\norigin = ""\n'
        f'[fields]\ntext = "text"\n[files]\nunlabeled = "{path}"\n',
        encoding="utf-8",
    )
    return CorpusConfig(
        domain=(str(card),), language=language, repeated_lines=LEAST_LINES, simplify=True,
        strip_markup=True, mask_private=True, quality_rules=True,
        drop_near_duplicates=True, drop_other_languages=True,
    )  # fmt: skip
