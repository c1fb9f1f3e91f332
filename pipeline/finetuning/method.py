"""How a task model is fine-tuned: every technique as a setting, put together in one place, and what excludes what.

fine_tune(model, task, batches, config, …)    afterwards its weights are plain, whatever was asked for
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from pipeline.batches import Batches, LabelledBatches
from pipeline.finetuning.adversarial import RobustnessConfig, robust
from pipeline.finetuning.classifier import Learning, Windowed, encoder_of, head_of, loss_of
from pipeline.finetuning.corrector import Correcting
from pipeline.finetuning.curriculum import Curriculum
from pipeline.finetuning.losses import (
    Divergence,
    LossConfig,
    bernoulli_divergence,
    categorical_divergence,
    chosen,
    squared_difference,
)
from pipeline.finetuning.masked_words import MaskedBeside, WithMaskedWords
from pipeline.finetuning.objective import RDrop
from pipeline.finetuning.optimisation import OptimisationConfig, freeze_encoder, optimizer_of, thawing_from_top
from pipeline.finetuning.spelling import SpellingConfig
from pipeline.finetuning.stabilisers import Mixout, StabiliserConfig, reinitialise_top, set_dropout
from pipeline.finetuning.task import Task
from pipeline.masking.config import MaskingConfig
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.objectives.labelling import Loss
from pipeline.objectives.objective import Objective
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED
from pipeline.run.processes import processes
from pipeline.training.config import TrainerConfig
from pipeline.training.lora import LoraConfig, add_adapters, merge_adapters
from pipeline.training.trainer import Companion, Evaluate, Trained, train

DIVERGENCES: dict[str, Divergence] = {
    "classes": categorical_divergence,
    "tags": categorical_divergence,
    "ordered": bernoulli_divergence,
    "labels": bernoulli_divergence,
    "value": squared_difference,
}
"""Kind of task -> how far two answers are apart."""

OWN = {"classes": "cross_entropy", "tags": "cross_entropy", "labels": "bce"}
"""Kind of task -> its own loss, where there is a choice."""

MASKED_WORDS = MaskingConfig(policy="random")
"""What `loss.masked_words` predicts: 15 % of the tokens, as BERT did."""


@dataclass(frozen=True)
class MethodConfig:
    """What is done beside plain training; left as it is, nothing."""

    loss: LossConfig = field(default_factory=LossConfig)
    """What is minimised."""
    optimisation: OptimisationConfig = field(default_factory=OptimisationConfig)
    """How the weights move."""
    stabilisers: StabiliserConfig = field(default_factory=StabiliserConfig)
    """What the model is made to forget, or kept from forgetting."""
    robustness: RobustnessConfig = field(default_factory=RobustnessConfig)
    """Changes of what it reads that it is to stand."""
    lora: LoraConfig = field(default_factory=LoraConfig)
    """Low-rank adapters, for large bases."""
    patience: int = 0
    """End the training after so many measurements of dev in a row that were no better than the best; 0 = never."""
    spelling: SpellingConfig = field(default_factory=SpellingConfig, metadata=ADDED)
    """What is minimised of spelling correction, in the place of loss."""

    def __post_init__(self) -> None:
        if self.patience < 0:
            raise ValueError(f"patience = {self.patience} must not be negative")
        if self.optimisation.frozen or self.lora.rank:
            why = "optimisation.frozen" if self.optimisation.frozen else "lora.rank"
            if idle := self._of_the_encoder():
                raise ValueError(f"{why} leaves the encoder's weights as they are: leave out {', '.join(idle)}")
        if self.optimisation.frozen and self.lora.rank:
            raise ValueError("optimisation.frozen and lora.rank exclude each other: choose one")
        if self.loss.agreement and (self.stabilisers.mixout or self.stabilisers.dropout == 0):
            raise ValueError("loss.agreement compares two dropouts, and mixout or dropout = 0 leave none: choose one")

    def _of_the_encoder(self) -> list[str]:
        """Settings that are about weights of the encoder that learn."""
        asked = {
            "optimisation.prior_decay": self.optimisation.prior_decay,
            "optimisation.unfreeze_ratio": self.optimisation.unfreeze_ratio,
            "stabilisers.reinit_layers": self.stabilisers.reinit_layers,
            "stabilisers.mixout": self.stabilisers.mixout,
            "loss.masked_words": self.loss.masked_words,
        }
        return [name for name, value in asked.items() if value]


def fine_tune(
    model: nn.Module,
    task: Task,
    batches: LabelledBatches,
    config: MethodConfig,
    trainer: TrainerConfig,
    init: Path,
    label: str,
    evaluate: Evaluate | None,
    best: str,
    folder: Path | None = None,
) -> Trained:
    """Train a fresh task model on the encoder of `init` in place, as `train` does."""
    fresh = reinitialise_top(model, config.stabilisers.reinit_layers, trainer.seed)
    companions = _companions(model, config, trainer.seed, fresh)
    objective = _objective(model, task, batches, config, init)
    batches = _batches(task, batches, config, init, trainer.seed)
    optimizer = optimizer_of(config.optimisation, trainer, fresh)
    trained = train(objective, batches, trainer, label, evaluate, best, folder, optimizer, companions, config.patience)
    for companion in companions:
        if isinstance(companion, Mixout):
            companion.remove()
    if config.lora.rank:
        merge_adapters(encoder_of(model))
    return trained


def _batches(task: Task, batches: LabelledBatches, config: MethodConfig, init: Path, seed: int) -> Batches:
    """What is read: some of it hidden, or masked beside."""
    read = config.robustness
    if read.hidden and task.kind != "classes":
        raise InputError(f"robustness.hidden counts which words speak for a class, and a task of {task.kind} has none")
    if read.hidden:
        batches = Curriculum(batches, load_tokenizer(init), read.hidden, read.cycles, seed)
    if config.loss.masked_words:
        batches = MaskedBeside(batches, load_tokenizer(init), replace(MASKED_WORDS, seed=seed))
    return batches


def _companions(model: nn.Module, config: MethodConfig, seed: int, fresh: Collection[Tensor]) -> list[Companion]:
    """Make the model ready; what goes along with its training."""
    if config.stabilisers.dropout >= 0:
        set_dropout(model, config.stabilisers.dropout)
    if config.lora.rank:
        add_adapters(encoder_of(model), config.lora, seed, whole=head_of(model))
    if config.optimisation.frozen:
        freeze_encoder(model)
    mixout = [Mixout(model, config.stabilisers.mixout, seed, fresh)] if config.stabilisers.mixout else []
    thawing = config.optimisation.unfreeze_ratio
    return mixout + ([thawing_from_top(model, thawing)] if thawing else [])


def _objective(model: nn.Module, task: Task, batches: LabelledBatches, config: MethodConfig, init: Path) -> Objective:
    """From the inside out: the task, the attack, masked words."""
    if task.kind == "spelling":
        return robust(_correcting(model, config), config.robustness)
    loss, agreement, words = _loss(model, task, batches, config.loss), config.loss.agreement, config.loss.masked_words
    if agreement and getattr(model, "crf", None):
        raise InputError("loss.agreement compares the answers for each token, and head.crf has none: choose one")
    inner = RDrop(model, loss, agreement, DIVERGENCES[task.kind]) if agreement else Learning(model, loss)
    objective = robust(inner, config.robustness)
    if not words:
        return objective
    if isinstance(model, Windowed):
        raise InputError("loss.masked_words reads a text at once, and input.long = windows does not: choose one")
    return WithMaskedWords(objective, load_masked_lm(init).to(processes().device), words)


def _correcting(model: nn.Module, config: MethodConfig) -> Correcting:
    if config.loss != LossConfig():
        raise InputError("spelling correction has losses of its own, those of [finetuned.spelling]: leave out loss.*")
    weighs = config.spelling
    attacked = config.robustness.attack != "none"
    return Correcting(model, weighs.correction, weighs.detection, weighs.gamma, weighs.alpha, attacked)


def _loss(model: nn.Module, task: Task, batches: LabelledBatches, config: LossConfig) -> Loss:
    """The loss asked for, or the task's own."""
    if config.is_own:
        return loss_of(model, task)
    if getattr(model, "crf", None):
        raise InputError("head.crf has a loss of its own: leave out loss.terms, label_smoothing and class_weights")
    if task.kind not in OWN:
        raise InputError(
            f"a task of {task.kind} has a loss of its own: leave out loss.terms, label_smoothing and class_weights"
        )
    labels = np.stack(batches.labels) if task.kind == "labels" else np.hstack(batches.labels)
    return chosen(config, OWN[task.kind], labels, len(task.outputs))
