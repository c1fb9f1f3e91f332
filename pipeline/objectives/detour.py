"""Predicting the next token, by an encoder that reads from left to right for a while.

The causal detour (Gisserot-Boukhlef et al. 2025; for the continued pretraining of encoders arXiv 2605.12438): most of
the training predicts every next token under a causal mask, the end of it masked words, while the learning rate decays.
A causal pass learns from all tokens, a masked one from 15 % of them; the end gives the encoder its view to both sides
back.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.batches import Around, MaskedBatches
from pipeline.objectives.causal_lm import next_ids
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.errors import InputError


@dataclass(frozen=True)
class DetourConfig:
    """How long a training reads from left to right."""

    causal_share: float = 0.9
    """Share of the training's tokens under the causal loss; the rest is masked language modelling (50 billion of 55 in
    the published recipe). Let the learning rate decay over that rest: trainer.schedule = "wsd", trainer.decay_ratio =
    1 - this."""

    def __post_init__(self) -> None:
        if not 0 <= self.causal_share <= 1:
            raise ValueError(f"causal_share = {self.causal_share} must lie between 0 and 1")


class DetourBatches(Around):
    """Masked batches; before the share `causal_share` of the training, the same sequences with every next token asked.

    A causal batch says so in `causal` [B]. What is predicted at a token is the one after it, the last one's end mark
    included; nothing is corrupted.
    """

    def __init__(self, masked: MaskedBatches, config: DetourConfig) -> None:
        super().__init__(masked)
        self.config = config

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels` [B, L]; of the causal part as written, and the ids one place on."""
        if elapsed >= self.config.causal_share:
            return self.masked.batch(indices, epochs, elapsed)
        batch = self.masked.chosen(indices, epochs, elapsed).tensors(self.masked.pad_id)
        labels = next_ids(batch["input_ids"], batch["attention_mask"])
        return {**batch, "labels": labels, "causal": labels.new_ones(len(labels))}


class Detour(MaskedLM):
    """Masked language modelling whose batches may ask for the next token instead, under a causal mask."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        if not self.unpadded:
            raise InputError(
                f"objective = clm-mlm needs an encoder whose attention can be given a mask of ours, and "
                f"{type(model).__name__} has one of its own: use another objective"
            )

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """As of masked language modelling; attention sees what is before where the batch is `causal`."""
        rest = {name: x for name, x in batch.items() if name != "causal"}
        return super().arranged(rest, causal="causal" in batch)
