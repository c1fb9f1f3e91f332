"""Ask every scorer which words of the task text matter: how far do they agree?

    make agreement
    make agreement SET="finetuned.keep_seeds=true"      # and with themselves, from one fine-tuning seed to another
    make agreement REFERENCE=<checkpoint>               # excess_loss among them

reads   corpus/          the task's training rows; what is counted for log_odds, tfidf, pmi
        base/            the model of keyword, entropy, loss, excess_loss
        finetuned-base/  the classifier, or with keep_seeds one of every seed
        a checkpoint     adapted to good text (excess_loss)
writes  agreement/       agreement.md, correlation.svg, overlap.svg; prints the table
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpora.parquet import read_rows
from corpora.segment import Segmenter, WordsConfig
from corpora.words import training_words
from pipeline.metrics import mean_sd, precision_recall_f1
from pipeline.models import load_tokenizer
from pipeline.pages.plots import matrix_svg
from pipeline.pages.tables import markdown_table, terminal_table
from pipeline.run.errors import InputError
from pipeline.run.progress import say
from pipeline.run.stage import run
from pipeline.scoring.agreement import Opinion, between_seeds, overlap, rank_correlation, side_by_side
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.deciding import NEEDS, Given, ScoringConfig, scored
from pipeline.scoring.documents import Document
from pipeline.scoring.reading import COLUMNS, Read, read

HEAD = ["scorer", "keywords", "precision", "recall", "rank correlation", "overlap", "itself", "seconds"]

Opinions = dict[str, list[Opinion]]
"""Scorer -> what it says, by every seed's classifier where it asks one."""


@dataclass(frozen=True)
class AgreementConfig(WordsConfig, ScoringConfig):
    """As in [scores], of all scorers; see WordsConfig and ScoringConfig."""

    def __post_init__(self) -> None:
        WordsConfig.__post_init__(self)
        ScoringConfig.__post_init__(self)


def agree(
    config: AgreementConfig, corpus: Path, init: Path, classifier: Path, reference: Path | None, out: Path
) -> dict[str, float]:
    """Write the comparison; metrics with each scorer's agreement with the buffer."""
    tokenizer, segmenter = load_tokenizer(classifier, config.max_length), Segmenter.of(config)
    texts = lambda: training_words(corpus, segmenter)
    seeds = sorted((classifier / "seeds").glob("*")) or [classifier]
    given = [Given(tokenizer, seed, init, reference, texts, Classifier.load(seed)) for seed in seeds]
    rows, classes = list(read_rows(corpus / "task" / "train", COLUMNS)), given[0].classify.classes
    documents = _asked(list(read(rows, tokenizer, segmenter.spans, config.max_length, classes)), given)
    opinions = _opinions(config, given, [one.document for one in documents])
    truth = np.concatenate([_planted(one) for one in documents])
    table = [_row(name, opinions, truth) for name in opinions]
    correlation, overlaps = (_matrix(opinions, measure) for measure in (rank_correlation, overlap))
    _write(out, table, _notes(len(documents), len(rows), len(seeds)), list(opinions), correlation, overlaps)
    print("\n" + terminal_table(*_shown(table)) + "\n")
    return {"documents": len(documents), "words": len(truth), "seeds": len(seeds)} | _metrics(opinions)


def _asked(documents: list[Read], given: list[Given]) -> list[Read]:
    """Those that every classifier gets right: what a wrong answer rests on is no keyword (as in scores/)."""
    right = np.all([one.classify.right([d.document for d in documents]) for one in given], axis=0)
    kept = [d for d, good in zip(documents, right, strict=True) if good and len(d.document.known)]
    if not kept:
        raise InputError("every text is classified wrongly by one of the classifiers: train them longer")
    return kept


def _opinions(config: AgreementConfig, given: list[Given], documents: list[Document]) -> Opinions:
    """Of every scorer that has what it needs, the buffer's first."""
    names = [name for name in NEEDS if not given[0].lacks(name)]
    opinions: Opinions = {name: [] for name in names}
    for name in names:
        for one in given if "classifier" in NEEDS[name] else given[:1]:
            started = time.time()
            found = scored(config, name, one, documents)
            opinions[name].append(Opinion.of(documents, found, time.time() - started))
        say(f"  {name}: {sum(opinion.seconds for opinion in opinions[name]):.1f} s")
    return opinions


