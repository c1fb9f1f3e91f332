"""Score the words of the task text: which of them does the classifier need?

    make scores

reads   finetuned-base/  the classifier: the baseline is also the scorer
        corpus/task/     the training rows
writes  scores/          task/: one row a document, its ids, words, importance and the decision; preview.md
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from corpora.parquet import read_rows, write_corpus
from corpora.schemas import SCORES
from corpora.segment import Segmenter
from pipeline.masking.preview import show
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_tokenizer, load_trained
from pipeline.run.errors import InputError
from pipeline.run.processes import gathered, rank, share
from pipeline.run.stage import run
from pipeline.scoring import BufferConfig, Classifier, Scored, buffer_scores
from pipeline.tokens import Frame, Spans, Tokens, encode, framed, planted_words


@dataclass(frozen=True)
class ScoresConfig:
    """Which words count as important."""

    scorer: BufferConfig = field(default_factory=BufferConfig)
    """The sequential buffer of Train No Evil."""
    keep_wrong: bool = False
    """Keep documents the classifier gets wrong, with no keyword in them (parity with the reference code)."""
    max_length: int = 128
    """Longest input in ids; words past it have no importance."""
    language: str = "zh"
    """Decides how words are told apart."""
    segmenter: str = "auto"
    """Word segmenter; see corpora/segment.py."""


def score(config: ScoresConfig, classifier: Path, task: Path, out: Path) -> dict[str, float]:
    """Score every training row; metrics with precision and recall against planted keywords where there are any."""
    tokenizer = load_tokenizer(classifier, config.max_length)
    model = load_trained(AutoModelForSequenceClassification, classifier)
    frame = Frame.of(tokenizer)
    documents = share(list(read_rows(task / "train", ("id", "text", "text_pair", "label", "keywords"))))
    spans = Segmenter(config.segmenter, config.language).spans
    texts = [row["text"] if row["text_pair"] is None else f"{row['text']}\n{row['text_pair']}" for row in documents]
    tokens = [_cut(part, frame.room(config.max_length)) for part in encode(tokenizer, texts, spans)]
    classes = np.array([model.config.label2id[row["label"]] for row in documents], dtype=np.int64)
    scored = _score(config, Classifier(model, frame, tokenizer.pad_token_id), tokens, classes)
    rows = [_row(*each, frame) for each in zip(documents, texts, tokens, scored, [spans] * len(texts), strict=True)]
    rows = sorted(gathered(rows), key=lambda row: row["id"])
    kept = [row for row in rows if row["correct"] or config.keep_wrong]
    if not any(any(row["keyword"]) for row in kept):
        raise InputError("no word of the task text is important to the classifier: raise scores.scorer.delta")
    if rank() == 0:
        write_corpus(out / "task", SCORES, ({name: row[name] for name in SCORES.names} for row in kept))
        (out / "preview.md").write_text(_preview(kept, tokenizer), encoding="utf-8")
    return _metrics(rows, kept)


def _cut(tokens: Tokens, room: int) -> Tokens:
    return Tokens(tokens.input_ids[:room], tokens.word_ids[:room])


def _score(config: ScoresConfig, classify: Classifier, tokens: list[Tokens], classes: np.ndarray) -> list[Scored]:
    """Importance and decision of each token of each document."""
    members = [_members(part, config.scorer.unit) for part in tokens]
    units = [[part.input_ids[m] for m in member] for part, member in zip(tokens, members, strict=True)]
    correct = classify.probabilities([part.input_ids for part in tokens]).argmax(1) == classes
    found = buffer_scores(units, classes, classify, correct, config.scorer)
    return [_to_tokens(part, *each) for part, *each in zip(tokens, members, found, strict=True)]


def _members(tokens: Tokens, unit: str) -> list[np.ndarray]:
    """Positions of each unit: the tokens of a word, or one token. Unknown and special tokens belong to none."""
    inside = np.flatnonzero(tokens.word_ids >= 0)
    if unit == "piece":
        return [inside[i : i + 1] for i in range(len(inside))]
    return np.split(inside, np.flatnonzero(np.diff(tokens.word_ids[inside])) + 1) if len(inside) else []


def _to_tokens(tokens: Tokens, members: list[np.ndarray], found: Scored) -> Scored:
    importance = np.zeros(len(tokens.input_ids), dtype=np.float32)
    keyword = np.zeros(len(tokens.input_ids), dtype=bool)
    for member, value, decision in zip(members, found.importance, found.keyword, strict=True):
        importance[member], keyword[member] = value, decision
    return Scored(importance, keyword, found.correct)


def _row(document: dict, text: str, tokens: Tokens, scored: Scored, spans: Spans, frame: Frame) -> dict[str, object]:
    """A row of SCORES, and beside it what the metrics need."""
    whole = framed(frame, [tokens])
    before, after = len(frame.before), len(frame.after)
    pad = lambda values: np.concatenate([np.zeros(before, values.dtype), values, np.zeros(after, values.dtype)])
    truth = planted_words(text, spans(text), document["keywords"] or [])
    return {
        "id": document["id"],
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


def _preview(rows: list[dict], tokenizer: PreTrainedTokenizerBase) -> str:
    lines = ["# Scores", "", "**Bold** words are the ones the classifier needs.", ""]
    for row in rows[:20]:
        tokens = tokenizer.convert_ids_to_tokens(row["input_ids"].tolist())
        lines.append(f"- {show(tokens, row['keyword'] * np.uint8(255), np.zeros(len(tokens), dtype=bool))}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    run(score)
