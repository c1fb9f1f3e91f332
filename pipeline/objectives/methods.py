"""Every pretraining objective by its name, and what the stages ask of it: the one place to add another.

A method knows neither the trainer nor the corpus; `pipeline/pretraining.py` puts the three together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pipeline.batches import Batches, MaskedBatches
from pipeline.models import ModelSize, load_masked_lm, new_bert
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.objective import Objective
from pipeline.objectives.yardstick import fixed_mask_loss


@dataclass(frozen=True)
class Method:
    """A way to pretrain. What it makes is saved by `model.save_pretrained(folder)`."""

    called: str
    """What a model's card says it was made by."""
    open: Callable[[str | Path], nn.Module]
    """The model of a checkpoint."""
    new: Callable[[ModelSize, int, int, int], nn.Module]
    """A fresh one of (size, entries of the vocabulary, id of padding, seed)."""
    objective: Callable[[nn.Module], Objective]
    """What is trained."""
    batches: Callable[[MaskedBatches], Batches]
    """What it reads."""
    measure: Callable[[Objective, MaskedBatches], dict[str, float]]
    """What is said of it on dev sequences under fixed masks, `loss` first; every process calls."""


MASKED_LM = Method(
    called="masked language modelling",
    open=load_masked_lm,
    new=new_bert,
    objective=MaskedLM,
    batches=lambda masked: masked,
    measure=fixed_mask_loss,
)
