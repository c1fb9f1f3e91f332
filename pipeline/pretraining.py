"""Continued pretraining by masked language modelling: what `start` (from scratch) and `pretrain` share."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import IGNORE, MaskedBatches, Sequences, by_length
from pipeline.draws import document_keys, visits
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import Substitutes
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.processes import processes, share, total
from pipeline.tokens import replaceable_ids
from pipeline.trainer import Evaluate, TrainerConfig, train

FIXED_MASKS = MaskingConfig(policy="whole_word", mask_share=1.0, random_share=0.0)
"""The yardstick of every dev loss: words at random, always the same ones, whatever the training masks."""

DEV_SEQUENCES = 512
"""Dev sequences that are measured, those with the smallest keys: some 10,000 targets, a loss good to ±0.05."""

MEASURED_SEQUENCES = 512
"""Training sequences whose masks are counted for the metrics."""

EVALUATION_TOKENS = 8192
"""Padded tokens of a batch when measuring."""


def pretrain_mlm(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sequences: Sequences,
    dev: Sequences | None,
    masking: MaskingConfig,
    trainer: TrainerConfig,
    folder: Path,
    label: str,
    substitutes: Substitutes | None = None,
) -> dict[str, float]:
    """Train `model` on sequences masked anew at every visit; metrics, with the dev loss before and after."""
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer), substitutes)
    objective = MaskedLM(model.to(processes().device))
    batches = MaskedBatches(sequences, masking, vocabulary, tokenizer.pad_token_id)
    measure = None
    if dev is not None and len(dev):
        fixed = MaskedBatches(unscored(dev), FIXED_MASKS, vocabulary, tokenizer.pad_token_id)
        measure = lambda: fixed_mask_loss(objective, fixed)
    before = _before(objective, measure)
    trained = train(objective, batches, trainer, label, measure, folder=folder)
    return {
        "steps": trained.steps,
        "tokens": trained.tokens,
        "dev_loss_before": before.get("loss", float("nan")),
        "dev_loss": trained.evaluation.get("loss", float("nan")),
        "sequences": len(sequences),
        "skipped_steps": trained.skipped,
        **realised(batches, trainer.seed),
    }


def _before(objective: MaskedLM, measure: Evaluate | None) -> dict[str, float]:
    objective.eval()
    with torch.no_grad():
        result = measure() if measure else {}
    objective.train()
    return result


def unscored(sequences: Sequences) -> Sequences:
    """The same sequences, all their words alike: words that training never predicts are on the yardstick, too."""
    return replace(sequences, importance=np.broadcast_to(np.uint8(1), sequences.importance.shape))


def realised(batches: MaskedBatches, seed: int) -> dict[str, float]:
    """What masking does in fact, measured over the first sequences that are read; see `Visit.shares`."""
    visit = batches.visit(*visits(seed, 0, MEASURED_SEQUENCES, len(batches)))
    return {f"realised_{name}": share for name, share in visit.shares(batches.masking).items()}


def fixed_mask_loss(objective: MaskedLM, batches: MaskedBatches) -> dict[str, float]:
    """Mean loss over all targets of the dev set at visit 0: the same numbers to guess for every model and step."""
    counts = {"loss": 0.0, "targets": 0.0}
    chosen = np.argsort(document_keys(batches.sequences.id))[:DEV_SEQUENCES]
    for part in share(by_length(batches.lengths(chosen), EVALUATION_TOKENS)):
        indices = chosen[part]
        batch = batches.batch(indices, np.zeros_like(indices))
        counts["loss"] += float(objective(**objective.arranged(batch)))
        counts["targets"] += float((batch["labels"] != IGNORE).sum())
    summed = total(counts)
    return {"loss": summed["loss"] / max(summed["targets"], 1)}
