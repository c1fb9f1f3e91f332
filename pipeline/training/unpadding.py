"""Sequences of a batch side by side in one row, without padding and without seeing each other.

Everything in an encoder but attention treats tokens one by one: there the row [1, T] costs what its T real tokens
cost. Attention (`attend`) is given the row as it is where a kernel knows where sequences begin (`flash.py`, on a GPU
in half precision); elsewhere it runs on groups of sequences of like length, cut out of the row and put back, the only
place where anything is padded. The idea is unpadding (Portes et al. 2023, MosaicBERT; Warner et al. 2024,
ModernBERT); it wastes less than packing to a fixed length, which leaves gaps in the linear layers and computes
attention between strangers only to mask it.

It works for every model of transformers whose attention goes through its attention interface; `can_unpad` tries it.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from pipeline.training import flash
from pipeline.training.dropout import DroppedAttention, places

ATTENTION = "keymask_unpadded"
"""Name of `attend` in transformers' attention interface."""

LIKE = 0.8
"""Sequences attend in one group while the shortest has at least this share of the tokens of the longest."""


@dataclass(frozen=True)
class Group:
    """Sequences of like length: where their tokens stand in the row, and in a padded block of their own."""

    shape: tuple[int, int]  # sequences, tokens of the longest
    row: Tensor | slice  # places in the row, of each token of the group
    block: Tensor | None  # places in the flattened block; None: all are of one length, nothing is padded
    inside: Tensor | None  # bool [n, 1, 1, l]: tokens, not padding
    keys: Tensor | None = None  # int64 [n, 1, l]: token keys, where dropout is drawn by them


class Layout:
    """Where the sequences of a row begin and end, in the forms in which attention asks for it.

    No list or tuple: torch.compile would make a layer anew for every number of sequences.
    """

    def __init__(
        self, lengths: list[int], device: torch.device, keys: Tensor | None = None, causal: bool = False
    ) -> None:
        self.lengths, self.device, self.keys = lengths, device, keys
        self.causal = causal
        """Whether a token sees only itself and what is before it."""
        self.longest = max(lengths)
        self.kernel = flash.runs_on(device)
        self.starts = on_device(torch.tensor([0, *lengths]).cumsum(0, dtype=torch.int32), device)
        """int32 [B + 1]: where each sequence begins, and where the last one ends."""

    @cached_property
    def groups(self) -> list[Group]:
        """Sequences of like length together."""
        return groups_of(self.lengths, self.device, self.keys)


def groups_of(lengths: list[int], device: torch.device, keys: Tensor | None = None) -> list[Group]:
    """The row's sequences, of these lengths in their order, in groups of like length; keys int64 [B, L]."""
    starts = torch.tensor([0, *lengths]).cumsum(0).tolist()
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    groups, first = [], 0
    while first < len(order):
        longest = lengths[order[first]]
        last = first
        while last < len(order) and lengths[order[last]] >= LIKE * longest:
            last += 1
        members = order[first:last]
        group = _group([(starts[i], lengths[i]) for i in members], longest, device)
        groups.append(group if keys is None else replace(group, keys=keys[members, None, :longest]))
        first = last
    return groups


def _group(members: list[tuple[int, int]], longest: int, device: torch.device) -> Group:
    lengths = torch.tensor([length for _, length in members])
    inside = torch.arange(longest) < lengths[:, None]
    row = (torch.tensor([start for start, _ in members])[:, None] + torch.arange(longest))[inside]
    full = bool(inside.all())
    block = None if full else inside.flatten().nonzero()[:, 0].to(device)
    return Group((len(members), longest), row.to(device), block, None if full else inside[:, None, None, :].to(device))


class _Cut(torch.autograd.Function):
    """Rows of a tensor to given places of a new one; each place is used once, so backward is the same the other way.

    Plain indexing would add up gradients as if a row could be taken twice, which is slow.
    """

    @staticmethod
    def forward(ctx, source: Tensor, take: Tensor, put: Tensor | None, size: int) -> Tensor:  # noqa: ANN001
        ctx.take, ctx.put, ctx.size = take, put, len(source)
        return _moved(source, take, put, size)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None, None]:  # noqa: ANN001
        taken = grad if ctx.put is None else grad.index_select(0, ctx.put)
        return _moved(taken, None, ctx.take, ctx.size), None, None, None


