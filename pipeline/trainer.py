"""The one training loop: any objective, one process or many, resumed after any kill.

    loss = sum over targets / number of targets, over all micro-batches and processes of a step

so that accumulation and the number of processes do not change what is learned. Which sequences a step sees is a
function of (seed, step), dropout of (seed, step, process, micro-batch): nothing has to be restored but weights and
moments.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from pipeline.batches import IGNORE, Batches
from pipeline.checkpoints import load_checkpoint, save_checkpoint
from pipeline.draws import DROPOUT, bits, visits
from pipeline.optim import adamw, learning_rate_at
from pipeline.run.artifact import LOGS, SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.processes import Progress, give_back_memory, processes, rank, say, world

GIVE_BACK_EVERY = 20
"""Steps between two calls of `give_back_memory`: a call costs milliseconds."""

STOP_AFTER = 20
"""So many steps in a row without a finite gradient end the training."""

Evaluate = Callable[[], dict[str, float]]
"""Measures the model as it stands; called by every process."""


@dataclass(frozen=True)
class TrainerConfig:
    """How long and how fast to learn. What the hardware can hold is not here but `per_device_batch_size`."""

    steps: int = 0
    """Optimiser steps; 0 = as many as `epochs` asks for."""
    epochs: float = 1.0
    """Passes over the data, used where steps = 0."""
    batch_size: int = 256
    """Sequences of a step over all processes and micro-batches: part of the experiment, whatever the hardware."""
    per_device_batch_size: int = 32
    """Sequences a process holds at once at most; the rest of its share of the batch is accumulated."""
    learning_rate: float = 5e-4
    """Peak learning rate (Gururangan et al. 2020 for DAPT; 1e-4 for TAPT)."""
    warmup_ratio: float = 0.06
    """Share of the steps that warm up linearly; then linear decay to 0."""
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
    save_minutes: float = 10.0
    """A checkpoint to resume from is written when this many minutes have passed since the last one."""
    save_steps: int = 0
    """Write one every so many steps as well (0 = by the clock alone)."""
    seed: int = 0
    """Seed of order and dropout."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "per_device_batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be at least 1")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate = {self.learning_rate} must be positive")

    def steps_for(self, sequences: int) -> int:
        """Steps of a training on so many sequences."""
        return self.steps or max(1, round(self.epochs * sequences / self.batch_size))


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind beside the weights."""

    steps: int
    tokens: int
    """Tokens read, without padding, over all processes."""
    seconds: float
    """Time spent in steps; of this call alone when it was resumed."""
    skipped: int
    """Steps left out because the gradient was not finite."""
    evaluation: dict[str, float]
    """The last measurement, or the best where `best` named a metric."""


def train(
    objective: nn.Module,
    batches: Batches,
    config: TrainerConfig,
    label: str,
    evaluate: Evaluate | None = None,
    best: str = "",
    folder: Path | None = None,
) -> Trained:
    """Train `objective` in place. With `best`, end with the weights of the best measurement of that metric.

    With `folder`, keep checkpoints and logs there and continue from what a killed run left.
    """
    run = _Run(objective, batches, config, folder)
    line = Progress(run.steps, label, run.first)
    best_of = _Best(objective, best)
    measured_at = evaluation_steps(run.steps, config.evaluations if evaluate else 0)
    for step in range(run.first, run.steps):
        line.step(run.step(step))
        if step in measured_at:
            with run.pause():
                measured = best_of.see(_measure(objective, evaluate))
            run.log.write(step, {f"dev/{name}": value for name, value in measured.items()})
        run.save_if_due(step)
    line.close()
    run.log.close()
    best_of.restore()
    return Trained(run.steps, run.tokens, time.time() - run.started, run.skipped, best_of.evaluation)


class _Run:
    """A training under way: model, optimiser, counters, logs."""

    def __init__(self, objective: nn.Module, batches: Batches, config: TrainerConfig, folder: Path | None) -> None:
        self.batches, self.config = batches, config
        self.share = _share_of(config)
        self.steps = config.steps_for(len(batches.lengths))
        self.checkpoints = folder / SCRATCH / "checkpoints" if folder else None
        optimizer = adamw(objective, config.learning_rate, config.adam_betas, config.adam_epsilon, config.weight_decay)
        self.first, counters = load_checkpoint(self.checkpoints, objective, optimizer) if folder else (0, {})
        self.tokens, self.skipped = int(counters.get("tokens", 0)), int(counters.get("skipped", 0))
        self.model, self.optimizer = processes().prepare(objective, optimizer)
        self.model.train()
        self.log = _Log(folder, self.first)
        self.not_finite, self.tokens_before = 0, self.tokens
        self.started = self.saved = time.time()

    def step(self, step: int) -> str:
        """One optimiser step; a note for the progress line."""
        micro_batches = self._micro_batches(step)
        targets, tokens = self._count(micro_batches)
        loss = self._backward(step, micro_batches, targets)
        norm = float(processes().clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm))
        rate = learning_rate_at(step, self.steps, self.config.learning_rate, self.config.warmup_ratio)
        self._update(step, norm, rate)
        self.tokens += tokens
        if step % GIVE_BACK_EVERY == 0 and processes().device.type == "cpu":
            give_back_memory()
        speed = (self.tokens - self.tokens_before) / (time.time() - self.started)
        self.log.write(
            step,
            {
                "loss": loss,
                "learning_rate": rate,
                "grad_norm": norm,
                "targets": targets,
                "tokens": self.tokens,
                "tokens_per_second": speed,
            },
        )
        return f"loss {loss:.3f}  {speed:,.0f} tokens/s"

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time that does not count as training."""
        paused = time.time()
        yield
        self.started += time.time() - paused

    def _micro_batches(self, step: int) -> list[dict[str, Tensor]]:
        """This process's part of a step, sorted by length: what is padded together is of like length."""
        indices, epochs = visits(self.config.seed, step, self.config.batch_size, len(self.batches.lengths))
        order = np.argsort(self.batches.lengths[indices], kind="stable")[rank() :: world()]
        size = self.config.per_device_batch_size
        parts = [order[i : i + size] for i in range(0, self.share, size)]
        device = processes().device
        return [{k: v.to(device) for k, v in self.batches.batch(indices[p], epochs[p]).items()} for p in parts]

    def _count(self, micro_batches: list[dict[str, Tensor]]) -> tuple[int, int]:
        """Targets and tokens of the step over all processes."""
        targets = sum(int((batch["labels"] != IGNORE).sum()) for batch in micro_batches)
        tokens = sum(int(batch["attention_mask"].sum()) for batch in micro_batches)
        counts = processes().reduce(torch.tensor([targets, tokens], device=processes().device), "sum")
        return int(counts[0]), int(counts[1])

    def _backward(self, step: int, micro_batches: list[dict[str, Tensor]], targets: int) -> float:
        """Gradients of the mean loss over all targets; the mean loss. Gradients are exchanged once, at the last."""
        accelerator, summed = processes(), 0.0
        scale = world() / max(targets, 1)  # processes average their gradients: undo that, then divide by all targets
        for number, batch in enumerate(micro_batches):
            torch.manual_seed(int(bits(self.config.seed, DROPOUT, step, rank(), number)) >> 1)
            last = number == len(micro_batches) - 1
            with nullcontext() if last else accelerator.no_sync(self.model):
                loss = self.model(**batch)
                accelerator.backward(loss * scale)
            summed += float(loss.detach())
        total = accelerator.reduce(torch.tensor(summed, device=accelerator.device), "sum")
        return float(total) / max(targets, 1)

    def _update(self, step: int, norm: float, rate: float) -> None:
        """Step the optimiser, or leave the step out where the gradient is not finite (every process sees one norm)."""
        if np.isfinite(norm):
            self.not_finite = 0
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            self.optimizer.step()
        else:
            self.not_finite, self.skipped = self.not_finite + 1, self.skipped + 1
            say(f"! step {step}: the gradient is not finite; step left out")
            if self.not_finite == STOP_AFTER:
                raise InputError(
                    f"{STOP_AFTER} steps in a row had no finite gradient (last: {step}): lower learning_rate"
                )
        self.optimizer.zero_grad(set_to_none=True)

    def save_if_due(self, step: int) -> None:
        """A checkpoint by the clock of the first process, or by count; none at the end, where the artifact follows."""
        if self.checkpoints is None or step + 1 == self.steps:
            return
        late = time.time() - self.saved > 60 * self.config.save_minutes
        if world() > 1:
            late = bool(
                processes().reduce(torch.tensor(float(late and rank() == 0), device=processes().device), "sum")
            )
        if late or (self.config.save_steps and (step + 1) % self.config.save_steps == 0):
            counters = {"tokens": self.tokens, "skipped": self.skipped}
            model, optimizer = processes().unwrap_model(self.model), self.optimizer.optimizer
            save_checkpoint(self.checkpoints, step + 1, model, optimizer, counters)
            self.saved = time.time()


