"""FlashAttention 2 over a row of sequences, the same gradients at every run.

torch has the kernel (Dao 2023); its public form for rows, `varlen_attn`, has no dropout, and its gradients are added
up in whatever order the GPU comes to them. Here they are made in a fixed order, or a run that was killed would not end
with the same bits. What is dropped the kernel draws itself, from the generator that the trainer seeds for every
micro-batch.
"""

import torch
from torch import Tensor

from pipeline.training.ordered import in_order

AMPERE = (8, 0)
"""Compute capability of the first GPUs it runs on."""

WIDEST = 256
"""Width of a head at most."""

forward = torch.ops.aten._flash_attention_forward
backward = torch.ops.aten._flash_attention_backward


def runs_on(device: torch.device) -> bool:
    """Whether the device has the kernel."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= AMPERE


def takes(query: Tensor) -> bool:
    """Whether the kernel is made for such heads, [..., D]."""
    half, width = query.dtype in (torch.float16, torch.bfloat16), query.shape[-1]
    return half and width <= WIDEST and width % 8 == 0


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts: Tensor,
    longest: int,
    dropout: float,
    scale: float,
    before: int = -1,
    behind: int = -1,
) -> Tensor:
    """[T, H, D]: each sequence of a row attends to itself; q, k, v [T, H, D], starts int32 [B + 1].

    A token sees those at most so many places before and behind it; -1 = all.
    """
    return _attend(q, k, v, starts, longest, dropout, scale, before, behind)[0]


@torch.library.custom_op("keymask::attend", mutates_args=())
def _attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts: Tensor,
    longest: int,
    dropout: float,
    scale: float,
    before: int,
    behind: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """The result, the logarithm of each softmax's sum float32 [H, T], and the state of the generator."""
    near = {"window_size_left": before, "window_size_right": behind}
    made = forward(q, k, v, starts, starts, longest, longest, dropout, False, False, scale=scale, **near)
    return made[:3]


@torch.library.custom_op("keymask::attend_backward", mutates_args=())
def _attend_backward(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor,
    sums: Tensor,
    starts: Tensor,
    state: Tensor,
    longest: int,
    dropout: float,
    scale: float,
    before: int,
    behind: int,
) -> tuple[Tensor, Tensor, Tensor]:
    near = {"window_size_left": before, "window_size_right": behind}
    ends = (starts, starts, longest, longest)
    with in_order():
        return backward(grad, q, k, v, out, sums, *ends, dropout, False, state, q.new_empty(0), scale=scale, **near)


@_attend.register_fake
def _(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    starts: Tensor,
    longest: int,
    dropout: float,
    scale: float,
    before: int,
    behind: int,
) -> tuple[Tensor, Tensor, Tensor]:
    sums = q.new_empty((q.shape[1], q.shape[0]), dtype=torch.float32)
    return torch.empty_like(q), sums, q.new_empty(2, dtype=torch.uint64)


@_attend_backward.register_fake
def _(grad: Tensor, q: Tensor, k: Tensor, v: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)


def _keep(ctx, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:  # noqa: ANN001
    q, k, v, starts, *ctx.settings = inputs
    out, sums, state = output
    ctx.save_for_backward(q, k, v, out, sums, starts, state)
    ctx.mark_non_differentiable(sums, state)


def _gradients(ctx, grad: Tensor, *_: None) -> tuple[Tensor | None, ...]:  # noqa: ANN001
    return *_attend_backward(grad, *ctx.saved_tensors, *ctx.settings), *[None] * 6


_attend.register_autograd(_gradients, setup_context=_keep)
