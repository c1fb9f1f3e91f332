"""The kernel of a GPU, as torch declares it, on a CPU and in plain operations."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from pipeline.training import flash


def shares(q: torch.Tensor, k: torch.Tensor, scale: float, left: int, right: int) -> torch.Tensor:
    """[H, l, l]: softmax of one sequence, q and k [l, H, D]."""
    scores = torch.einsum("ihd,jhd->hij", q, k) * scale
    before = torch.arange(len(q))[:, None] - torch.arange(len(q))
    unseen = ((before > left) & torch.tensor(left >= 0)) | ((-before > right) & torch.tensor(right >= 0))
    return scores.masked_fill(unseen, -torch.inf).softmax(-1)


@pytest.fixture
def kernel(monkeypatch) -> Callable[[], bool]:
    """Within, rows go to the kernel; says whether the gradients of the last call were to be made in a fixed order."""
    orders = []
    ends = lambda windows: (windows["window_size_left"], windows["window_size_right"])

    def forward(q, k, v, starts, same, longest, also, dropout, causal, debug, *, scale, **windows):
        assert torch.equal(starts, same) and longest == also == max(starts.diff().tolist())
        assert not causal and not debug
        out = [
            torch.einsum("hij,jhd->ihd", shares(q[a:b], k[a:b], scale, *ends(windows)), v[a:b])
            for a, b in pairwise(starts.tolist())
        ]
        return torch.cat(out), q.new_zeros(q.shape[1], len(q)), torch.zeros(2, dtype=torch.uint64), None, None

    def backward(grad, q, k, v, out, sums, starts, same, n, m, dropout, causal, state, unused, *, scale, **windows):
        assert out.shape == q.shape and sums.shape == (q.shape[1], len(q)) and state.dtype == torch.uint64
        orders.append(torch.are_deterministic_algorithms_enabled())
        grads = tuple(torch.zeros_like(x) for x in (q, k, v))
        for a, b in pairwise(starts.tolist()):
            share = shares(q[a:b], k[a:b], scale, *ends(windows))
            of_share = torch.einsum("ihd,jhd->hij", grad[a:b], v[a:b])
            of_score = share * (of_share - (share * of_share).sum(-1, keepdim=True)) * scale
            grads[0][a:b] = torch.einsum("hij,jhd->ihd", of_score, k[a:b])
            grads[1][a:b] = torch.einsum("hij,ihd->jhd", of_score, q[a:b])
            grads[2][a:b] = torch.einsum("hij,ihd->jhd", share, grad[a:b])
        return grads

    monkeypatch.setattr(flash, "forward", forward)
    monkeypatch.setattr(flash, "backward", backward)
    monkeypatch.setattr(flash, "runs_on", lambda device: True)
    monkeypatch.setattr(flash, "takes", lambda query: True)
    return lambda: orders[-1]
