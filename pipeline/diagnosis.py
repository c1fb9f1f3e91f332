"""How well a base knows a text already.

It is asked for masked words, the same ones for every base; the error of its loss is that of the sample.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import IGNORE, MaskedBatches, Sequences, by_length
from pipeline.masking.replacement import Vocabulary
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.yardstick import EVALUATION_TOKENS, FIXED_MASKS
from pipeline.tokens import replaceable_ids
from pipeline.vocabulary.fertility import Fertility


def sequences_from(rows: Sequence[dict[str, object]]) -> Sequences:
    """Rows of `tokens.sequence_rows` in memory; all words alike."""
    flat = lambda name: np.concatenate([np.asarray(row[name], dtype=np.int32) for row in rows])
    offsets = np.cumsum([0, *(len(row["input_ids"]) for row in rows)])
    words = flat("word_ids")
    names = np.array([str(row["id"]).encode() for row in rows])
    return Sequences(names, offsets, flat("input_ids"), words, (words >= 0).astype(np.uint8))


@torch.no_grad()
def masked_losses(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, sequences: Sequences
) -> tuple[np.ndarray, np.ndarray]:
    """float64, int64 [N]: of each sequence the summed loss of its masked words under fixed masks, and their number."""
    objective = MaskedLM(model).eval()
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
    batches = MaskedBatches(sequences, FIXED_MASKS, vocabulary, tokenizer.pad_token_id)
    sums, counts = np.zeros(len(batches)), np.zeros(len(batches), dtype=np.int64)
    for indices in by_length(batches.lengths(np.arange(len(batches))), EVALUATION_TOKENS):
        batch = batches.batch(indices, np.zeros_like(indices))
        arranged = objective.arranged(batch)
        targets = arranged.pop("targets")
        lost = cross_entropy(objective.logits(**arranged).float(), targets, reduction="none").cpu().numpy()
        rows = indices[(batch["labels"] != IGNORE).nonzero()[:, 0].numpy()]  # in the order of the targets
        np.add.at(sums, rows, lost)
        np.add.at(counts, rows, 1)
    return sums, counts


def mean_and_error(sums: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Mean loss over all targets and its standard error, sequences being drawn at random (a ratio of two sums)."""
    mean = sums.sum() / max(counts.sum(), 1)
    spread = np.sqrt(((sums - mean * counts) ** 2).sum() * len(sums) / max(len(sums) - 1, 1))
    return float(mean), float(spread / max(counts.sum(), 1))


@dataclass(frozen=True)
class Known:
    """How well a base knows a text."""

    loss: float
    """Mean over masked words, in nats."""
    error: float
    """Its standard error, sequences being drawn at random."""
    means: np.ndarray
    """float64 [sequences with a target]: mean loss of each."""
    unknown: float
    """Share of the ids, special ones aside, that are the unknown one."""
    tokens_per_word: float
    median_ids: float
    """Of a document."""
    cut: float
    """Share of the documents that are longer than a sequence may be."""
    blind: float
    """Loss of a guess among all entries of the vocabulary."""


def known(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[dict[str, object]]) -> Known:
    """Of rows of `tokens.sequence_rows`: a document may be several of them, `id`, `id#1`, …"""
    sequences = sequences_from(rows)
    sums, counts = masked_losses(model, tokenizer, sequences)
    pairs = ((np.asarray(row["input_ids"]), np.asarray(row["word_ids"])) for row in rows)
    read = Fertility.of(pairs, tokenizer.unk_token_id)
    lengths: dict[str, int] = {}
    for row in rows:
        name = str(row["id"]).partition("#")[0]
        lengths[name] = lengths.get(name, 0) + len(row["input_ids"])
    parts = Counter(str(row["id"]).partition("#")[0] for row in rows)
    mean, error = mean_and_error(sums, counts)
    return Known(
        mean,
        error,
        sums[counts > 0] / counts[counts > 0],
        read.unknown_rate,
        read.tokens_per_word,
        float(np.median(list(lengths.values()))),
        sum(count > 1 for count in parts.values()) / len(parts),
        float(np.log(model.config.vocab_size)),
    )
