"""Continued pretraining by any objective: what `start` (from scratch) and `pretrain` share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import Substitutes
from pipeline.objectives.methods import MASKED_LM, Method
from pipeline.objectives.objective import Objective
from pipeline.objectives.yardstick import FIXED_MASKS, unscored
from pipeline.probing import NEEDS, PROBED, Probe
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.tokens import replaceable_ids
from pipeline.training.config import TrainerConfig
from pipeline.training.mixture import Mixture
from pipeline.training.replay import Replay, replayed
from pipeline.training.thawing import embeddings_first
from pipeline.training.trainer import Evaluate, MakeOptimizer, train
from pipeline.training.unpadding import first_position

MEASURED_SEQUENCES = 512
"""Training sequences whose masks are counted for the metrics."""

GENERAL = "general_loss"
"""What the loss on general text is called beside that on a training's own."""


@dataclass(frozen=True)
class Text:
    """A masked corpus: what is learned from, what is measured on, and how it is masked."""

    train: Sequences
    dev: Sequences | None
    masking: MaskingConfig
    substitutes: Substitutes | None = None

    def batches(self, tokenizer: PreTrainedTokenizerBase) -> MaskedBatches:
        """Its training sequences."""
        vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer), self.substitutes)
        return MaskedBatches(self.train, self.masking, vocabulary, tokenizer.pad_token_id)

    def fixed(self, tokenizer: PreTrainedTokenizerBase) -> MaskedBatches | None:
        """Its dev sequences as everything is measured by them; None where there are none."""
        return fixed_batches(self.dev, tokenizer) if self.dev is not None and len(self.dev) else None


def fixed_batches(dev: Sequences, tokenizer: PreTrainedTokenizerBase) -> MaskedBatches:
    """Dev sequences, whatever the training masks: the same words at random, always."""
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
    return MaskedBatches(unscored(dev), FIXED_MASKS, vocabulary, tokenizer.pad_token_id)


def learn(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    text: Text,
    trainer: TrainerConfig,
    folder: Path,
    label: str,
    method: Method = MASKED_LM,
    general: Text | None = None,
    replay: float = 0.0,
    mixture: Mapping[str, float] | None = None,
    optimizer: MakeOptimizer | None = None,
    warm_embeddings: float = 0.0,
    probe: Probe | None = None,
    choose: str = "",
    patience: int = 0,
) -> dict[str, float]:
    """Train a model of `method` on sequences masked anew at every visit; metrics, those on dev before and after.

    On `general` text it is measured as well, what is forgotten; `replay` is the share of all sequences that are of
    it, and `mixture` the weight of every card of the text. Over the share `warm_embeddings` of the training the
    embeddings of words learn alone. What `probe` asks is measured beside the losses. The weights of the best
    measurement of `choose` are kept, and `patience` waits for better ones.
    """
    _check_room(model, [text, general] if general else [text], method)
    if method.reads == "chosen" and text.masking.replacement != "mask":
        raise InputError(
            f"masked.replacement = {text.masking.replacement}, and {method.called} puts nothing in the place of a "
            "word: set masked.replacement = mask"
        )
    if method.reads == "corrupted" and tokenizer.mask_token_id is None:
        raise InputError(f"{method.called} needs a mask token, and the tokenizer has none: set base.objective = mntp")
    objective = method.objective(model.to(processes().device))
    masked = text.batches(tokenizer)
    mixed = Mixture(masked, mixture) if mixture else masked
    read = Replay(mixed, general.batches(tokenizer), replay) if replay else mixed
    asked = (lambda: probe(model)) if probe else None
    fixed = text.fixed(tokenizer), general.fixed(tokenizer) if general else None
    measure = _measure(method, objective, *fixed, asked)
    before = _before(objective, measure)
    _check_measured(choose, before)
    companions = [embeddings_first(model, warm_embeddings)] if warm_embeddings else []
    how = {"folder": folder, "optimizer": optimizer, "companions": companions, "best": choose, "patience": patience}
    trained = train(objective, method.batches(read), trainer, label, measure, **how)
    return {
        "steps": trained.steps,
        "tokens": trained.tokens,
        "dev_loss_before": before.get("loss", float("nan")),
        "dev_loss": trained.evaluation.get("loss", float("nan")),
        **{f"dev_{name}_before": value for name, value in before.items() if name in (GENERAL, *PROBED)},
        **{f"dev_{name}": value for name, value in trained.evaluation.items() if name != "loss"},
        "sequences": len(text.train),
        **({"replayed": replayed(trained.steps * trainer.batch_size, replay)} if replay else {}),
        "skipped_steps": trained.skipped,
        **realised(mixed, trainer.seed, method),
    }


def _measure(
    method: Method,
    objective: Objective,
    own: MaskedBatches | None,
    general: MaskedBatches | None,
    asked: Evaluate | None,
) -> Evaluate | None:
    """All that is said of a model on dev sequences of its own text, its loss on general ones, answers to a probe."""
    if own is None and general is None and asked is None:
        return None
    of_own = lambda: method.measure(objective, own) if own else {}
    of_general = lambda: {GENERAL: method.measure(objective, general)["loss"]} if general else {}
    return lambda: of_own() | of_general() | (asked() if asked else {})


def _check_room(model: nn.Module, texts: list[Text], method: Method) -> None:
    """What a method adds to a sequence must find a place."""
    if not method.added:
        return
    longest = max(int(np.diff(text.train.offsets).max(initial=0)) for text in texts)
    takes = model.config.max_position_embeddings - first_position(model)
    if longest + method.added > takes:
        raise InputError(
            f"{method.called} puts {method.added} more id into a sequence, and the longest has {longest} where the "
            f"model takes {takes}: set masked.max_length = {takes - method.added}"
        )


def _check_measured(choose: str, before: Mapping[str, float]) -> None:
    """What is to choose the weights must be among what is measured: no training ends at its first measurement."""
    if choose and choose not in before:
        there = ", ".join(name for name in NEEDS if name in before)
        remedy = f"set it to one of {there}" if there else "leave it out"
        raise InputError(f"probe.choose = {choose} is not measured here, for want of {NEEDS[choose]}: {remedy}")


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
    shares = look(*batches.visits(seed, 0, MEASURED_SEQUENCES)).shares(batches.masking)
    return {f"realised_{name}": share for name, share in shares.items()}
