"""Score the words of the task text: which of them matter?

    make scores

reads   corpus/task/     the training rows
        finetuned-base/  the classifier (buffer, prefix, causal_prefix, occlusion, gradient, integrated_gradients,
                         attention): the baseline is also the scorer
        base/            the tokenizer where there is no classifier; the model for keyword, entropy, loss, excess_loss
        corpus/          domain and general text (tfidf, pmi)
writes  scores/          task/: one row a document, its ids, words, importance and the decision; preview.md
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import read_rows, write_corpus
from corpora.schemas import SCORES
from corpora.segment import Segmenter, WordsConfig
from corpora.words import labelled_words_of, words_of
from pipeline.masking.preview import show
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_token_classifier, load_tokenizer
from pipeline.run.errors import InputError
from pipeline.run.processes import gathered, progress, rank, share
from pipeline.run.stage import run
from pipeline.scoring.buffer import BufferConfig, buffer
from pipeline.scoring.causal import CausalClassifier
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document, Importances, Scored, by_piece
from pipeline.scoring.importance import top_edge
from pipeline.scoring.scorers import REMEDIES, Score, Scorer, make_scorer
from pipeline.tokens import Frame, Tokens, encode, framed, planted_words
from pipeline.trainer import TrainerConfig

TOGETHER = 512
"""Documents scored together: enough of each length, and memory that does not grow with the corpus."""


@dataclass(frozen=True)
class ScoresConfig(WordsConfig):
    """Which words count as important."""

    scorer: Literal["buffer", "causal_prefix", Scorer] = "buffer"
    """What weighs words: the sequential buffer of Train No Evil, which decides by itself what a keyword is; a
    classifier of its own that reads from left to right (causal.py); or one of pipeline/scoring/scorers.py."""
    buffer: BufferConfig = field(default_factory=BufferConfig)
    """Settings of scorer = buffer."""
    causal: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=32, learning_rate=5e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999)
        )
    )
    """Training of scorer = causal_prefix, as of the tagger, which starts from as good an encoder."""
    keyword_share: float = 0.15
    """Share of the words that are keywords at most, with any other scorer: as many as are masked by default, so that
    keywords can fill the budget and still compete for it. Their importance must be above 0."""
    keep_wrong: bool = False
    """Keep documents the classifier gets wrong, with no keyword in them (parity with the reference code)."""
    max_length: int = 128
    """Longest input in ids; words past it have no importance."""

    def __post_init__(self) -> None:
        WordsConfig.__post_init__(self)
        if not 0 < self.keyword_share < 1:
            raise ValueError(f"keyword_share = {self.keyword_share} must lie between 0 and 1")


@dataclass(frozen=True)
class Read:
    """A task document as it is written, and as tokenizer, segmenter and scorer see it."""

    row: dict[str, object]
    text: str
    spans: np.ndarray  # int [words, 2]
    tokens: Tokens  # without special tokens, cut to the room there is
    document: Document


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
    if config.scorer in ("buffer", "causal_prefix") and classifier is None:
        raise InputError(f"scorer = {config.scorer} needs {REMEDIES['classifier']}")
    if classifier is None and init is None:
        raise InputError(f"scorer = {config.scorer} needs a tokenizer: run make base, and give it as --init")
    tokenizer = load_tokenizer(classifier or init, config.max_length)
    classify = Classifier.load(classifier) if classifier else None
    segmenter = Segmenter.of(config)

    def make(documents: list[Document]) -> Score:
        if config.scorer == "causal_prefix":
            return _causal(config, classifier, classify, tokenizer, documents)
        texts = {"task": labelled_words_of(task / "train", segmenter)}
        texts |= {kind: _words(corpus, kind, segmenter) for kind in ("domain", "general")}
        models = {"classifier": classify, "base": init, "reference": reference}
        return make_scorer(config.scorer, tokenizer, models, texts)

    read = list(_read(config, tokenizer, segmenter, task / "train", classify))
    scored = _score(config, classify, make, read)
    frame = Frame.of(tokenizer)
    rows = sorted(gathered([_row(*each, frame) for each in zip(read, scored, strict=True)]), key=lambda row: row["id"])
    kept = [row for row in rows if row["correct"] or config.keep_wrong]
    if not any(any(row["keyword"]) for row in kept):
        raise InputError(_nothing_found(config))
    if rank() == 0:
        write_corpus(out / "task", SCORES, ({name: row[name] for name in SCORES.names} for row in kept))
        (out / "preview.md").write_text(_preview(config, kept, tokenizer), encoding="utf-8")
    return _metrics(rows, kept)


def _words(corpus: Path | None, kind: str, segmenter: Segmenter) -> Iterator[list[str]] | None:
    """The training text of a kind, where there is any."""
    folder = corpus / kind / "train" if corpus else None
    return words_of(folder, segmenter) if folder and folder.exists() else None


def _read(
    config: ScoresConfig,
    tokenizer: PreTrainedTokenizerBase,
    segmenter: Segmenter,
    folder: Path,
    classify: Classifier | None,
) -> Iterator[Read]:
    """This process' share of the documents. Without a classifier there are no classes: labels are names."""
    rows = share(list(read_rows(folder, ("id", "text", "text_pair", "label", "keywords"))))
    texts = [row["text"] if row["text_pair"] is None else f"{row['text']}\n{row['text_pair']}" for row in rows]
    spans = [segmenter.spans(text) for text in texts]
    known, room = dict(zip(texts, spans, strict=True)), Frame.of(tokenizer).room(config.max_length)
    for row, text, places, whole in zip(rows, texts, spans, encode(tokenizer, texts, known.get), strict=True):
        tokens = Tokens(whole.input_ids[:room], whole.word_ids[:room])
        words = [text[start:end] for start, end in places.tolist()]
        label = classify.classes[row["label"]] if classify else -1
        yield Read(row, text, places, tokens, Document.of(row["id"], tokens.input_ids, tokens.word_ids, words, label))


