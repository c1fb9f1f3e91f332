"""The one training loop: any objective, one process or many, resumed after any kill.

Which sequences a step sees is a function of (seed, step), dropout of (seed, epoch, document, position): nothing has to
be restored but weights, moments and counters. The gradient of a step is that of the mean over all its targets, however
many micro-batches and processes it is divided among (`accumulation.py`).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch.optim import Optimizer

from pipeline.batches import Batches
from pipeline.objectives.objective import Objective
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError, Interrupted
from pipeline.run.interruption import interruptible
from pipeline.run.processes import gathered, give_back_memory, name_missing, processes, rank, summed, world
from pipeline.run.progress import Progress
from pipeline.training.accumulation import Accumulation
from pipeline.training.best import Best
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.config import TrainerConfig, evaluation_steps
from pipeline.training.divergence import Watch
from pipeline.training.journal import Journal
from pipeline.training.layers import compile_layers
from pipeline.training.loading import Load, Plan, in_background
from pipeline.training.memory import suggested
from pipeline.training.optim import adamw, averaged, swap_averages
from pipeline.training.sharding import gather, park, prepared, whole

GIVE_BACK_EVERY = 20
"""Steps between two calls of `give_back_memory`: a call costs milliseconds."""

Evaluate = Callable[[], dict[str, float]]
"""Measures the model as it stands; called by every process."""

MakeOptimizer = Callable[[Objective], Optimizer]
"""An optimiser of an objective's parameters. What a group of them says of itself as `rate_factor` is what it takes of
the learning rate; `elapsed` tells it how far the training is."""


class Companion(Protocol):
    """Goes along with a training, by nothing but its step: a run resumes anywhere."""

    def begin(self, step: int, elapsed: float) -> None:
        """A step begins; `elapsed` is the share of the training's tokens read when its middle is reached."""

    def after_backward(self) -> None:
        """The gradients of the step are there, not yet clipped."""


@dataclass(frozen=True)
class Trained:
    """What a training leaves behind beside the weights."""

    steps: int
    """Steps made: fewer than were planned where patience ended the training."""
    tokens: int
    """Tokens read, without padding, over all processes."""
    seconds: float
    """Time spent in steps; of this call alone when it was resumed."""
    skipped: int
    """Steps left out because the gradient was not finite."""
    evaluation: dict[str, float]
    """The last measurement, or the best where `best` named a metric."""


def train(
    objective: Objective,
    batches: Batches,
    config: TrainerConfig,
    label: str,
    evaluate: Evaluate | None = None,
    best: str = "",
    folder: Path | None = None,
    optimizer: MakeOptimizer | None = None,
    companions: Sequence[Companion] = (),
    patience: int = 0,
) -> Trained:
    """Train `objective` in place. With `best`, end with the weights of the best measurement of that metric.

    With `patience`, end the training after so many measurements in a row that were no better than the best. Where the
    optimiser averages weights (`optim.py`), the average is what is measured and what the training ends with.

    With `folder`, keep checkpoints and logs there, continue from what a stopped run left, and stop on a signal with a
    checkpoint (Interrupted).
    """
    run = _Run(objective, batches, config, folder, optimizer, companions, best)
    line, best_of = Progress(run.plan.steps, label, run.first), run.best
    measured_at = evaluation_steps(run.plan.steps, config.evaluations if evaluate else 0)
    run.accumulation.rehearse(run.plan, run.first)
    with run.interruptible(), closing(in_background(run.plan.loads(run.first, run.tokens))) as loads:
        for load in loads:
            if patience and gathered([best_of.stale])[0] >= patience:
                break
            line.step(run.step(load))
            if load.step in measured_at:
                with run.pause(), averaged(run.optimizer), whole(run.model, objective):
                    measured = best_of.see(_measure(objective, evaluate))
                run.journal.write(load.step, {f"dev/{name}": value for name, value in measured.items()})
            run.save_if_due(load.step)
    line.close()
    run.journal.close()
    swap_averages(run.optimizer)
    gather(run.model, objective)
    objective.to(processes().device)
    best_of.restore()
    return Trained(run.steps, run.tokens, time.time() - run.started, run.watch.skipped, best_of.evaluation)


