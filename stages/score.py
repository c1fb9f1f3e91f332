"""Score the words of the task text: which of them matter?

    make scores

reads   corpus/task/     the training rows
        finetuned-base/  the classifier (buffer, prefix, causal_prefix, occlusion, gradient, integrated_gradients,
                         attention): the baseline is also the scorer
        base/            the tokenizer where there is no classifier; the model for keyword, entropy, loss, excess_loss
        corpus/          domain and general text (tfidf, pmi)
writes  scores/          task/: one row a document, its ids, words, importance and the decision; preview.md
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import read_rows, write_corpus
from corpora.schemas import SCORES
from corpora.segment import Segmenter, WordsConfig
from corpora.words import labelled_words_of, training_words
from pipeline.masking.pages import in_markdown, pieces_as_written
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.run.processes import gathered, rank
from pipeline.run.sharing import share
from pipeline.run.stage import run
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.deciding import NEEDS, Given, ScoringConfig, scored
from pipeline.scoring.documents import Document, Scored, by_piece
from pipeline.scoring.reading import COLUMNS, Read, read
from pipeline.scoring.scorers import REMEDIES, Scorer
from pipeline.tokens import Frame


@dataclass(frozen=True)
class ScoresConfig(WordsConfig, ScoringConfig):
    """Which words count as important; see also WordsConfig and ScoringConfig."""

    scorer: Literal["buffer", "causal_prefix", Scorer] = "buffer"
    """What weighs words: the sequential buffer of Train No Evil, which decides by itself what a keyword is; a
    classifier of its own that reads from left to right (causal.py); or one of pipeline/scoring/scorers.py."""
    keep_wrong: bool = False
    """Keep documents the classifier gets wrong, with no keyword in them (parity with the reference code)."""

    def __post_init__(self) -> None:
        WordsConfig.__post_init__(self)
        ScoringConfig.__post_init__(self)


def score(
    config: ScoresConfig,
    task: Path,
    classifier: Path | None,
    init: Path | None,
    corpus: Path | None,
    reference: Path | None,
    out: Path,
) -> dict[str, float]:
    """Score every training row; metrics with precision and recall against planted keywords where there are any."""
    if classifier is None and "classifier" in NEEDS[config.scorer]:
        raise InputError(f"scorer = {config.scorer} needs {REMEDIES['classifier']}")
    if classifier is None and init is None:
        raise InputError(f"scorer = {config.scorer} needs a tokenizer: run make base, and give it as --init")
    tokenizer, segmenter = load_tokenizer(classifier or init, config.max_length), Segmenter.of(config)
    classify = Classifier.load(classifier) if classifier else None
    texts = lambda: (
        (training_words(corpus, segmenter) if corpus else {}) | {"task": labelled_words_of(task / "train", segmenter)}
    )
    given = Given(tokenizer, classifier, init, reference, texts, classify)
    classes = classify.classes if classify else None
    rows = share(list(read_rows(task / "train", COLUMNS)))  # of this process
    documents = list(read(rows, tokenizer, segmenter.spans, config.max_length, classes))
    found = _score(config, given, [one.document for one in documents])
    frame = Frame.of(tokenizer)
    rows = sorted(
        gathered([_row(*each, frame) for each in zip(documents, found, strict=True)]), key=lambda row: row["id"]
    )
    kept = [row for row in rows if row["correct"] or config.keep_wrong]
    if not any(any(row["keyword"]) for row in kept):
        raise InputError(_nothing_found(config))
    if rank() == 0:
        write_corpus(out / "task", SCORES, ({name: row[name] for name in SCORES.names} for row in kept))
        (out / "preview.md").write_text(_preview(config, kept, tokenizer), encoding="utf-8")
    return _metrics(rows, kept)


def _score(config: ScoresConfig, given: Given, documents: list[Document]) -> list[Scored]:
    """Importance and decision of each token of each document; of those the classifier gets wrong, none."""
    classify = given.classify
    right = classify.right(documents) if classify else np.ones(len(documents), dtype=bool)
    if config.scorer == "buffer" and config.buffer.unit == "piece":
        documents = [by_piece(document) for document in documents]
    asked = [document for document, good in zip(documents, right, strict=True) if good]
    answers = iter(scored(config, config.scorer, given, asked))
    return [_to_tokens(d, next(answers) if good else None) for d, good in zip(documents, right, strict=True)]


def _to_tokens(document: Document, found: Scored | None) -> Scored:
    if found is None:
        size = len(document.ids)
        return Scored(np.zeros(size, np.float32), np.zeros(size, bool), correct=False)
    return Scored(document.to_tokens(found.importance), document.to_tokens(found.keyword))


def _row(one: Read, found: Scored, frame: Frame) -> dict[str, object]:
    """A row of SCORES, and beside it what the metrics need."""
    whole = frame.around(one.tokens)
    before, after = len(frame.before), len(frame.after)
    truth = one.planted
    pad = lambda values: np.concatenate([np.zeros(before, values.dtype), values, np.zeros(after, values.dtype)])
    return {
        "id": one.row["id"],
        "input_ids": whole.input_ids,
        "word_ids": whole.word_ids,
        "importance": pad(found.importance),
        "keyword": pad(found.keyword),
        "correct": found.correct,
        "truth": truth[np.maximum(whole.word_ids, 0)] & (whole.word_ids >= 0) if len(truth) else None,
    }


def _metrics(rows: list[dict], kept: list[dict]) -> dict[str, float]:
    words = sum(len(set(row["word_ids"].tolist()) - {-1}) for row in kept)
    keywords = sum(len(set(row["word_ids"][row["keyword"]].tolist())) for row in kept)
    metrics = {
        "documents": len(rows),
        "classified_right": sum(row["correct"] for row in rows),
        "keyword_share": 100 * keywords / max(words, 1),
    }
    with_truth = [row for row in kept if row["truth"] is not None]
    if any(row["truth"].any() for row in with_truth):
        hits = sum(int((row["truth"] & row["keyword"]).sum()) for row in with_truth)
        found = sum(int(row["keyword"].sum()) for row in with_truth)
        true = sum(int(row["truth"].sum()) for row in with_truth)
        metrics |= {f"truth_{name}": value for name, value in precision_recall_f1(hits, found, true).items()}
    return metrics


def _nothing_found(config: ScoresConfig) -> str:
    if config.scorer == "buffer":
        return "no word of the task text is important to the classifier: raise scores.buffer.delta"
    return f"scorer = {config.scorer} finds no word of the task text above the others: raise scores.keyword_share"


def _preview(config: ScoresConfig, rows: list[dict], tokenizer: PreTrainedTokenizerBase) -> str:
    lines = ["# Scores", "", f"**Bold** words are keywords to scorer = {config.scorer}.", ""]
    for row in rows[:20]:
        importance = row["keyword"] * np.uint8(255)
        lines.append(f"- {in_markdown(pieces_as_written(row['input_ids'], row['word_ids'], importance, tokenizer))}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    run(score)
