"""Dropout as a function of (seed, epoch, document, position, module), like every other draw.

What a module drops of a token is read off a *tape* of decisions made once; a hash of the token's key and the module's
number says where. So a token is dropped the same way in any micro-batch, packing or process, and when its layer is
computed again under gradient checkpointing. On a CPU reading is also far faster than drawing.

Two tokens that start at one place of the tape (one pair in a million) are dropped alike. Not keyed, and drawn by torch
instead: what a model drops without a module of its own, attention on a GPU, whose kernels draw for themselves, and
attention over padded sequences.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from pipeline.draws import DROPOUT, bits, uniform

TAPE = 1 << 20
"""Places on the tape: 4 MB, which stays in the cache of a processor."""

_MIX = (-0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
"""Odd factors, those of SplitMix64, as signed numbers."""


def token_keys(seed: int, epochs: np.ndarray, keys: np.ndarray, length: int) -> Tensor:
    """int64 [B, length]: a key of each token at this visit; `epochs` int [B], `keys` uint64 [B] of the documents."""
    visits = bits(seed, DROPOUT, epochs, keys)
    return torch.from_numpy(bits(seed, DROPOUT, visits[:, None], np.arange(length)).view(np.int64))


class TokenKeys:
    """Keys of the tokens being computed, in the shapes in which the model holds them: (1, T), (B, L), (M,), …"""

    def __init__(self) -> None:
        self._held: list[Tensor] = []

    def begin(self, keys: Tensor | None) -> None:
        """A new batch; None = it has no keys."""
        self._held = [] if keys is None else [keys]

    def add(self, keys: Tensor) -> None:
        """The same batch in another shape, as after gathering."""
        self._held.append(keys)

    def get(self, shape: torch.Size) -> Tensor | None:
        """The keys of tokens that stand in this shape, if there are any."""
        for keys in self._held:
            if keys.shape == shape:
                return keys
        return None

    def remembered(self) -> "Remembered":
        """What makes the keys of now those of a layer that is computed again in backward."""
        return Remembered(self, self._held)


class Remembered:
    """Within, the keys are those of another time. May be entered again: a graph that is kept is walked twice."""

    def __init__(self, keys: TokenKeys, held: list[Tensor]) -> None:
        self.keys, self.held, self.now = keys, held, held

    def __enter__(self) -> None:
        self.now, self.keys._held = self.keys._held, self.held

    def __exit__(self, *_: object) -> None:
        self.keys._held = self.now


class Dropout(nn.Dropout):
    """In the place of `nn.Dropout`: drops by token keys where there are any, else as torch does."""

    def __init__(self, p: float, place: int, keys: TokenKeys) -> None:
        super().__init__(p)
        self.place: int | Tensor = place
        self.keys = keys
        self.tape: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """x [..., width] -> the same, some of it zero and the rest divided by 1 - p."""
        if not self.training or self.p == 0:
            return x
        keys = self.keys.get(x.shape[:-1])
        if keys is None:
            return dropout(x, self.p)
        rows = places(keys, self.place)
        if self.tape is None:
            return _Drop.apply(x, rows, self.p)
        return x * self.tape[rows[..., None] + torch.arange(x.shape[-1], device=x.device)].to(x.dtype)


def key_dropout(model: nn.Module) -> TokenKeys:
    """Replace the dropout modules of a model; returns what tells them which tokens they see."""
    keys = TokenKeys()
    for place, (name, module) in enumerate(list(model.named_modules())):
        module.place = _salt(place)  # attention asks for it: not every model gives it a module
        if type(module) is nn.Dropout:
            model.set_submodule(name, Dropout(module.p, _salt(place), keys))
    return keys


def write_out(model: nn.Module, device: torch.device) -> None:
    """Have the dropout modules of a model read the same numbers in plain operations, for a compiler to merge."""
    for module in model.modules():
        if isinstance(module, Dropout):
            module.tape = _tape(module.p, device, torch.float32)
            module.place = torch.tensor(module.place, device=device)  # a number would be compiled in, layer by layer


def _salt(place: int) -> int:
    """What tells a module's draws from another's."""
    return int(bits(0, DROPOUT, place).view(np.int64))


def places(keys: Tensor, place: int | Tensor) -> Tensor:
    """int64, of the shape of `keys`: where on the tape the module of this `place` reads for each token."""
    x = (keys ^ place) * _MIX[0]
    return ((x ^ (x >> 31)) * _MIX[1] >> 40) & (TAPE - 1)


def kept(rows: Tensor, width: int, p: float, dtype: torch.dtype) -> Tensor:
    """[*rows, width]: 0 where dropped, 1 / (1 - p) elsewhere, read off the tape from `rows` on."""
    from_each_place = _tape(p, rows.device, dtype).as_strided((TAPE, width), (1, 1))  # no copies
    return from_each_place.index_select(0, rows.flatten()).unflatten(0, rows.shape)


@lru_cache
def _tape(p: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """[2 x TAPE]: what is kept, twice, so that it can be read on past the end."""
    order = np.argsort(uniform(0, DROPOUT, np.arange(TAPE)), kind="stable")
    tape = np.full(TAPE, 1 / (1 - p), dtype=np.float32)
    tape[order[: round(p * TAPE)]] = 0  # exactly that share
    return torch.from_numpy(np.tile(tape, 2)).to(device, dtype)


class _Drop(torch.autograd.Function):
    """x times what is kept, which is read again in backward instead of stored."""

    @staticmethod
    def forward(ctx, x: Tensor, rows: Tensor, p: float) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(rows)
        ctx.p = p
        return x * kept(rows, x.shape[-1], p, x.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN001
        (rows,) = ctx.saved_tensors
        return grad * kept(rows, grad.shape[-1], ctx.p, grad.dtype), None, None


class DroppedAttention(torch.autograd.Function):
    """softmax(q kᵀ) with keyed dropout, times v.

    q (scaled), k, v [n, H, l, D]; rows int64 [n, H, l] of `places`; seen bool against [n, H, l, l], or None = all.
    """

    @staticmethod
    def forward(  # noqa: D102
        ctx,  # noqa: ANN001
        q: Tensor,
        k: Tensor,
        v: Tensor,
        seen: Tensor | None,
        rows: Tensor,
        p: float,
    ) -> Tensor:
        scores = q @ k.transpose(-1, -2)
        if seen is not None:  # the least number, not -inf: a padded row may see nothing, and must not be NaN
            scores.masked_fill_(~seen, torch.finfo(scores.dtype).min)
        shares = scores.softmax(-1)
        ctx.save_for_backward(q, k, v, shares, rows)
        ctx.p = p
        return (shares * kept(rows, shares.shape[-1], p, shares.dtype)) @ v

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001, D102
        q, k, v, shares, rows = ctx.saved_tensors
        keep = kept(rows, shares.shape[-1], ctx.p, shares.dtype)
        from_shares = (grad @ v.transpose(-1, -2)) * keep
        from_scores = torch._softmax_backward_data(from_shares, shares, -1, shares.dtype)
        return (
            from_scores @ k,
            from_scores.transpose(-1, -2) @ q,
            (shares * keep).transpose(-1, -2) @ grad,
            *[None] * 3,
        )
