"""What is counted of masked sequences, and made of it."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from pipeline.masking.config import IMPORTANT
from pipeline.metrics import precision_recall_f1
from pipeline.tokens import Spans, planted_words, texts_of


def count(counts: dict[str, float], sequences: list[dict], batch: dict[str, list], spans: Spans) -> None:
    """Add a batch to a shard's counts: tokens, masked tokens, and hits where keywords are known."""
    column = lambda name: np.concatenate([row[name] for row in sequences])
    words, importance, masked = map(column, ("word_ids", "importance", "masked"))
    found = (importance >= IMPORTANT) & (words >= 0)
    new = {"sequences": len(sequences), "tokens": (words >= 0).sum(), "masked": masked.sum(), "important": found.sum()}
    of_documents = zip(batch["id"], texts_of(batch), batch["keywords"], strict=True)
    known = {name: (text, keywords) for name, text, keywords in of_documents if keywords}
    hits = [_hits(row, *known[row["id"]], spans) for row in sequences if row["id"] in known]
    for name, value in chain(new.items(), *(each.items() for each in hits)):
        counts[name] = counts.get(name, 0) + int(value)


def _hits(row: dict, text: str, keywords: Sequence[str], spans: Spans) -> dict[str, float]:
    """How a document's tokens agree with its keywords; further sequences of a long one are not looked at."""
    inside = row["word_ids"] >= 0
    found = (row["importance"] >= IMPORTANT) & inside
    truth = planted_words(text, spans(text), keywords)[np.maximum(row["word_ids"], 0)] & inside
    hits, masked = truth & found, truth & row["masked"]
    return {"truth": truth.sum(), "found": found.sum(), "hits": hits.sum(), "masked_truth": masked.sum()}


def added(counts: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of several shards together."""
    return {name: sum(c.get(name, 0) for c in counts) for name in sorted({n for c in counts for n in c})}


def metrics_of(counts: dict[str, float]) -> dict[str, float]:
    """Sequences, tokens and shares; precision, recall and F1 (0-100) where keywords are known."""
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
