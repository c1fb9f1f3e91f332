"""Mask the domain and the task text where the important words are.

    make masked                                                         # by the tagger
    make masked SET="masked.scorer=tfidf"                               # or by any scorer, without one
    make masked SET="masked.scorer=excess_loss" REFERENCE=<checkpoint>

reads   base/            the tokenizer, the longest sequence the model takes; the model for keyword, entropy, loss, …
        corpus/          the documents: domain/ and task/; what is counted for log_odds, tfidf, pmi
        tagger/          the keyword tagger (scorer = tagger)
        finetuned-base/  the classifier (prefix, occlusion, gradient, …): explains what it predicts
        a checkpoint     adapted to good text (excess_loss)
writes  masked/          domain/ and task/, each train/ and dev/: one row a sequence with its ids as written, word by
                         word importance, and which words visit 0 predicts; preview.md

Under `accelerate launch` each process writes shards of its own; a killed run goes on with those that are missing, and
any number of processes writes the same rows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import metadata_of, read_batches, read_rows, shards, write_shard
from corpora.schemas import MASKED
from corpora.segment import Segmenter
from corpora.words import labelled_words_of, words_of
from pipeline.batches import padded
from pipeline.draws import document_keys
from pipeline.masking import IMPORTANT, MaskingConfig, choose, show
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_tokenizer
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.processes import main_first, progress, rank, share, total
from pipeline.run.stage import run
from pipeline.scoring.documents import Document
from pipeline.scoring.importance import Scale
from pipeline.scoring.scorers import Score, Scorer, make_scorer
from pipeline.tagging import Tagger, word_importance
from pipeline.tokens import Frame, Spans, fingerprint, planted_words, sequence_rows

COLUMNS = ("id", "text", "text_pair", "keywords")

SAMPLE = 2000
"""Documents, spread over all shards, by which scores are put on the scale of importances."""

Weigh = Callable[[list[dict], dict[str, list]], list[np.ndarray]]
"""(rows of sequences, the documents they are of) -> importance uint8 [L] of each sequence, 0 where no word is."""


@dataclass(frozen=True)
class MaskConfig(MaskingConfig):
    """How sequences are cut, weighed and masked: these settings, and those of pipeline/masking.py."""

    scorer: Literal["tagger", Scorer] = "tagger"
    """What weighs words where the policy asks for it: the tagger, or a scorer of pipeline/scoring/scorers.py without
    one; a classifier then explains what it predicts itself."""
    important_share: float = 0.15
    """Share of the words that are important to a scorer, at most: as many as are masked by default. The tagger decides
    by itself."""
    max_length: int = 128
    """Longest sequence in ids, special tokens included; a longer document becomes several sequences."""
    language: str = "zh"
    """Decides how words are told apart."""
    segmenter: str = "auto"
    """Word segmenter; see corpora/segment.py."""
    batch_documents: int = 512
    """Documents weighed together; they are sorted by length inside, so a larger number wastes less on padding."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.important_share < 1:
            raise ValueError(f"important_share = {self.important_share} must lie between 0 and 1")


def mask(
    config: MaskConfig,
    init: Path,
    corpus: Path,
    tagger: Path | None,
    classifier: Path | None,
    reference: Path | None,
    out: Path,
) -> dict[str, float]:
    """Write the masked corpus; metrics with sequences, tokens and the realised mask rate."""
    tokenizer, segmenter = load_tokenizer(init, config.max_length), Segmenter(config.segmenter, config.language)
    spans = lru_cache(maxsize=2 * config.batch_documents)(segmenter.spans)  # asked for twice: by tokens, and by words
    if config.policy != "selective":
        weigh: Weigh = _alike
    elif config.scorer == "tagger":
        weigh = _by_tagger(tagger, tokenizer)
    else:
        models = {"classifier": classifier, "base": init, "reference": reference}
        score = make_scorer(config.scorer, tokenizer, models, _texts(corpus, segmenter))
        scale = main_first(lambda: _scale(config, corpus, tokenizer, spans, score, out))
        weigh = _by_scorer(score, scale, spans, Frame.of(tokenizer))
    jobs = share([(path, out / path.relative_to(corpus)) for path in _inputs(corpus)])
    todo = [job for job in jobs if not job[1].exists()]
    for source, target in progress(todo, len(todo), "shards"):
        _mask_shard(config, tokenizer, spans, weigh, source, target)
    metrics = _metrics(total(_added([json.loads(metadata_of(target)["counts"]) for _, target in jobs])))
    if rank() == 0:
        tokenizer.save_pretrained(out / "tokenizer")
        (out / "preview.md").write_text(_preview(config, out, tokenizer), encoding="utf-8")
    return metrics


