"""Show what masking does: the same sequences under the recipe's policy, random tokens and MacBERT's, side by side.

    make show

reads   base/    the tokenizer, and the embeddings in which similar words are found
        masked/  sequences and their importance
        corpus/  general text, to compare words with (where there is some)
writes  shown/   index.html, for a browser; shown.txt and shown.ansi, which make prints
"""

import json
from collections import Counter
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import metadata_of, read_batches, read_rows
from corpora.segment import Segmenter
from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.pages import (
    Drawn,
    Piece,
    in_terminal,
    page,
    pieces,
    pieces_as_written,
    sequences_html,
    table_html,
    text_of,
)
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import FILE, Substitutes, Word, similar_words, words_of
from pipeline.metrics import telling
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.run.artifact import read_manifest
from pipeline.run.stage import run
from pipeline.tokens import replaceable_ids, sequence_rows

COUNTED = 20_000
"""Sequences whose words are counted."""
MAC = MaskingConfig(policy="whole_word", unit="ngram", replacement="similar")
"""MacBERT's masking (Cui et al. 2020)."""
HEAD = ["word", "targets", "domain", "general"]


@dataclass(frozen=True)
class ShowConfig:
    """How much is shown."""

    sequences: int = 8
    """Of the domain, and of the task."""
    visits: int = 3
    """Draws of each policy."""
    words: int = 40
    """In the table of words predicted most."""


def show(config: ShowConfig, init: Path, masked: Path, corpus: Path, out: Path) -> dict[str, float]:
    """Write the page; metrics with the number of sequences shown."""
    tokenizer = load_tokenizer(init)
    domain = masked / "domain" / "train"
    counts, targets = _counted(domain)
    table = Substitutes.of(similar_words(counts, load_masked_lm(init).get_input_embeddings().weight.detach().numpy()))
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer), table)
    folders = {name: masked / name / "train" for name in ("domain", "task") if (masked / name / "train").exists()}
    drawn = {name: _drawn(config, folder, tokenizer, vocabulary) for name, folder in folders.items()}
    words = _words(config, tokenizer, counts, targets, _general(masked, corpus, tokenizer))
    parts = [(f"{name} text", sequences_html(sequences)) for name, sequences in drawn.items()]
    note = (
        "Columns 2-4: of a thousand targets, of a thousand words of the domain, of a thousand words of general text."
    )
    html = page("What is masked", [*parts, ("Words predicted most", f"<p>{note}</p>{table_html(HEAD, words)}")])
    (out / "index.html").write_text(html, encoding="utf-8")
    first = [one for sequences in drawn.values() for one in sequences[:2]]
    for name, colour in (("shown.txt", False), ("shown.ansi", True)):
        (out / name).write_text(in_terminal(first, colour), encoding="utf-8")
    return {"sequences": sum(map(len, drawn.values())), "words": len(words)}


def _drawn(
    config: ShowConfig, folder: Path, tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary
) -> list[Drawn]:
    """The first sequences of a folder under each policy."""
    rows = list(islice(read_rows(folder), config.sequences))
    sequences, every = _sequences(rows), np.arange(len(rows))
    recipe = MaskingConfig(**json.loads(metadata_of(folder)["masking"]))
    visits = []
    for label, masking in _policies(recipe).items():
        own = masking is recipe and recipe.replacement != "mask"
        offered = replace(vocabulary, substitutes=Substitutes.load(folder.parent / FILE)) if own else vocabulary
        batches = MaskedBatches(sequences, masking, offered, tokenizer.pad_token_id)
        visits += [(f"{label} {n + 1}", batches.visit(every, np.full(len(rows), n))) for n in range(config.visits)]
    return [
        Drawn(row["id"], _as_written(row, tokenizer), [(name, pieces(v, i, tokenizer)) for name, v in visits])
        for i, row in enumerate(rows)
    ]


def _policies(recipe: MaskingConfig) -> dict[str, MaskingConfig]:
    """What is put side by side; the recipe's own first."""
    others = {"random": MaskingConfig(policy="random"), "macbert": MAC}
    return {recipe.policy: recipe} | {
        name: replace(masking, mask_rate=recipe.mask_rate, seed=recipe.seed)
        for name, masking in others.items()
        if name != recipe.policy
    }


def _as_written(row: dict, tokenizer: PreTrainedTokenizerBase) -> list[Piece]:
    columns = (np.array(row[name]) for name in ("input_ids", "word_ids", "importance"))
    return pieces_as_written(*columns, tokenizer)


def _sequences(rows: list[dict]) -> Sequences:
    """Rows of MASKED as flat arrays."""
    flat = lambda name, kind: np.concatenate([np.array(row[name], dtype=kind) for row in rows])
    return Sequences(
        id=np.array([row["id"].encode() for row in rows]),
        offsets=np.cumsum([0, *(len(row["input_ids"]) for row in rows)]),
        input_ids=flat("input_ids", np.int32),
        word_ids=flat("word_ids", np.int32),
        importance=flat("importance", np.uint8),
    )


def _counted(folder: Path) -> tuple[Counter[Word], Counter[Word]]:
    """How often each word occurs, and how often visit 0 predicts one of its tokens."""
    words, targets = Counter(), Counter()
    for row in islice(read_rows(folder, ("input_ids", "word_ids", "masked")), COUNTED):
        numbers = np.array(row["word_ids"])
        found = words_of(np.array(row["input_ids"]), numbers)
        words.update(found)
        targets.update(w for w, m in zip(found, words_of(np.array(row["masked"]), numbers), strict=True) if any(m))
    return words, targets


def _general(masked: Path, corpus: Path, tokenizer: PreTrainedTokenizerBase) -> Counter[Word]:
    """How often words occur in general text, cut as the masked corpus was; nothing where there is no such text."""
    counts, folder = Counter(), corpus / "general" / "train"
    if not folder.exists():
        return counts
    made = read_manifest(masked)["config"]
    spans = Segmenter(made["segmenter"], made["language"], made.get("user_dictionary")).spans
    for batch in islice(read_batches(folder, ("id", "text", "text_pair"), 500), 10):
        for row in sequence_rows(batch, tokenizer, spans, made["max_length"]):
            counts.update(words_of(row["input_ids"], row["word_ids"]))
    return counts


def _words(
    config: ShowConfig,
    tokenizer: PreTrainedTokenizerBase,
    domain: Counter[Word],
    targets: Counter[Word],
    general: Counter[Word],
) -> list[list[str]]:
    """The words whose share of the targets is largest beside their share of general text, or of the domain's."""
    per_thousand = lambda counts, word: f"{1000 * counts[word] / counts.total():.2f}" if counts.total() else "–"
    return [
        [text_of(np.array(word), tokenizer), *(per_thousand(counts, word) for counts in (targets, domain, general))]
        for word in telling(targets, general or domain)[: config.words]
    ]


if __name__ == "__main__":
    run(show)
