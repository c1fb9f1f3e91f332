"""What every objective is measured by: dev sequences whose masks, and whatever else is drawn, never change."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from pipeline.batches import Batches, MaskedBatches, Sequences, by_length, targets_in
from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.processes import total
from pipeline.run.sharing import share
from pipeline.training.dropout import token_keys

FIXED_MASKS = MaskingConfig(policy="whole_word", mask_share=1.0, random_share=0.0)
"""The yardstick of every dev loss: words at random, always the same ones, whatever the training masks."""

DEV_SEQUENCES = 512
"""Dev sequences that are measured, those with the smallest keys: some 10,000 targets, a loss good to ±0.05."""

EVALUATION_TOKENS = 8192
"""Padded tokens of a batch when measuring."""


def unscored(sequences: Sequences) -> Sequences:
    """The same sequences, all their words alike: words that training never predicts are on the yardstick, too."""
    return replace(sequences, importance=np.broadcast_to(np.uint8(1), sequences.importance.shape))


def over_dev(
    batches: Batches, ids: np.ndarray, numbers: int, count: Callable[[dict[str, Tensor]], Sequence[float]]
) -> list[float]:
    """So many numbers added up over the dev sequences, which are counted batch by batch; every process calls.

    `ids` bytes [N] of all sequences.
    """
    summed = np.zeros(numbers)
    for batch in dev_batches(batches, ids):
        summed += count(batch)
    return list(total({str(place): float(number) for place, number in enumerate(summed)}).values())


def dev_batches(batches: Batches, ids: np.ndarray) -> Iterator[dict[str, Tensor]]:
    """This process's share of the dev sequences at visit 0, with their `token_keys`."""
    chosen = np.argsort(document_keys(ids))[:DEV_SEQUENCES]
    for part in share(by_length(batches.lengths(chosen), EVALUATION_TOKENS)):
        indices = chosen[part]
        first = np.zeros_like(indices)
        batch = batches.batch(indices, first)
        yield batch | {"token_keys": token_keys(0, first, batches.keys(indices), batch["attention_mask"].shape[1])}


def fixed_mask_loss(objective: MaskedLM, batches: MaskedBatches) -> dict[str, float]:
    """Mean loss over all targets of the dev set at visit 0: the same numbers to guess for every model and step."""
    count = lambda batch: (float(objective.of_words(batch)), targets_in(batch["labels"]))
    lost, targets = over_dev(batches, batches.sequences.id, 2, count)
    return {"loss": lost / max(targets, 1)}