def taken(source: Tensor, places: Tensor) -> Tensor:
    """`source[places]` of places that are all different, with a backward that knows it."""
    return _Cut.apply(source, places, None, len(places))


def _moved(source: Tensor, take: Tensor | None, put: Tensor | None, size: int) -> Tensor:
    """`source[take]` at the places `put` of a tensor of `size` rows; zeros elsewhere."""
    taken = source if take is None else source.index_select(0, take)
    return taken if put is None else taken.new_zeros((size, *taken.shape[1:])).index_copy_(0, put, taken)


class _Join(torch.autograd.Function):
    """Blocks back into one row; backward cuts the row's gradient into the blocks'."""

    @staticmethod
    def forward(ctx, groups: list[Group], tokens: int, *blocks: Tensor) -> Tensor:  # noqa: ANN001
        ctx.groups, ctx.sizes = groups, [len(block) for block in blocks]
        row = blocks[0].new_empty((tokens, *blocks[0].shape[1:]))
        for group, block in zip(groups, blocks, strict=True):
            row.index_copy_(0, group.row, block if group.block is None else block.index_select(0, group.block))
        return row

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        parts = zip(ctx.groups, ctx.sizes, strict=True)
        return (None, None, *(_moved(grad, group.row, group.block, size) for group, size in parts))


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    layout: Layout,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention of each sequence to itself: query [1, H, T, D], key and value [1, H or fewer, T, D] -> [1, T, H, D].

    `sliding_window` is FlashAttention's, as transformers passes it on: only tokens nearer than that are seen.
    """
    shared = query.shape[1] // key.shape[1]  # heads of queries that ask the same keys (Ainslie et al. 2023)
    if shared > 1:
        key, value = (x.repeat_interleave(shared, dim=1) for x in (key, value))
    rows = [x.squeeze(0).transpose(0, 1) for x in (query, key, value)]  # [T, H, D]
    if layout.kernel and flash.takes(query):
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        near = -1 if sliding_window is None else sliding_window - 1
        ends = (layout.starts, layout.longest)
        return flash.attention(*rows, *ends, dropout, scale, near, 0 if layout.causal else near)[None], None
    return _in_groups(module, *rows, layout, dropout, scaling, sliding_window)[None], None


@torch.compiler.disable  # every batch has other groups
def _in_groups(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    dropout: float,
    scaling: float | None,
    sliding_window: int | None,
) -> Tensor:
    """[T, H, D]: group by group."""
    blocks = []
    for group in layout.groups:
        n, longest = group.shape
        q, k, v = (_block(x, group).unflatten(0, (n, longest)).transpose(1, 2) for x in (query, key, value))
        seen = _seen(group, sliding_window, layout.causal, q.device)
        if dropout and group.keys is not None and q.device.type == "cpu":  # kernels of a GPU draw for themselves
            out = _dropped(q, k, v, seen, group.keys, module.place, dropout, scaling)
        else:
            out = scaled_dot_product_attention(q, k, v, attn_mask=seen, dropout_p=dropout, scale=scaling)
        blocks.append(out.transpose(1, 2).flatten(0, 1))
    return _Join.apply(layout.groups, len(query), *blocks)


def _dropped(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, keys: Tensor, place: int, p: float, scaling: float | None
) -> Tensor:
    """[n, H, l, D]: attention with keyed dropout, each head with draws of its own."""
    heads = torch.arange(q.shape[1], device=q.device)[:, None] << 32
    scale = q.shape[-1] ** -0.5 if scaling is None else scaling
    q, k = q.to(v.dtype), k.to(v.dtype)  # rotary positions leave float32 under autocast
    return DroppedAttention.apply(q * scale, k, v, seen, places(keys + heads, place), p)


def _block(row: Tensor, group: Group) -> Tensor:
    """[n x l, H, D]: the group's tokens, zeros where there is none."""
    return _Cut.apply(row, group.row, group.block, group.shape[0] * group.shape[1])


