"""Layers, pooling and heads against loops over tokens, and blind to padding."""

import math

import numpy as np
import pytest
import torch

from pipeline.finetuning.heads import Head, HeadConfig
from pipeline.finetuning.representation import AttentionPooling, Layers, ScalarMix, pooled

LENGTHS = [5, 2, 1]
POOLING = ["cls", "mean", "max", "min"]
HEADS = [
    {"widths": (6, 4)},
    {"widths": (6, 4), "residual": True},
    {"over_tokens": "cnn", "kernels": (1, 2, 3, 4), "filters": 3},
    {"over_tokens": "lstm", "filters": 3},
    {"layers": "concat", "last": 2},
    {"layers": "mix", "pooling": "attention", "widths": (5,)},
    {"layers": "one", "layer": 1, "pooling": "max"},
    {"layers": "max", "last": 2, "over_tokens": "cnn", "pooling": "mean", "widths": (4,)},
]


def states(seed: int = 0, layers: int = 4) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Of the embeddings and three layers [3, 5, 4], and mask [3, 5]."""
    draw = torch.Generator().manual_seed(seed)
    hidden = tuple(torch.randn(3, 5, 4, generator=draw) for _ in range(layers))
    return hidden, torch.arange(5) < torch.tensor(LENGTHS)[:, None]


@pytest.mark.parametrize("how", POOLING)
def test_pooling_is_over_the_tokens_of_a_text(how):
    (tokens, *_), mask = states()
    found = pooled(how, tokens, mask)
    for row, length in enumerate(LENGTHS):
        inside = tokens[row, :length].numpy()
        wanted = {"cls": inside[0], "mean": inside.mean(0), "max": inside.max(0), "min": inside.min(0)}[how]
        np.testing.assert_allclose(found[row], wanted, rtol=1e-6)


def test_attention_pooling_weighs_tokens_by_a_look_at_each():
    (tokens, *_), mask = states()
    pooling = AttentionPooling(4)
    torch.testing.assert_close(pooling(tokens, mask), pooled("mean", tokens, mask))  # as it starts
    pooling.look.weight.data.normal_()
    look, bias = pooling.look.weight.detach()[0], float(pooling.look.bias.detach())
    for row, length in enumerate(LENGTHS):
        inside = tokens[row, :length]
        weights = [math.exp(float(token @ look) + bias) for token in inside]
        wanted = sum(weight * token for weight, token in zip(weights, inside, strict=True)) / sum(weights)
        torch.testing.assert_close(pooling(tokens, mask)[row], wanted)


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("last", lambda h: h[3]),
        ("one", lambda h: h[1]),
        ("concat", lambda h: torch.cat([h[2], h[3]], -1)),
        ("mean", lambda h: (h[2] + h[3]) / 2),
        ("max", lambda h: torch.maximum(h[2], h[3])),
        ("mix", lambda h: sum(h) / 4),
    ],
)
def test_layers_are_those_asked_for(choice, wanted):
    hidden, _ = states()
    torch.testing.assert_close(Layers(choice, layer=1, last=2, count=3)(hidden, hidden[3]), wanted(hidden))


def test_the_last_layer_is_what_the_encoder_gives_out():
    """An encoder may norm its last state after its last layer, as ModernBERT does."""
    hidden, _ = states()
    normed = torch.ones_like(hidden[0])
    for choice in ("last", "one", "concat"):
        assert (Layers(choice, layer=-1, last=1, count=3)(hidden, normed) == 1).all()


def test_a_mixture_of_layers_is_weighted_by_softmax_and_scaled():
    hidden, _ = states()
    mix = ScalarMix(4)
    mix.weights.data, mix.gamma.data = torch.tensor([0.0, 1.0, 2.0, -1.0]), torch.tensor(3.0)
    shares = np.exp([0, 1, 2, -1]) / np.exp([0, 1, 2, -1]).sum()
    torch.testing.assert_close(mix(hidden), sum(float(3 * s) * h for s, h in zip(shares, hidden, strict=True)))


@pytest.mark.parametrize("settings", HEADS)
@pytest.mark.parametrize("tokens", [False, True])
def test_a_head_sees_nothing_beyond_the_end_of_a_text(settings, tokens):
    settings = {name: value for name, value in settings.items() if not (tokens and name == "pooling")}
    hidden, mask = states()
    torch.manual_seed(0)
    head = Head(HeadConfig(**settings), layers=3, width=4, outputs=2, tokens=tokens, spread=1.0).eval()
    together = head(hidden, hidden[-1], mask)
    assert together.shape == ((3, 5, 2) if tokens else (3, 2))
    for row, length in enumerate(LENGTHS):
        own = tuple(h[row : row + 1, :length] for h in hidden)
        alone = head(own, own[-1], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length] if tokens else together[row], alone[0], atol=1e-5, rtol=1e-4)


def test_a_text_cnn_is_the_highest_answer_of_each_filter_over_all_places():
    hidden, mask = states()
    config = HeadConfig(over_tokens="cnn", kernels=(3,), filters=2, pooling="max", dropout=0.0)
    head = Head(config, layers=3, width=4, outputs=2, tokens=False, spread=1.0)
    weights = [x.detach().numpy() for x in head.over_tokens.convolutions[0].parameters()]
    for row, length in enumerate(LENGTHS):
        text = np.pad(hidden[-1][row, :length].numpy(), ((1, 1), (0, 0)))  # zeros at both ends
        answers = [[(k.T * text[i : i + 3]).sum() + b for i in range(length)] for k, b in zip(*weights, strict=True)]
        best = np.maximum(np.max(answers, axis=1), 0)
        wanted = head.out(torch.tensor(best, dtype=torch.float32))
        torch.testing.assert_close(head(hidden, hidden[-1], mask)[row], wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "tokens", "told"),
    [
        ({"crf": True}, False, "head.crf = true chains the tags of a text, and this task has none"),
        ({"pooling": "max"}, True, "head.pooling = max makes one vector of a text, and every token has a tag"),
        ({"layers": "one", "layer": 4}, False, "head.layer = 4 is none of this encoder's: it has 3"),
        ({"layers": "max", "last": 5}, False, "head.last = 5 layers are more than this encoder has: it has 3"),
        ({"layers": "one", "layer": -4}, False, ""),
        ({"crf": True, "over_tokens": "lstm"}, True, ""),
    ],
)
def test_what_cannot_be_put_together_is_refused_with_a_reason(settings, tokens, told):
    assert HeadConfig(**settings).refusal(tokens, layers=3).startswith(told or "\0") == bool(told)


@pytest.mark.parametrize("settings", [{"residual": True}, {"kernels": ()}, {"widths": (0,)}, {"dropout": 1.0}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        HeadConfig(**settings)


def test_only_a_head_at_its_defaults_is_the_librarys():
    assert HeadConfig().is_plain and not any(HeadConfig(**settings).is_plain for settings in (*HEADS, {"crf": True}))
