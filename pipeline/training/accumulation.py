"""The gradient of a step, however the step is divided.

    loss = sum over targets / number of targets, over all micro-batches and processes of a step

(of an objective with several losses the weighted sum of such means, each over its own targets)
so that accumulation and the number of processes do not change what is learned. What the hardware can hold
(`per_device_batch_size`) is no part of an experiment: what does not fit is computed in halves (`memory.py`).
"""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.draws import DROPOUT, bits
from pipeline.objectives.objective import Objective
from pipeline.run.errors import InputError
from pipeline.run.processes import processes, rank, summed, world
from pipeline.training.loading import Load, Plan
from pipeline.training.memory import Portions, heaviest, tokens_of


class Accumulation:
    """Forward and backward of the micro-batches of each step; `model` is the objective as Accelerate trains it."""

    def __init__(self, objective: Objective, model: nn.Module, optimizer: Optimizer, seed: int) -> None:
        self.objective, self.model, self.optimizer, self.seed = objective, model, optimizer, seed
        self.portions = Portions()

    def rehearse(self, plan: Plan, first: int) -> None:
        """Several processes settle first what fits into memory: once in an exchange, none can step back.

        Shards cannot: the first layer is an exchange.
        """
        if world() == 1 or processes().is_fsdp2 or first == plan.steps:
            return
        load = heaviest(plan, first)
        while summed(torch.tensor(float(not self._fits(load)))):
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

    def backward(self, load: Load, targets: list[int]) -> Tensor:
        """Gradients of the weighted mean losses, given the targets of each loss over all processes.

        [n, K]: the summed losses of each micro-batch that fitted.
        """
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
            torch.manual_seed(int(bits(self.seed, DROPOUT, step, rank(), number)) >> 1)
            exchange = number == len(parts) - 1 or accelerator.is_fsdp2
            with nullcontext() if exchange else accelerator.no_sync(self.model):
                sums = self._losses(batch, self.model)
                accelerator.backward((sums * scale).sum())
            losses.append(sums.detach())
        return torch.stack(losses)

    def _losses(self, batch: dict[str, Tensor], model: nn.Module) -> Tensor:
        """[K]: the summed losses of a micro-batch."""
        return model(**self.objective.arranged(batch)).view(-1)