class _Best:
    """The last measurement, or with a metric's name the best, with the weights that gave it."""

    def __init__(self, objective: nn.Module, metric: str) -> None:
        self.objective, self.metric = objective, metric
        self.evaluation: dict[str, float] = {}
        self.weights: dict[str, Tensor] = {}

    def see(self, evaluation: dict[str, float]) -> dict[str, float]:
        better = not self.evaluation or not self.metric or evaluation[self.metric] > self.evaluation[self.metric]
        if better:
            self.evaluation = evaluation
        if better and self.metric:  # a true copy: detach() alone would go on changing
            self.weights = {name: t.detach().cpu().clone() for name, t in self.objective.state_dict().items()}
        return evaluation

    def restore(self) -> None:
        if self.weights:
            self.objective.load_state_dict(self.weights)


class _Log:
    """metrics.jsonl and TensorBoard below <folder>/logs, continued without gap or overlap after a kill."""

    def __init__(self, folder: Path | None, first: int) -> None:
        self.path = self.board = None
        if folder is None or rank() != 0:
            return
        logs = folder / LOGS
        logs.mkdir(parents=True, exist_ok=True)
        self.path = logs / "metrics.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        kept = [line for line in lines if _step_of(line) < first]
        self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.board = SummaryWriter(str(logs), purge_step=first)

    def write(self, step: int, values: dict[str, float]) -> None:
        """A line of metrics.jsonl and a point on each board."""
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
            for name, value in values.items():
                self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what TensorBoard holds back."""
        if self.board:
            self.board.close()


def _step_of(line: str) -> float:
    """The step of a log line; past every step for a line that a kill cut short."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")


def evaluation_steps(steps: int, times: int) -> set[int]:
    """Steps after which to measure: `times` of them, evenly spread, the last one at the end."""
    times = min(times, steps)
    return {round(steps * (i + 1) / times) - 1 for i in range(times)}


def _measure(objective: nn.Module, evaluate: Evaluate) -> dict[str, float]:
    objective.eval()
    try:
        with torch.no_grad():
            return evaluate()
    finally:
        objective.train()


def _share_of(config: TrainerConfig) -> int:
    """Sequences of a step for each process."""
    if config.batch_size % world():
        fit = [w for w in range(1, config.batch_size + 1) if config.batch_size % w == 0]
        raise InputError(
            f"batch_size = {config.batch_size} does not divide by {world()} processes: launch one of {fit}"
        )
    return config.batch_size // world()
