"""The kernel of a GPU is told what to compute; its work is done by plain operations here (tests/kernel.py)."""

import pytest
import torch

from pipeline.training import flash
from pipeline.training.unpadding import Layout, attend


def attended(window: int | None, causal: bool) -> list[torch.Tensor]:
    """A row of three sequences, and the gradients of queries, keys and values."""
    torch.manual_seed(0)
    parts = [x.requires_grad_() for x in torch.randn(3, 1, 2, 12, 8).unbind()]
    layout = Layout([5, 1, 6], torch.device("cpu"), causal=causal)
    out, _ = attend(torch.nn.Identity(), *parts, None, 0.0, 0.3, layout=layout, sliding_window=window)
    return [out, *torch.autograd.grad(out.square().sum(), parts)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("window", [None, 3])
def test_attention_by_the_kernel_is_attention_in_groups(request, window, causal):
    in_groups = attended(window, causal)
    in_order = request.getfixturevalue("kernel")
    torch.testing.assert_close(attended(window, causal), in_groups)
    assert in_order() and not torch.are_deterministic_algorithms_enabled()


def test_the_kernel_takes_half_precision_and_heads_of_eights():
    heads = lambda kind, width: torch.empty(3, 2, width, dtype=kind)
    assert flash.takes(heads(torch.bfloat16, 64)) and flash.takes(heads(torch.float16, 256))
    assert not any(map(flash.takes, (heads(torch.float32, 64), heads(torch.bfloat16, 20), heads(torch.bfloat16, 264))))
    assert not flash.runs_on(torch.device("cpu"))