def _planted(one: Read) -> np.ndarray:
    """bool [known words]."""
    inside = one.tokens.word_ids[one.tokens.word_ids >= 0]
    return one.planted[np.unique(inside)]


def _row(name: str, opinions: Opinions, truth: np.ndarray) -> list[str]:
    own, pairs = opinions[name], side_by_side(opinions[name], opinions["buffer"])
    against = [
        precision_recall_f1((o.keyword & truth).sum(), o.keyword.sum(), truth.sum()) if truth.any() else {}
        for o in own
    ]
    return [
        name,
        _cell((100 * o.keyword.mean() for o in own), 1),
        *(_cell((found[measure] for found in against if found), 1) for measure in ("precision", "recall")),
        _cell((rank_correlation(*pair) for pair in pairs), 2),
        _cell((overlap(*pair) for pair in pairs), 2),
        _cell((rank_correlation(*pair) for pair in between_seeds(own)), 2),
        _cell((o.seconds for o in own), 1),
    ]


def _cell(values: Iterable[float], digits: int) -> str:
    """Mean, with the standard deviation where there are several; – where there is none."""
    values = [value for value in values if not np.isnan(value)]
    known = [value for value in mean_sd(values) if value is not None] if values else []
    return " ± ".join(f"{round(value, digits) + 0.0:.{digits}f}" for value in known) or "–"  # no -0.00


def _shown(table: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows without the columns that have nothing in them."""
    kept = [i for i in range(len(HEAD)) if any(row[i] != "–" for row in table)]
    return [HEAD[i] for i in kept], [[row[i] for i in kept] for row in table]


def _matrix(opinions: Opinions, measure: Callable[[Opinion, Opinion], float]) -> list[list[float]]:
    """Of every two scorers, mean over seeds; of a scorer with itself 1."""
    mean = lambda a, b: float(np.mean([measure(*pair) for pair in side_by_side(a, b)]))
    return [[mean(a, b) for b in opinions.values()] for a in opinions.values()]


def _write(
    out: Path,
    table: list[list[str]],
    notes: str,
    names: Sequence[str],
    correlation: list[list[float]],
    overlaps: list[list[float]],
) -> None:
    pictures = {
        "correlation.svg": matrix_svg(names, correlation, "rank correlation within documents"),
        "overlap.svg": matrix_svg(names, overlaps, "overlap of the words chosen (Jaccard)"),
    }
    for name, picture in pictures.items():
        (out / name).write_text(picture, encoding="utf-8")
    parts = ["# Do the scorers agree?", markdown_table(*_shown(table)), *(f"![{n}]({n})" for n in pictures), notes]
    (out / "agreement.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _notes(asked: int, rows: int, seeds: int) -> str:
    over = f"mean ± standard deviation over {seeds} fine-tuning seeds" if seeds > 1 else "of one classifier"
    return (
        f"{asked} of {rows} training documents: those classified rightly; {over}. *Keywords*: percent of words the "
        "scorer chooses: by itself (buffer), or the top keyword_share above 0. *Precision*, *recall*: of words, "
        "against planted keywords, where the corpus knows them. *Rank correlation*: Spearman's, within documents, "
        "with buffer. *Overlap*: words both choose of those either chooses, with buffer. *Itself*: rank correlation "
        "of one seed's classifier with another's. Seconds hold loading, counting and training where there is any."
    )


def _metrics(opinions: Opinions) -> dict[str, float]:
    """Agreement with the buffer, where there is any order to compare."""
    measures = {"correlation": _matrix(opinions, rank_correlation), "overlap": _matrix(opinions, overlap)}
    found = {f"{n}/{m}": row[0] for m, rows in measures.items() for n, row in zip(opinions, rows, strict=True)}
    return {name: value for name, value in found.items() if not np.isnan(value)}


if __name__ == "__main__":
    run(agree)
