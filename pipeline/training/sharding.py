"""Weights, gradients and moments divided among the processes (FSDP2), where the launch file asks for it.

What is trained is a sharded copy of the objective. The objective itself stays whole, in the host's memory, and is
given the weights when somebody wants to read them: measuring, checkpoints and saving know nothing of shards, and a run
goes on with another number of them, or with none. Without FSDP the objective itself is trained, and nothing is moved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from pipeline.run.processes import processes, rank
from pipeline.training.layers import layers_of


def park(objective: nn.Module) -> None:
    """Leave the device to the shards."""
    if processes().is_fsdp2:
        objective.cpu()


def prepared(objective: nn.Module, optimizer: Optimizer) -> tuple[nn.Module, Optimizer]:
    """Model and optimiser as Accelerate trains them; in shards a copy, and `optimizer` is left without its moments.

    Each layer is a unit, and all else is one: so tied weights stay one parameter, and the head's weight, which the
    loss reads outside of the head, is whole throughout the forward pass of the objective.
    """
    processes().free_memory()  # of a training before this one
    if not processes().is_fsdp2:
        return processes().prepare(objective, optimizer)
    moments = [optimizer.state.pop(p, {}) for p in _parameters(optimizer)]
    model, optimizer = deepcopy((objective, optimizer))
    model._no_split_modules = list({type(layer).__name__ for layer in layers_of(model)})  # read by Accelerate
    model, optimizer = processes().prepare(model, optimizer)
    for parameter, state in zip(_parameters(optimizer), moments, strict=True):
        if state:
            optimizer.state[parameter] = {name: _shard(tensor, parameter) for name, tensor in state.items()}
    return model, optimizer


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _shard(tensor: Tensor, like: DTensor) -> Tensor:
    """This process's part of a moment that every process has whole; a count of steps is not divided."""
    if tensor.shape != like.shape:
        return tensor.to(like.device)
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None).to(like.device)


@torch.no_grad()
def gather(model: nn.Module, objective: nn.Module) -> None:
    """Give `objective` the weights of `model`, its copy in shards. Every process calls."""
    for mine, trained in zip(objective.parameters(), model.parameters(), strict=True):
        if isinstance(trained, DTensor):
            mine.copy_(trained.full_tensor())


@contextmanager
def whole(model: nn.Module, objective: nn.Module) -> Iterator[None]:
    """Within, `objective` has the weights of `model` and is on this process's device. Every process calls."""
    gather(model, objective)
    objective.to(processes().device)
    yield
    park(objective)


def whole_state(state: object) -> object:
    """An optimiser's state with whole tensors: on the first process, the others only help. Every process calls."""
    if isinstance(state, dict):
        return {name: whole_state(value) for name, value in state.items()}
    if not isinstance(state, DTensor):
        return state
    gathered = state.full_tensor()
    return gathered.cpu() if rank() == 0 else None