# ---- how words are weighed ------------------------------------------------------------------------------------------


def _alike(sequences: list[dict], batch: dict[str, list]) -> list[np.ndarray]:
    """No word is more important than another."""
    return [(row["word_ids"] >= 0).astype(np.uint8) for row in sequences]


def _by_tagger(folder: Path | None, tokenizer: PreTrainedTokenizerBase) -> Weigh:
    """The probability that a word is a keyword."""
    if folder is None:
        raise InputError("policy = selective needs a tagger: run make tagger, or set masked.policy = whole_word")
    tag = Tagger(folder)
    if fingerprint(tag.tokenizer) != fingerprint(tokenizer):
        raise InputError(f"{folder} and the base have different tokenizers: train the tagger again from this base")

    def weigh(sequences: list[dict], batch: dict[str, list]) -> list[np.ndarray]:
        found = tag.probabilities([row["input_ids"] for row in sequences])
        return [word_importance(row["word_ids"], p) for row, p in zip(sequences, found, strict=True)]

    return weigh


def _by_scorer(score: Score, scale: Scale, spans: Spans, frame: Frame) -> Weigh:
    """The rank of a word's score."""

    def weigh(sequences: list[dict], batch: dict[str, list]) -> list[np.ndarray]:
        documents = _documents(sequences, _words(batch, spans), frame)
        inside = [d.to_tokens(scale(scores)) for d, scores in zip(documents, score(documents), strict=True)]
        return [np.pad(row, (len(frame.before), len(frame.after))) for row in inside]

    return weigh


def _documents(sequences: list[dict], words: dict[str, list[str]], frame: Frame) -> list[Document]:
    """Sequences as scorers see them."""
    inside = lambda row, name: row[name][len(frame.before) : len(row[name]) - len(frame.after)]
    of = lambda name: words[name] if name in words else words[name.rpartition("#")[0]]
    return [Document.of(r["id"], inside(r, "input_ids"), inside(r, "word_ids"), of(r["id"])) for r in sequences]


def _texts(corpus: Path, segmenter: Segmenter) -> dict[str, Iterator | None]:
    """The training text of each kind as words, where there is any; nothing is read before it is asked for."""
    readers = {"task": labelled_words_of, "domain": words_of, "general": words_of}
    folders = {kind: corpus / kind / "train" for kind in readers}
    return {kind: read(folders[kind], segmenter) if folders[kind].exists() else None for kind, read in readers.items()}