def _causal(
    config: ScoresConfig,
    classifier: Path,
    classify: Classifier,
    tokenizer: PreTrainedTokenizerBase,
    documents: list[Document],
) -> CausalClassifier:
    """The classifier's encoder trained to read from left to right, on the documents of all processes."""
    model = load_token_classifier(classifier, sorted(classify.classes, key=classify.classes.get), config.causal.seed)
    causal = CausalClassifier(model, Frame.of(tokenizer), tokenizer.pad_token_id)
    causal.learn(gathered(documents), config.causal)
    return causal


def _score(
    config: ScoresConfig, classify: Classifier | None, make: Callable[[list[Document]], Score], read: Sequence[Read]
) -> list[Scored]:
    """Importance and decision of each token of each document; of those the classifier gets wrong, none."""
    documents = [one.document for one in read]
    right = classify.right(documents) if classify else np.ones(len(documents), dtype=bool)
    if config.scorer == "buffer" and config.buffer.unit == "piece":
        documents = [by_piece(document) for document in documents]
    asked = [document for document, good in zip(documents, right, strict=True) if good]
    if config.scorer == "buffer":
        found = _in_parts(partial(buffer, config.buffer, classify), asked)
    else:
        found = _decided(_in_parts(make(asked), asked), config.keyword_share)
    answers = iter(found)
    return [_to_tokens(d, next(answers) if good else None) for d, good in zip(documents, right, strict=True)]


def _in_parts(scorer: Callable[[Sequence[Document]], list], documents: Sequence[Document]) -> list:
    starts = range(0, len(documents), TOGETHER)
    parts = progress(starts, len(starts), "parts")
    return [found for start in parts for found in scorer(documents[start : start + TOGETHER])]


def _decided(importances: Importances, keyword_share: float) -> list[Scored]:
    """Keywords are the top share of all words, over all processes, that are above zero."""
    everywhere = np.concatenate([np.zeros(0, np.float32), *gathered(importances)])
    edge = max(0.0, float(top_edge(everywhere, keyword_share)))
    return [Scored(importance, importance > edge) for importance in importances]


def _to_tokens(document: Document, found: Scored | None) -> Scored:
    if found is None:
        size = len(document.ids)
        return Scored(np.zeros(size, np.float32), np.zeros(size, bool), correct=False)
    return Scored(document.to_tokens(found.importance), document.to_tokens(found.keyword))


def _row(read: Read, scored: Scored, frame: Frame) -> dict[str, object]:
    """A row of SCORES, and beside it what the metrics need."""
    whole = framed(frame, [read.tokens])
    before, after = len(frame.before), len(frame.after)
    pad = lambda values: np.concatenate([np.zeros(before, values.dtype), values, np.zeros(after, values.dtype)])
    truth = planted_words(read.text, read.spans, read.row["keywords"] or [])
    return {
        "id": read.row["id"],
        "input_ids": whole.input_ids,
        "word_ids": whole.word_ids,
        "importance": pad(scored.importance),
        "keyword": pad(scored.keyword),
        "correct": scored.correct,
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
        tokens = tokenizer.convert_ids_to_tokens(row["input_ids"].tolist())
        lines.append(f"- {show(tokens, row['keyword'] * np.uint8(255), np.zeros(len(tokens), dtype=bool))}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    run(score)
