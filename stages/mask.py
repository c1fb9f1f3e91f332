"""Mask the domain and the task text where the tagger sees keywords.

    make masked

reads   base/    the tokenizer, and the longest sequence the model takes
        corpus/  the documents: domain/ and task/
        tagger/  the keyword tagger (policy = selective only)
writes  masked/  domain/ and task/, each train/ and dev/: one row a sequence with its ids as written, word by word
                 importance, and which words visit 0 predicts; preview.md

Under `accelerate launch` each process writes shards of its own; a killed run goes on with those that are missing, and
any number of processes writes the same rows.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import metadata_of, read_batches, read_rows, shards, write_shard
from corpora.schemas import MASKED
from corpora.segment import Segmenter
from pipeline.batches import padded
from pipeline.draws import document_keys
from pipeline.masking.config import IMPORTANT, MaskingConfig
from pipeline.masking.preview import show
from pipeline.masking.selection import choose
from pipeline.metrics import precision_recall_f1
from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.run.processes import progress, rank, share, total
from pipeline.run.stage import run
from pipeline.tagging import Tagger, word_importance
from pipeline.tokens import Spans, fingerprint, planted_words, sequence_rows


@dataclass(frozen=True)
class MaskConfig(MaskingConfig):
    """How sequences are cut, tagged and masked: these settings, and those of pipeline/masking/config.py."""

    max_length: int = 128
    """Longest sequence in ids, special tokens included; a longer document becomes several sequences."""
    language: str = "zh"
    """Decides how words are told apart."""
    segmenter: str = "auto"
    """Word segmenter; see corpora/segment.py."""
    batch_documents: int = 512
    """Documents tagged together; they are sorted by length inside, so a larger number wastes less on padding."""


def mask(config: MaskConfig, init: Path, corpus: Path, tagger: Path | None, out: Path) -> dict[str, float]:
    """Write the masked corpus; metrics with sequences, tokens and the realised mask rate."""
    if config.policy == "selective" and tagger is None:
        raise InputError("policy = selective needs a tagger: run make tagger, or set masked.policy = whole_word")
    tokenizer = load_tokenizer(init, config.max_length)
    tag = Tagger(tagger) if config.policy == "selective" else None
    if tag and fingerprint(tag.tokenizer) != fingerprint(tokenizer):
        raise InputError(f"{tagger} and {init} have different tokenizers: train the tagger again from this base")
    spans = Segmenter(config.segmenter, config.language).spans
    jobs = share([(path, out / path.relative_to(corpus)) for path in _inputs(corpus)])
    todo = [job for job in jobs if not job[1].exists()]
    for source, target in progress(todo, len(todo), "shards"):
        _mask_shard(config, tokenizer, spans, tag, source, target)
    metrics = _metrics(total(_added([json.loads(metadata_of(target)["counts"]) for _, target in jobs])))
    if rank() == 0:
        tokenizer.save_pretrained(out / "tokenizer")
        (out / "preview.md").write_text(_preview(out, tokenizer), encoding="utf-8")
    return metrics


def _inputs(corpus: Path) -> list[Path]:
    """Shards of the domain, and of the task's train and dev text; never of its test text."""
    folders = [corpus / kind / part for kind in ("domain", "task") for part in ("train", "dev")]
    return [path for folder in folders if folder.exists() for path in shards(folder)]


def _mask_shard(
    config: MaskConfig,
    tokenizer: PreTrainedTokenizerBase,
    spans: Spans,
    tag: Tagger | None,
    source: Path,
    target: Path,
) -> None:
    """One shard of documents -> one shard of sequences, with its counts in the footer."""
    counts: dict[str, float] = {}
    masking = {field.name: getattr(config, field.name) for field in fields(MaskingConfig)}
    metadata = {"tokenizer": fingerprint(tokenizer), "masking": json.dumps(masking)}

    def rows() -> Iterator[dict[str, object]]:
        for batch in read_batches(source, ("id", "text", "text_pair", "keywords"), config.batch_documents):
            sequences = _masked(config, list(sequence_rows(batch, tokenizer, spans, config.max_length)), tag)
            _count(counts, sequences, batch, spans)
            yield from sequences
        metadata["counts"] = json.dumps(counts)

    write_shard(target, MASKED, rows(), metadata)


def _masked(config: MaskConfig, sequences: list[dict], tag: Tagger | None) -> list[dict]:
    """`importance` and the choice at visit 0, added to sequences."""
    found = tag.probabilities([row["input_ids"] for row in sequences]) if tag else [None] * len(sequences)
    for row, probability in zip(sequences, found, strict=True):
        words = row["word_ids"]
        row["importance"] = np.zeros(len(words), np.uint8) if tag is None else word_importance(words, probability)
    keys, visit = document_keys([row["id"] for row in sequences]), np.zeros(len(sequences), dtype=np.int64)
    words = padded([row["word_ids"] for row in sequences], -1)
    importance = padded([row["importance"] for row in sequences], 0)
    masked = choose(config, words, importance, keys, visit)
    for row, chosen in zip(sequences, masked, strict=True):
        row["masked"] = chosen[: len(row["word_ids"])]
    return sequences


def _count(counts: dict[str, float], sequences: list[dict], batch: dict[str, list], spans: Spans) -> None:
    """Add a batch to a shard's counts: tokens, masked tokens, and hits of the tagger where keywords are known."""
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
    if counts.get("truth") and counts["important"]:  # with another policy than selective there is no tagger
        measured = precision_recall_f1(counts["hits"], counts["found"], counts["truth"])
        metrics |= {f"truth_{name}": value for name, value in measured.items()}
        metrics["masked_on_truth"] = 100 * counts["masked_truth"] / max(counts["masked"], 1)
    return metrics


def _preview(out: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    lines = ["# Masked corpus", "", "**Bold**: important to the tagger. `[brackets]`: predicted at visit 0.", ""]
    for kind in ("domain", "task"):
        if (out / kind / "train").exists():
            rows = islice(read_rows(out / kind / "train"), 15)
            lines += [f"## {kind}", "", *(f"- {_shown(row, tokenizer)}" for row in rows), ""]
    return "\n".join(lines)


def _shown(row: dict, tokenizer: PreTrainedTokenizerBase) -> str:
    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    return show(tokens, np.array(row["importance"]), np.array(row["masked"]))


if __name__ == "__main__":
    run(mask)
