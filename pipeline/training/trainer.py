"""The one training loop: any objective, one process or many, resumed after any kill.

    loss = sum over targets / number of targets, over all micro-batches and processes of a step

(of an objective with several losses the weighted sum of such means, each over its own targets)
so that accumulation and the number of processes do not change what is learned. Which sequences a step sees is a
function of (seed, step), dropout of (seed, epoch, document, position): nothing has to be restored but weights, moments
and counters. What the hardware can hold (`per_device_batch_size`) is no part of an experiment.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.batches import Batches
from pipeline.draws import DROPOUT, bits
from pipeline.objectives.objective import Objective
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import Diverged, InputError, Interrupted
from pipeline.run.interruption import interruptible
from pipeline.run.processes import gathered, give_back_memory, name_missing, processes, rank, world
from pipeline.run.progress import Progress, say
from pipeline.training.best import Best
from pipeline.training.checkpoints import Checkpoints
from pipeline.training.config import TrainerConfig, evaluation_steps
from pipeline.training.journal import Journal
from pipeline.training.layers import compile_layers
from pipeline.training.loading import Load, Plan, in_background
from pipeline.training.memory import Portions, heaviest, suggested, tokens_of
from pipeline.training.optim import adamw, averaged, swap_averages
from pipeline.training.sharding import gather, park, prepared, whole

GIVE_BACK_EVERY = 20
"""Steps between two calls of `give_back_memory`: a call costs milliseconds."""

STOP_AFTER = 20
"""So many steps in a row without a finite gradient end the training."""

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
    run.rehearse()
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
    return Trained(run.steps, run.tokens, time.time() - run.started, run.skipped, best_of.evaluation)


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
        _check_share(config)
        held = config.per_device_batch_size or suggested(batches)
        self.plan = Plan(batches, config.seed, steps, config.batch_size, held, rank(), world(), objective.targets)
        self.checkpoints = Checkpoints(folder / SCRATCH / "checkpoints") if folder else None
        self.objective = objective
        if companions and processes().is_fsdp2:
            raise InputError(
                "mixout, unfreeze_ratio, warm_embeddings and several tasks hold the whole model: launch without FSDP"
            )
        park(objective)
        optimizer = make(objective) if make else self._adamw()
        self.first, counters = self.checkpoints.load(objective, optimizer) if folder else (0, {})
        self.steps = self.first
        if self.checkpoints and "best" in counters:
            self.best.resume(counters["best"], self.checkpoints.best)
        self.tokens, self.skipped = int(counters.get("tokens", 0)), int(counters.get("skipped", 0))
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
        self.journal = Journal(folder, self.first)
        self.asked: Callable[[], str] = lambda: ""
        self.portions, self.not_finite = Portions(), 0
        self.tokens_before, self.started, self.saved = self.tokens, time.time(), time.time()

    def _adamw(self) -> Optimizer:
        config = self.config
        return adamw(self.objective, config.learning_rate, config.adam_betas, config.adam_epsilon, config.weight_decay)

    def rehearse(self) -> None:
        """Several processes settle first what fits into memory: once in an exchange, none can step back.

        Shards cannot: the first layer is an exchange.
        """
        if world() == 1 or processes().is_fsdp2 or self.first == self.plan.steps:
            return
        load = heaviest(self.plan, self.first)
        while self._sum(torch.tensor(float(not self._fits(load)))):
            self.portions.halve(load)

    def _fits(self, load: Load) -> bool:
        """Whether the largest micro-batch can be computed by this process alone."""
        batch = max(self.portions.of(load), key=tokens_of)
        try:
            processes().backward(self._losses(batch, self.objective).sum() * 0)
        except torch.OutOfMemoryError:
            return False
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return True

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
        losses = self._backward(load, targets)
        for companion in self.companions:
            companion.after_backward()
        means = [each / max(n, 1) for each, n in zip(self._sum(losses.sum(0)).tolist(), targets, strict=True)]
        loss = sum(w * mean for w, mean in zip(self.objective.losses.values(), means, strict=True))
        norm = float(processes().clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm))
        rate = self.config.learning_rate_at(load.elapsed)
        self._update(load, losses, norm, rate)
        self.tokens, self.steps = self.tokens + load.tokens, load.step + 1
        if (load.step + 1) % GIVE_BACK_EVERY == 0 and processes().device.type == "cpu":
            give_back_memory()
        speed = (self.tokens - self.tokens_before) / (time.time() - self.started)
        values = {"loss": loss, "learning_rate": rate, "grad_norm": norm, "targets": targets[0], "tokens": self.tokens}
        parts = {f"loss/{name}": mean for name, mean in zip(self.objective.losses, means, strict=True)}
        more = parts if len(parts) > 1 else {}
        self.journal.write(load.step, {**values, "tokens_per_second": speed, **more})
        if self.journal.is_spike(loss):
            say(f"! step {load.step}: loss {loss:.3f} stands out (documents in logs/events.jsonl)")
            self.journal.odd(load.step, f"loss {loss:.3f}", self._documents(load.step))
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
        *targets, stop = self._sum(torch.tensor([*load.targets, bool(asked)], dtype=torch.float64)).tolist()
        if stop:
            self._save(load.step)
            raise Interrupted(f"stopped by {asked or 'a signal'} before step {load.step}: the same command continues")
        return [int(n) for n in targets]

    def _backward(self, load: Load, targets: list[int]) -> Tensor:
        """Gradients of the weighted mean losses; the summed losses of each micro-batch that fitted, [n, K]."""
        while True:
            try:
                return self._accumulate(load.step, self.portions.of(load), targets)
            except torch.OutOfMemoryError as error:
                if processes().is_fsdp2:
                    way_out = "set a lower per_device_batch_size, or gradient_checkpointing"
                    raise InputError(f"out of memory, and shards cannot try what fits: {way_out}") from error
                if world() > 1:
                    raise
                self.optimizer.zero_grad(set_to_none=True)
                self.portions.halve(load)

    def _accumulate(self, step: int, parts: list[dict[str, Tensor]], targets: list[int]) -> Tensor:
        """Forward and backward of each part.

        Gradients are exchanged once, at the last; shards at every one, or each process would add up whole gradients.
        """
        accelerator, losses = processes(), []
        # processes average their gradients: undo that, then divide by all targets
        scales = [w * world() / max(n, 1) for w, n in zip(self.objective.losses.values(), targets, strict=True)]
        scale = torch.tensor(scales, device=accelerator.device)
        for number, batch in enumerate(parts):
            torch.manual_seed(int(bits(self.config.seed, DROPOUT, step, rank(), number)) >> 1)
            exchange = number == len(parts) - 1 or accelerator.is_fsdp2
            with nullcontext() if exchange else accelerator.no_sync(self.model):
                sums = self._losses(batch, self.model)
                accelerator.backward((sums * scale).sum())
            losses.append(sums.detach())
        return torch.stack(losses)

    def _losses(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
        """[K]: the summed losses of a micro-batch."""
        return model(**self.objective.arranged(batch)).view(-1)

    def _update(self, load: Load, losses: Tensor, norm: float, rate: float) -> None:
        """Step the optimiser, or leave the step out where the gradient is not finite (every process sees one norm)."""
        for group in self.optimizer.param_groups:
            group["lr"], group["elapsed"] = rate * group.get("rate_factor", 1.0), load.elapsed
        if np.isfinite(norm) or self.scaler:  # a scaler leaves the step out itself, and scales down
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if np.isfinite(norm):
            self.not_finite = 0
            return
        self.not_finite, self.skipped = self.not_finite + 1, self.skipped + 1
        documents = self._suspects(load, losses)
        say(f"! step {load.step}: the gradient is not finite; step left out (documents in logs/events.jsonl)")
        self.journal.odd(load.step, "the gradient is not finite", documents)
        if self.not_finite == STOP_AFTER:
            shown = ", ".join(documents[:5]) + (f" and {len(documents) - 5} more" if len(documents) > 5 else "")
            raise Diverged(
                f"{STOP_AFTER} steps in a row had no finite gradient (last: {load.step}, documents {shown}): "
                "lower learning_rate, or look at these documents"
            )

    def _suspects(self, load: Load, losses: Tensor) -> list[str]:
        """Documents whose micro-batch has no finite loss, over all processes; where each has one, all of the step."""
        finite = losses.isfinite().all(1).tolist() if len(losses) == len(load.indices) else [False] * len(load.indices)
        mine = [i for part, good in zip(load.indices, finite, strict=True) if not good for i in part]
        return gathered(self.plan.batches.names(np.array(mine, dtype=np.int64))) or self._documents(load.step)

    def _documents(self, step: int) -> list[str]:
        """Ids of all documents of a step."""
        batches = self.plan.batches
        return batches.names(batches.visits(self.config.seed, step, self.config.batch_size)[0])

    def _sum(self, numbers: Tensor) -> Tensor:
        """Added up over all processes."""
        return processes().reduce(numbers.to(processes().device), "sum")

    def save_if_due(self, step: int) -> None:
        """A checkpoint by the clock of the first process, or by count; none at the end, where the artifact follows."""
        if self.checkpoints is None or step + 1 == self.plan.steps:
            return
        late = time.time() - self.saved > 60 * self.config.save_minutes
        if world() > 1:
            late = bool(self._sum(torch.tensor(float(late and rank() == 0))))
        if late or (self.config.save_steps and (step + 1) % self.config.save_steps == 0):
            self._save(step + 1)

    def _save(self, step: int) -> None:
        """A checkpoint that goes on with `step`."""
        with self.pause():
            gather(self.model, self.objective)
            state = {"tokens": self.tokens, "skipped": self.skipped}
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


def _check_share(config: TrainerConfig) -> None:
    """Every process has the same number of sequences of a step, or none can be told what to do."""
    if config.batch_size % world():
        fit = [w for w in range(1, config.batch_size + 1) if config.batch_size % w == 0]
        raise InputError(
            f"batch_size = {config.batch_size} does not divide by {world()} processes: launch one of {fit}"
        )
