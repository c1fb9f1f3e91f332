"""Continued pretraining by any objective: what `start` (from scratch) and `pretrain` share."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from pipeline.batches import MaskedBatches, Sequences
from pipeline.draws import visits
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import Substitutes
from pipeline.objectives.methods import MASKED_LM, Method
from pipeline.objectives.objective import Objective
from pipeline.objectives.yardstick import FIXED_MASKS, unscored
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.thawing import embeddings_first
from pipeline.tokens import replaceable_ids
from pipeline.trainer import Evaluate, TrainerConfig, train

MEASURED_SEQUENCES = 512
"""Training sequences whose masks are counted for the metrics."""


def learn(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    sequences: Sequences,
    dev: Sequences | None,
    masking: MaskingConfig,
    trainer: TrainerConfig,
    folder: Path,
    label: str,
    method: Method = MASKED_LM,
    substitutes: Substitutes | None = None,
    warm_embeddings: float = 0.0,
) -> dict[str, float]:
    """Train a model of `method` on sequences masked anew at every visit; metrics, those on dev before and after.

    Over the share `warm_embeddings` of the training the embeddings of words learn alone.
    """
    _check_room(model, sequences, method)
    if method.reads == "chosen" and masking.replacement != "mask":
        raise InputError(
            f"masked.replacement = {masking.replacement}, and {method.called} puts nothing in the place of a word: "
            "set masked.replacement = mask"
        )
    if method.reads == "corrupted" and tokenizer.mask_token_id is None:
        raise InputError(f"{method.called} needs a mask token, and the tokenizer has none: set base.objective = mntp")
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer), substitutes)
    objective = method.objective(model.to(processes().device))
    masked = MaskedBatches(sequences, masking, vocabulary, tokenizer.pad_token_id)
    measure = None
    if dev is not None and len(dev):
        fixed = MaskedBatches(unscored(dev), FIXED_MASKS, vocabulary, tokenizer.pad_token_id)
        measure = lambda: method.measure(objective, fixed)
    before = _before(objective, measure)
    companions = [embeddings_first(model, warm_embeddings)] if warm_embeddings else []
    trained = train(objective, method.batches(masked), trainer, label, measure, folder=folder, companions=companions)
    return {
        "steps": trained.steps,
        "tokens": trained.tokens,
        "dev_loss_before": before.get("loss", float("nan")),
        "dev_loss": trained.evaluation.get("loss", float("nan")),
        **{f"dev_{name}": value for name, value in trained.evaluation.items() if name != "loss"},
        "sequences": len(sequences),
        "skipped_steps": trained.skipped,
        **realised(masked, trainer.seed, method),
    }


def _check_room(model: nn.Module, sequences: Sequences, method: Method) -> None:
    """What a method adds to a sequence must find a place."""
    if not method.added:
        return
    longest, takes = int(np.diff(sequences.offsets).max(initial=0)), model.config.max_position_embeddings
    if longest + method.added > takes:
        raise InputError(
            f"{method.called} puts {method.added} more id into a sequence, and the longest has {longest} where the "
            f"model takes {takes}: set masked.max_length = {takes - method.added}"
        )


def _before(objective: Objective, measure: Evaluate | None) -> dict[str, float]:
    objective.eval()
    with torch.no_grad():
        result = measure() if measure else {}
    objective.train()
    return result


def realised(batches: MaskedBatches, seed: int, method: Method = MASKED_LM) -> dict[str, float]:
    """What masking does in fact, measured over the first sequences that are read; see `Visit.shares`.

    Of a method that reads the text as written, which words were chosen, if it asks for them.
    """
    if method.reads == "text":
        return {}
    look = batches.visit if method.reads == "corrupted" else batches.chosen
    shares = look(*visits(seed, 0, MEASURED_SEQUENCES, len(batches))).shares(batches.masking)
    return {f"realised_{name}": share for name, share in shares.items()}
