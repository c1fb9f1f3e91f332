"""The settings of a fine-tuning, whoever asks for it: what is read, what is put on the encoder, how it is trained."""

from dataclasses import asdict, dataclass, field, fields
from typing import Literal

from pipeline.finetuning.classifier import ModelConfig
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.finetuning.method import MethodConfig
from pipeline.run.key import changes
from pipeline.training.config import TrainerConfig


@dataclass(frozen=True)
class FinetuneConfig(MethodConfig):
    """How a task model is made and trained, the same for every checkpoint that is compared."""

    max_length: int = 128
    """Longest input in ids; what of a longer one is read, `input.long` says."""
    seeds: tuple[int, ...] = (13, 43, 83, 181, 271)
    """Seeds of head, order and dropout; every one is reported (the first of Train No Evil's)."""
    keep_seeds: bool = False
    """Keep every seed's model in seeds/<seed>/, so that make agreement can say what another seed changes. Off, as five
    large models are five times the disk."""
    metric: str = ""
    """What chooses the best epoch on dev, and what reports compare; empty: accuracy of classes, kappa of ordered ones,
    micro_f1 of labels, f1 of tags, spearman of a value, f1 of spelling (sentences wholly corrected)."""
    ordered: bool = False
    """Labels are whole numbers in an order, as stars are, and to be near is better than to be far."""
    thresholds: Literal["half", "one", "each"] = "half"
    """Of a task of several labels: the probability from which one is given is one half, or tuned on dev, one for all
    labels or each its own. Of spelling: those from which a character is wrong, and another one right."""
    input: InputConfig = field(default_factory=InputConfig)
    """What is read of a row."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """What is put on the encoder."""
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=32, learning_rate=2e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999), evaluations=10
        )
    )
    """Length and pace; debiased AdamW and enough epochs for few labels (Zhang et al. 2021)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seeds:
            raise ValueError("seeds must name at least one seed")
        if self.trainer.evaluations < 1:
            raise ValueError("trainer.evaluations must be at least 1: the best epoch is chosen on dev")

    @property
    def method(self) -> dict[str, object]:
        """What is asked for beside plain training: setting -> value."""
        asked = {field.name: getattr(self, field.name) for field in fields(MethodConfig)}
        return {name: now for name, (_, now) in changes(asdict(MethodConfig()), asdict(MethodConfig(**asked))).items()}

    @property
    def model(self) -> ModelConfig:
        """How the model reads and answers."""
        return ModelConfig(self.max_length, self.input, self.head)