def _scale(
    config: MaskConfig, corpus: Path, tokenizer: PreTrainedTokenizerBase, spans: Spans, score: Score, out: Path
) -> Scale:
    """The scale of a scorer, by the first documents of every shard; kept, so that all processes have the same one."""
    kept = out / SCRATCH / "scale.npy"
    if not kept.exists():
        frame, paths, scores = Frame.of(tokenizer), _inputs(corpus), []
        for path in paths:
            batch = next(read_batches(path, COLUMNS, -(-SAMPLE // len(paths))))
            sequences = list(sequence_rows(batch, tokenizer, spans, config.max_length))
            documents = _documents(sequences, _words(batch, spans), frame)
            scores += [found[d.known] for d, found in zip(documents, score(documents), strict=True)]
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, _fitted(config, np.concatenate(scores)).edges)
    return Scale(np.load(kept))


def _fitted(config: MaskConfig, scores: np.ndarray) -> Scale:
    scale = Scale.of(scores, config.important_share)
    if len(scores) and scale(scores).max() < IMPORTANT:
        alike = np.mean(scores == scores.max())
        raise InputError(
            f"scorer = {config.scorer} gives {alike:.0%} of the words its highest score: raise masked.important_share "
            "above that, or choose another scorer"
        )
    return scale


# ---- shard by shard -------------------------------------------------------------------------------------------------


def _inputs(corpus: Path) -> list[Path]:
    """Shards of the domain, and of the task's train and dev text; never of its test text."""
    folders = [corpus / kind / part for kind in ("domain", "task") for part in ("train", "dev")]
    return [path for folder in folders if folder.exists() for path in shards(folder)]


def _mask_shard(
    config: MaskConfig,
    tokenizer: PreTrainedTokenizerBase,
    spans: Spans,
    weigh: Weigh,
    source: Path,
    target: Path,
) -> None:
    """One shard of documents -> one shard of sequences, with its counts in the footer."""
    counts: dict[str, float] = {}
    masking = {field.name: getattr(config, field.name) for field in fields(MaskingConfig)}
    metadata = {"tokenizer": fingerprint(tokenizer), "masking": json.dumps(masking)}

    def rows() -> Iterator[dict[str, object]]:
        for batch in read_batches(source, COLUMNS, config.batch_documents):
            sequences = list(sequence_rows(batch, tokenizer, spans, config.max_length))
            for row, importance in zip(sequences, weigh(sequences, batch), strict=True):
                row["importance"] = _choosable(row["word_ids"], importance)
            _choose(config, sequences)
            _count(counts, sequences, batch, spans)
            yield from sequences
        metadata["counts"] = json.dumps(counts)

    write_shard(target, MASKED, rows(), metadata)


def _words(batch: dict[str, list], spans: Spans) -> dict[str, list[str]]:
    """Document id -> its words as written, numbered as in `sequence_rows`."""
    texts = [t if p is None else f"{t}\n{p}" for t, p in zip(batch["text"], batch["text_pair"], strict=True)]
    cut = lambda text: [text[start:end] for start, end in spans(text).tolist()]
    return {name: cut(text) for name, text in zip(batch["id"], texts, strict=True)}


def _choosable(word_ids: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """uint8 [L]: importance 0 says that a token is never chosen: of special and unknown tokens, and of what else is to
    be left out (this is the place to say so). Every other word has at least 1."""
    return np.where(word_ids >= 0, np.maximum(importance, 1), 0).astype(np.uint8)


def _choose(config: MaskConfig, sequences: list[dict]) -> None:
    """Add `masked`, the choice at visit 0."""
    keys, visit = document_keys([row["id"] for row in sequences]), np.zeros(len(sequences), dtype=np.int64)
    words = padded([row["word_ids"] for row in sequences], -1)
    importance = padded([row["importance"] for row in sequences], 0)
    masked = choose(config, words, importance, keys, visit)
    for row, chosen in zip(sequences, masked, strict=True):
        row["masked"] = chosen[: len(row["word_ids"])]


def _count(counts: dict[str, float], sequences: list[dict], batch: dict[str, list], spans: Spans) -> None:
    """Add a batch to a shard's counts: tokens, masked tokens, and hits where keywords are known."""
    texts = {
        name: (text, keywords)
        for name, text, keywords in zip(batch["id"], batch["text"], batch["keywords"], strict=True)
    }
    for row in sequences:
        inside = row["word_ids"] >= 0
        found = (row["importance"] >= IMPORTANT) & inside
        new = {"sequences": 1, "tokens": inside.sum(), "masked": row["masked"].sum(), "important": found.sum()}
        text, keywords = texts.get(row["id"], ("", None))  # further sequences of a long document are not looked at
        if keywords:
            truth = planted_words(text, spans(text), keywords)[np.maximum(row["word_ids"], 0)] & inside
            new |= {"truth": truth.sum(), "found": found.sum(), "hits": (truth & found).sum()}
            new |= {"masked_truth": (truth & row["masked"]).sum()}
        for name, value in new.items():
            counts[name] = counts.get(name, 0) + int(value)


def _added(counts: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(c.get(name, 0) for c in counts) for name in sorted({n for c in counts for n in c})}


def _metrics(counts: dict[str, float]) -> dict[str, float]:
    metrics = {
        "sequences": counts["sequences"],
        "tokens": counts["tokens"],
        "mask_rate": counts["masked"] / max(counts["tokens"], 1),
        "important_rate": counts["important"] / max(counts["tokens"], 1),
    }
    if counts.get("truth") and counts["important"]:  # with another policy than selective no word is important
        measured = precision_recall_f1(counts["hits"], counts["found"], counts["truth"])
        metrics |= {f"truth_{name}": value for name, value in measured.items()}
        metrics["masked_on_truth"] = 100 * counts["masked_truth"] / max(counts["masked"], 1)
    return metrics


def _preview(config: MaskConfig, out: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    lines = ["# Masked corpus", "", f"**Bold**: important to {config.scorer}. `[brackets]`: predicted at visit 0.", ""]
    for kind in ("domain", "task"):
        if (out / kind / "train").exists():
            rows = islice(read_rows(out / kind / "train"), 15)
            lines += [f"## {kind}", "", *(f"- {_shown(row, tokenizer)}" for row in rows), ""]
    return "\n".join(lines)


def _shown(row: dict, tokenizer: PreTrainedTokenizerBase) -> str:
    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    return show(tokens, np.array(row["importance"]), np.array(row["masked"]))


if __name__ == "__main__":
    run(mask, version=2)
