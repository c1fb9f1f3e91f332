"""Should this base be adapted to this text? A page of measures and a verdict, before anything is trained.

    make diagnose RECIPE=reviews DATA=<folder>

reads   corpus/       general, domain and task text, and what was dropped from it
        base/         the checkpoint that would be adapted
writes  diagnosed/    diagnosis.md, overlap.svg, losses.svg; prints the verdict
"""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from corpora.parquet import read_batches, read_rows
from corpora.segment import Segmenter, WordsConfig
from corpora.stop_words import stop_words
from corpora.vocabulary import Words, counted, jaccard, jensen_shannon, overlap, sampled, together
from pipeline.diagnosis import Known, known
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.pages.plots import dots_svg, matrix_svg
from pipeline.pages.tables import markdown_table, terminal_table
from pipeline.run.artifact import read_manifest
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.run.progress import say
from pipeline.run.stage import run
from pipeline.tokens import sequence_rows
from pipeline.verdict import verdict

VERSION = 2

CORPORA = ("general", "domain", "task")


@dataclass(frozen=True)
class DiagnosisConfig(WordsConfig):
    """How much is looked at; see WordsConfig for the words."""

    documents: int = 3000
    """Documents of each corpus whose words are counted, chosen by their ids; 50,000 in Gururangan et al. (2020), which
    takes jieba minutes."""
    top_words: int = 10_000
    """Of each corpus, the words that are compared, the most frequent first."""
    sequences: int = 400
    """Held-out sequences of each corpus whose masked words the base is to guess: a loss good to about 0.05."""
    max_length: int = 128
    """Longest input in ids, as of [finetuned]: what is longer is cut there."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.documents, self.top_words, self.sequences) < 2:
            raise ValueError("documents, top_words and sequences must be at least 2")


def diagnose(config: DiagnosisConfig, init: Path, corpus: Path, out: Path) -> dict[str, float]:
    """Write the page; metrics with what the verdict rests on."""
    there = [name for name in CORPORA if (corpus / name / "train").exists()]
    if "domain" not in there:
        raise InputError("there is no text to adapt to: name cards in corpus.domain")
    words = _words(config, corpus, there)
    losses = {name: _known(config, init, corpus / name) for name in there}
    facts = _facts(corpus, words, losses, config)
    lines = verdict(facts)
    (out / "overlap.svg").write_text(_overlap_picture(words, config.top_words), encoding="utf-8")
    deciles = {name: np.quantile(one.means, np.arange(1, 10) / 10).tolist() for name, one in losses.items()}
    (out / "losses.svg").write_text(
        dots_svg(deciles, "loss of a sequence under fixed masks, deciles"), encoding="utf-8"
    )
    (out / "diagnosis.md").write_text(
        "\n\n".join(_page(config, corpus, words, losses, lines)) + "\n", encoding="utf-8"
    )
    print("\n" + terminal_table(*_losses(losses)) + "\n\n" + "\n".join(f"  {line}" for line in lines) + "\n")
    return facts


def _words(config: DiagnosisConfig, corpus: Path, there: list[str]) -> dict[str, Words]:
    """Words of each corpus; where several cards make the general text, of each of them."""
    segmenter, stop = Segmenter.of(config), stop_words(config.language)
    found: dict[str, Words] = {}
    for name in there:
        say(f"  counting the words of {name}")
        cards = counted(sampled(corpus / name / "train", config.documents), segmenter, stop)
        found[name] = together(cards.values())
        if name == "general" and len(cards) > 1:
            found |= {f"general: {card}": part for card, part in sorted(cards.items())}
    return found


def _known(config: DiagnosisConfig, init: Path, folder: Path) -> Known:
    """How well the base guesses words of held-out text of a corpus."""
    tokenizer = load_tokenizer(init, config.max_length)
    spans = Segmenter.of(config).spans
    rows = (row for batch in read_batches(folder / "dev", ("id", "text", "text_pair"), 64)
            for row in sequence_rows(batch, tokenizer, spans, config.max_length))  # fmt: skip
    say(f"  guessing masked words of {folder.name}")
    model = load_masked_lm(init).to(processes().device)
    return known(model, tokenizer, list(islice(rows, config.sequences)))


def _facts(
    corpus: Path, words: dict[str, Words], losses: dict[str, Known], config: DiagnosisConfig
) -> dict[str, float]:
    """Everything the verdict rests on, by name."""
    facts = {"blind": next(iter(losses.values())).blind}
    alike = lambda one, other: overlap(words[one].counts, words[other].counts, config.top_words)
    for name, one in losses.items():
        facts |= {f"{name}/loss": one.loss, f"{name}/loss_error": one.error, f"{name}/unknown": one.unknown}
        facts[f"{name}/tokens_per_word"] = one.tokens_per_word
        facts[f"{name}/itself"] = overlap(*words[name].halves, config.top_words)
    for one, other in (("domain", "general"), ("task", "domain"), ("task", "general")):
        if one in words and other in words:
            facts[f"{one}/{other}"] = alike(one, other)
    counts = read_manifest(corpus)["metrics"]
    facts["domain/documents"], facts["task/documents"] = counts["domain/train"], counts.get("task/train", 0)
    facts["domain/duplicates"] = _rejected(corpus, "domain", "duplicate")
    reasons = ("contaminated", "shares_text_with_dev_or_test")
    facts["contaminated"] = sum(float(counts.get(f"rejected/{reason}", 0)) for reason in reasons)
    return facts


def _rejected(corpus: Path, name: str, reason: str) -> float:
    """Documents dropped from a corpus for a reason."""
    cards = {row["origin"].partition(":")[0] for row in sampled(corpus / name / "train", 200)}
    if not (corpus / "rejected").exists():
        return 0.0
    rows = read_rows(corpus / "rejected", ("origin", "reason"))
    return float(sum(row["reason"] == reason and row["origin"].partition(":")[0] in cards for row in rows))


def _page(
    config: DiagnosisConfig, corpus: Path, words: dict[str, Words], losses: dict[str, Known], lines: list[str]
) -> list[str]:
    parts = ["# Should this base be adapted?", *(f"- {line}" for line in lines)]
    parts = [parts[0], "\n".join(parts[1:]), "## What the base knows", markdown_table(*_losses(losses))]
    parts += [_said_of_losses(config), "![losses](losses.svg)", "## What words they share"]
    parts += [
        "![overlap](overlap.svg)",
        markdown_table(*_pairs(words, config.top_words)),
        _said_of_words(words, config),
    ]
    return parts + _labels(corpus, losses)


def _losses(losses: dict[str, Known]) -> tuple[list[str], list[list[str]]]:
    head = ["held-out text of", "loss", "±", "unknown", "tokens a word", "median ids", "cut"]
    rows = [
        [name, f"{one.loss:.2f}", f"{one.error:.2f}", f"{one.unknown:.2%}", f"{one.tokens_per_word:.2f}",
         f"{one.median_ids:.0f}", f"{one.cut:.1%}"]
        for name, one in losses.items()
    ]  # fmt: skip
    return head, rows


def _said_of_losses(config: DiagnosisConfig) -> str:
    return (
        f"*Loss* of the base on masked words of up to {config.sequences} sequences that no training reads, the same "
        "masks for every base; *±* is one standard error over sequences. A guess among all entries of the vocabulary "
        "has the logarithm of their number. *Cut*: share of documents longer than "
        f"max_length = {config.max_length} ids."
    )


def _overlap_picture(words: dict[str, Words], top: int) -> str:
    """Overlap of every two bodies of text; on the diagonal that of the halves of one."""
    names = list(words)
    values = [
        [overlap(*words[a].halves, top) if a == b else overlap(words[a].counts, words[b].counts, top) for b in names]
        for a in names
    ]
    return matrix_svg(names, values, f"share of the {top:,} most frequent words that both have (diagonal: own halves)")


def _pairs(words: dict[str, Words], top: int) -> tuple[list[str], list[list[str]]]:
    head = ["", "overlap", "Jaccard", "divergence, bits"]
    names, rows = list(words), []
    for i, one in enumerate(names):
        halves = words[one].halves
        rows.append([f"halves of {one}", f"{overlap(*halves, top):.1%}", "", f"{jensen_shannon(*halves):.2f}"])
        for other in names[i + 1 :]:
            first, second = words[one], words[other]
            shared = [
                f"{overlap(first.counts, second.counts, top):.1%}",
                f"{jaccard(first.within, second.within):.1%}",
            ]
            rows.append([f"{one} and {other}", *shared, f"{jensen_shannon(first.counts, second.counts):.2f}"])
    return head, rows


def _said_of_words(words: dict[str, Words], config: DiagnosisConfig) -> str:
    """What the numbers are, and which general text is the control."""
    cards = {name.removeprefix("general: "): one for name, one in words.items() if name.startswith("general: ")}
    alike = {card: overlap(one.counts, words["domain"].counts, config.top_words) for card, one in cards.items()}
    counted = ", ".join(f"{one.documents:,} documents of {name}" for name, one in words.items())
    said = (
        f"Of {counted}, without stop words. *Overlap*: of the {config.top_words:,} most frequent words, or as many as "
        "the smaller body has (Gururangan et al. 2020). *Jaccard*: of the words in three documents or more (their "
        "script). *Divergence*: Jensen-Shannon, of all words. The halves of one body of text say how alike samples of "
        "this size can be."
    )
    if not alike:
        return said
    card = min(alike, key=alike.get)
    return f"{said}\n\nThe general text least like the domain is {card} ({alike[card]:.1%}): the irrelevant control."


def _labels(corpus: Path, losses: dict[str, Known]) -> list[str]:
    """Rows of each class of the task; nothing where it has none."""
    if "task" not in losses:
        return []
    counts = Counter(
        row["label"] for row in read_rows(corpus / "task" / "train", ("label",)) if row["label"] is not None
    )
    rows = [[name, f"{count:,}", f"{count / counts.total():.1%}"] for name, count in counts.most_common()]
    return ["## Labels", markdown_table(["class", "training rows", "share"], rows)] if rows else []


if __name__ == "__main__":
    run(diagnose, version=VERSION)