class _Run:
    """A training under way: model, optimiser, counters, logs."""

    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        config: TrainerConfig,
        folder: Path | None,
        make: MakeOptimizer | None,
        companions: Sequence[Companion],
        best: str = "",
    ) -> None:
        self.config, self.companions, self.best = config, companions, Best(objective, best)
        steps = config.steps_for(len(batches))
        _check_launch(config, companions)
        held = config.per_device_batch_size or suggested(batches)
        self.plan = Plan(batches, config.seed, steps, config.batch_size, held, rank(), world(), objective.targets)
        self.checkpoints = Checkpoints(folder / SCRATCH / "checkpoints") if folder else None
        self.objective = objective
        park(objective)
        optimizer = make(objective) if make else self._adamw()
        self.first, counters = self.checkpoints.load(objective, optimizer) if folder else (0, {})
        self.steps = self.first
        if self.checkpoints and "best" in counters:
            self.best.resume(counters["best"], self.checkpoints.best)
        self.tokens = int(counters.get("tokens", 0))
        self.model, self.optimizer = prepared(objective, optimizer)
        trained = processes().unwrap_model(self.model)
        if config.gradient_checkpointing:
            trained.checkpoint_activations()
        if config.compile:
            compile_layers(trained)
        self.scaler = processes().scaler  # of fp16 alone
        if self.scaler and "scaler" in counters:
            self.scaler.load_state_dict(counters["scaler"])
        self.model.train()
        self.accumulation = Accumulation(objective, self.model, self.optimizer, config.seed)
        self.journal = Journal(folder, self.first)
        self.watch = Watch(batches, config, self.journal, int(counters.get("skipped", 0)))
        self.asked: Callable[[], str] = lambda: ""
        self.tokens_before, self.started, self.saved = self.tokens, time.time(), time.time()

    def _adamw(self) -> Optimizer:
        config = self.config
        return adamw(self.objective, config.learning_rate, config.adam_betas, config.adam_epsilon, config.weight_decay)

    def step(self, load: Load) -> str:
        """One optimiser step; a note for the progress line."""
        try:
            return self._step(load)
        except (RuntimeError, ValueError) as error:
            if not hasattr(error, "exit_code") and (missing := name_missing(f"step {load.step}")):
                raise RuntimeError(f"{missing}; the same command continues from the last checkpoint") from error
            raise

    def _step(self, load: Load) -> str:
        targets = self._agree(load)
        for companion in self.companions:
            companion.begin(load.step, load.elapsed)
        losses = self.accumulation.backward(load, targets)
        for companion in self.companions:
            companion.after_backward()
        means = [each / max(n, 1) for each, n in zip(summed(losses.sum(0)).tolist(), targets, strict=True)]
        loss = sum(w * mean for w, mean in zip(self.objective.losses.values(), means, strict=True))
        norm = float(processes().clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm))
        rate = self.config.learning_rate_at(load.elapsed)
        self._update(load, norm, rate)
        self.watch.gradient(load, losses, norm)
        self.tokens, self.steps = self.tokens + load.tokens, load.step + 1
        if (load.step + 1) % GIVE_BACK_EVERY == 0 and processes().device.type == "cpu":
            give_back_memory()
        speed = (self.tokens - self.tokens_before) / (time.time() - self.started)
        values = {"loss": loss, "learning_rate": rate, "grad_norm": norm, "targets": targets[0], "tokens": self.tokens}
        parts = {f"loss/{name}": mean for name, mean in zip(self.objective.losses, means, strict=True)}
        more = parts if len(parts) > 1 else {}
        self.journal.write(load.step, {**values, "tokens_per_second": speed, **more})
        self.watch.loss(load.step, loss)
        return f"loss {loss:.3f}  {speed:,.0f} tokens/s"

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Time that does not count as training."""
        paused = time.time()
        yield
        self.started += time.time() - paused

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Within, a signal ends the training after the step, with a checkpoint; only where there can be one."""
        with interruptible() if self.checkpoints else nullcontext(lambda: "") as self.asked:
            yield

    def _agree(self, load: Load) -> list[int]:
        """Targets of each loss of the step over all processes; all of them stop here when one was asked to."""
        asked = self.asked()
        *targets, stop = summed(torch.tensor([*load.targets, bool(asked)], dtype=torch.float64)).tolist()
        if stop:
            self._save(load.step)
            raise Interrupted(f"stopped by {asked or 'a signal'} before step {load.step}: the same command continues")
        return [int(n) for n in targets]

    def _update(self, load: Load, norm: float, rate: float) -> None:
        """Step the optimiser, or leave the step out where the gradient is not finite (every process sees one norm)."""
        for group in self.optimizer.param_groups:
            group["lr"], group["elapsed"] = rate * group.get("rate_factor", 1.0), load.elapsed
        if np.isfinite(norm) or self.scaler:  # a scaler leaves the step out itself, and scales down
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def save_if_due(self, step: int) -> None:
        """A checkpoint by the clock of the first process, or by count; none at the end, where the artifact follows."""
        if self.checkpoints is None or step + 1 == self.plan.steps:
            return
        late = time.time() - self.saved > 60 * self.config.save_minutes
        if world() > 1:
            late = bool(summed(torch.tensor(float(late and rank() == 0))))
        if late or (self.config.save_steps and (step + 1) % self.config.save_steps == 0):
            self._save(step + 1)

    def _save(self, step: int) -> None:
        """A checkpoint that goes on with `step`."""
        with self.pause():
            gather(self.model, self.objective)
            state = {"tokens": self.tokens, "skipped": self.watch.skipped}
            state |= {"scaler": self.scaler.state_dict()} if self.scaler else {}
            state |= {"best": self.best.state} if self.best.metric else {}
            self.checkpoints.best = self.best.weights
            self.checkpoints.save(step, self.objective, self.optimizer.optimizer, state)
        self.saved = time.time()


def _measure(objective: Objective, evaluate: Evaluate) -> dict[str, float]:
    objective.eval()
    try:
        with torch.no_grad():
            return evaluate()
    finally:
        objective.train()


def _check_launch(config: TrainerConfig, companions: Sequence[Companion]) -> None:
    """Every process has the same number of sequences of a step, and the whole model where something goes along."""
    if config.batch_size % world():
        fit = [w for w in range(1, config.batch_size + 1) if config.batch_size % w == 0]
        raise InputError(
            f"batch_size = {config.batch_size} does not divide by {world()} processes: launch one of {fit}"
        )
    if companions and processes().is_fsdp2:
        raise InputError(
            "mixout, unfreeze_ratio, warm_embeddings and several tasks hold the whole model: launch without FSDP"
        )
