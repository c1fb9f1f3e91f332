"""Gradients added up in a fixed order on a GPU, or a run that was killed would not end with the same bits.

A GPU adds as its threads come, and rounding makes the order felt. torch can order what it adds, as a mode of the whole
process in which other operations are refused. Here the mode is on for one operation at a time: those of an encoder's
training that need it, attention (`flash.py`) and the lookup of embeddings.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.utils import deterministic


@contextmanager
def in_order() -> Iterator[None]:
    """Within, torch adds up in a fixed order, and refuses operations that cannot."""
    mode = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fill, deterministic.fill_uninitialized_memory = deterministic.fill_uninitialized_memory, False
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode[0], warn_only=mode[1])
        deterministic.fill_uninitialized_memory = fill


class Embedding(nn.Embedding):
    """In the place of `nn.Embedding`: the same, its gradient in order on a GPU."""

    def forward(self, input: Tensor) -> Tensor:
        """ids of any shape [...] -> [..., width]."""
        if input.is_cuda and self.max_norm is None and not (self.scale_grad_by_freq or self.sparse):
            return lookup(self.weight, input, self.padding_idx)
        return super().forward(input)


def order_embeddings(model: nn.Module) -> None:
    """Replace the embeddings of a model; the weights and their names stay."""
    for module in model.modules():
        if type(module) is nn.Embedding:
            module.__class__ = Embedding  # nothing is added to it: tied weights stay tied


def lookup(weight: Tensor, ids: Tensor, padding_id: int | None) -> Tensor:
    """`embedding(ids, weight)` [..., width], whose gradient adds up in order."""
    return _Lookup.apply(weight, ids, -1 if padding_id is None else padding_id)


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx, weight: Tensor, ids: Tensor, padding_id: int) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(ids)
        ctx.rows, ctx.padding_id = len(weight), padding_id
        return embedding(ids, weight)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN001
        (ids,) = ctx.saved_tensors
        with in_order():
            return torch.ops.aten.embedding_dense_backward(grad, ids, ctx.rows, ctx.padding_id, False), None, None