def _seen(group: Group, sliding_window: int | None, causal: bool, device: torch.device) -> Tensor | None:
    """bool, broadcast against [n, H, l, l]: which tokens each token attends to; None = all."""
    windowed = sliding_window is not None and sliding_window <= group.shape[1]
    if not windowed and not causal:
        return group.inside
    positions = torch.arange(group.shape[1], device=device)
    before = positions[:, None] - positions
    seen = before.abs() < sliding_window if windowed else torch.ones_like(before, dtype=torch.bool)
    seen &= before >= 0 if causal else True
    if group.inside is None:
        return seen
    return seen & group.inside | (before == 0 if causal else False)  # padding sees itself: nothing to see is no number


def unpad(
    batch: dict[str, Tensor], first_position: int, device: torch.device, causal: bool = False
) -> dict[str, object]:
    """A right-padded batch [B, L] as one row [1, T] with `position_ids`, and its `layout` for `attend` on `device`.

    The row is made where the batch is: on the host, nobody has to wait for a device that is still computing.
    """
    inside = batch["attention_mask"].bool()
    cells = inside.flatten().nonzero()[:, 0]
    row = {name: x.flatten()[cells][None] for name, x in batch.items() if name != "attention_mask"}
    positions = (cells % inside.shape[1] + first_position)[None]
    return {
        **row,
        "position_ids": positions,
        "layout": Layout(inside.sum(1).tolist(), device, batch.get("token_keys"), causal),
    }


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """The same on a device, which takes it when it comes to it; the host does not wait."""
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" and not x.is_cuda else x.to(device)


def batch_on_device(batch: dict[str, object], device: torch.device) -> dict[str, object]:
    """The same for the tensors of a batch."""
    return {name: on_device(x, device) if isinstance(x, Tensor) else x for name, x in batch.items()}


def first_position(model: PreTrainedModel) -> int:
    """The position id of a sequence's first token: 0, or past the padding's where the model counts as RoBERTa does."""
    embeddings = getattr(model.base_model, "embeddings", None)
    counts_from_padding = hasattr(embeddings, "create_position_ids_from_input_ids")
    return embeddings.padding_idx + 1 if counts_from_padding else 0


def can_unpad(model: PreTrainedModel, causal: bool = False) -> bool:
    """Whether this model computes the same without padding: tried on three short sequences, without dropout.

    `causal`: its tokens see only what is before them, as those of a decoder.
    """
    takes = inspect.signature(model.base_model.forward).parameters
    capped = getattr(model.config, "attn_logit_softcapping", None)  # Gemma 2: small logits would not show it
    if not getattr(model, "_supports_attention_backend", False) or "position_ids" not in takes or capped:
        return False
    device, pad = model.device, model.config.pad_token_id or 0
    mask = torch.arange(8, device=device) < torch.tensor([[8], [5], [2]], device=device)
    words = torch.tensor([i for i in range(model.config.vocab_size) if i != pad][:13], device=device)
    ids = torch.where(mask, words.repeat(2)[:24].reshape(3, 8), pad)
    training = model.training
    model.eval()
    with torch.no_grad():
        padded = model.base_model(input_ids=ids, attention_mask=mask.long()).last_hidden_state[mask]
        with unpadded_attention(model):
            row = unpad({"input_ids": ids, "attention_mask": mask}, first_position(model), device, causal)
            found = model.base_model(**row).last_hidden_state[0]
    model.train(training)
    return bool(torch.isfinite(padded).all()) and torch.allclose(found, padded, atol=1e-3, rtol=1e-3)


@contextmanager
def unpadded_attention(model: PreTrainedModel) -> Iterator[None]:
    """Within, the model's attention is `attend`."""
    before, model.config._attn_implementation = model.config._attn_implementation, ATTENTION
    try:
        yield
    finally:
        model.config._attn_implementation = before


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attend)
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, lambda **_: None)
