"""How long and how fast a training is: its settings, and what follows from them."""

from dataclasses import dataclass, field

from pipeline.training.optim import Schedule, rate_factor

HARDWARE = {"key": False}
"""Marks a setting that says what the machine can do: another value makes the same artifact."""


@dataclass(frozen=True)
class TrainerConfig:
    """How long and how fast to learn. Fields marked HARDWARE say what a machine can hold, and are no part of a key."""

    steps: int = 0
    """Optimiser steps; 0 = as many as `epochs` asks for."""
    epochs: float = 1.0
    """Passes over the data, used where steps = 0."""
    batch_size: int = 256
    """Sequences of a step over all processes and micro-batches: part of the experiment, whatever the hardware."""
    per_device_batch_size: int = field(default=0, metadata=HARDWARE)
    """Sequences a process holds at once at most; the rest of its share of the batch is accumulated. 0 = 32 on a CPU,
    and as many as keep a GPU busy, some 65,000 tokens. Halved when memory does not suffice."""
    learning_rate: float = 5e-4
    """Peak learning rate (Gururangan et al. 2020 for DAPT; 1e-4 for TAPT)."""
    warmup_ratio: float = 0.06
    """Share of the training's tokens over which the learning rate rises linearly."""
    schedule: Schedule = "linear"
    """What it does then: decays linearly or by a cosine to 0, stays constant, or stays and decays at the end (wsd)."""
    decay_ratio: float = 0.1
    """Share of the training's tokens over which `wsd` decays."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices; biases and norms have none."""
    max_grad_norm: float = 1.0
    """The gradient is clipped to this norm."""
    adam_betas: tuple[float, ...] = (0.9, 0.98)
    """Moment decays of AdamW (DAPT paper)."""
    adam_epsilon: float = 1e-6
    """Epsilon of AdamW (DAPT paper)."""
    evaluations: int = 5
    """How often the dev set is measured, evenly spread, the last time at the end."""
    save_minutes: float = field(default=10.0, metadata=HARDWARE)
    """A checkpoint to resume from is written when this many minutes have passed since the last one."""
    save_steps: int = field(default=0, metadata=HARDWARE)
    """Write one every so many steps as well (0 = by the clock alone)."""
    gradient_checkpointing: bool = field(default=False, metadata=HARDWARE)
    """Compute activations again in backward instead of keeping them: a third slower, for what would not fit."""
    compile: bool = field(default=False, metadata=HARDWARE)
    """Have torch.compile make the layers faster. Meant for GPUs: on CPU a step was seen to take longer. Dropout leaves
    out other numbers than without."""
    seed: int = 0
    """Seed of order and dropout."""

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("per_device_batch_size", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least {least}")
        for name in ("warmup_ratio", "decay_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate = {self.learning_rate} must be positive")

    def steps_for(self, sequences: int) -> int:
        """Steps of a training on so many sequences."""
        return self.steps or max(1, round(self.epochs * sequences / self.batch_size))

    def learning_rate_at(self, elapsed: float) -> float:
        """The learning rate when the share `elapsed` of the tokens has been read."""
        return self.learning_rate * rate_factor(self.schedule, elapsed, self.warmup_ratio, self.decay_ratio)


def evaluation_steps(steps: int, times: int) -> set[int]:
    """Steps after which to measure: `times` of them, evenly spread, the last one at the end."""
    times = min(times, steps)
    return {round(steps * (i + 1) / times) - 1 for i in range(times)}
