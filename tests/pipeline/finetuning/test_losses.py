"""Losses against their formulas, written out in plain Python."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from pipeline.batches import IGNORE
from pipeline.finetuning import losses
from pipeline.finetuning.losses import LossConfig, chosen

torch.manual_seed(0)
LOGITS = torch.randn(6, 4) * 3
ONE = torch.tensor([0, 3, 1, IGNORE, 2, 2])
SEVERAL = torch.tensor([[0, 1, 1, 0], [0] * 4, [1] * 4, [1, 0, 0, 0], [0, 0, 1, 1], [0, 1, 1, 0]]).float()
ROWS = [(z, t) for z, t in zip(LOGITS.tolist(), ONE.tolist(), strict=True) if t != IGNORE]


def softmax(z: list[float]) -> list[float]:
    total = sum(map(math.exp, z))
    return [math.exp(x) / total for x in z]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def cells():
    """(logit, 0 or 1) of every row and class."""
    return zip(LOGITS.flatten().tolist(), SEVERAL.flatten().tolist(), strict=True)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_smoothed_cross_entropy_asks_for_a_little_of_every_class(smoothing):
    wanted = 0.0
    for z, t in ROWS:
        asked = [smoothing / 4 + (1 - smoothing) * (c == t) for c in range(4)]
        wanted -= sum(a * math.log(p) for a, p in zip(asked, softmax(z), strict=True))
    assert losses.summed_cross_entropy(LOGITS, ONE, smoothing=smoothing).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_turns_from_what_is_right(gamma):
    weights = [1.0, 2.0, 0.5, 3.0]
    wanted = -sum(weights[t] * (1 - softmax(z)[t]) ** gamma * math.log(softmax(z)[t]) for z, t in ROWS)
    assert losses.focal(LOGITS, ONE, gamma, weights).item() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.0, 0.0), (2.0, 0.0), (2.0, 0.25)])
def test_binary_focal_does_so_for_each_class_of_a_row(gamma, alpha):
    wanted = 0.0
    for x, y in cells():
        p = sigmoid(x) if y else 1 - sigmoid(x)
        weight = (alpha if y else 1 - alpha) if alpha else 1.0
        wanted -= weight * (1 - p) ** gamma * math.log(p)
    assert losses.binary_focal(LOGITS, SEVERAL, gamma, alpha).item() == pytest.approx(wanted / 4, rel=1e-4)


def test_focal_without_gamma_is_cross_entropy():
    torch.testing.assert_close(losses.focal(LOGITS, ONE, 0.0), losses.summed_cross_entropy(LOGITS, ONE))
    torch.testing.assert_close(losses.binary_focal(LOGITS, SEVERAL, 0.0), losses.bce(LOGITS, SEVERAL))


@pytest.mark.parametrize("loss", [losses.binary_focal, losses.focal])
def test_focal_keeps_the_gradient_of_a_sure_error_and_none_of_a_sure_hit(loss):
    logits = torch.tensor([[60.0, -60.0]], requires_grad=True)
    wrong, right = (torch.tensor([t]) for t in ((1, 0) if loss is losses.focal else ([0.0, 1.0], [1.0, 0.0])))
    (gradient,) = torch.autograd.grad(loss(logits, wrong, 2.0), logits)
    assert gradient.abs().min() > 0.4
    (gradient,) = torch.autograd.grad(loss(logits, right, 0.5), logits)
    assert torch.isfinite(gradient).all() and gradient.abs().max() < 1e-6


def test_zlpr_is_its_formula():
    wanted = 0.0
    for z, there in zip(LOGITS.tolist(), SEVERAL.tolist(), strict=True):
        pairs = list(zip(z, there, strict=True))
        absent, present = [x for x, y in pairs if not y], [x for x, y in pairs if y]
        wanted += math.log(1 + sum(math.exp(x) for x in absent)) + math.log(1 + sum(math.exp(-x) for x in present))
    assert losses.zlpr(LOGITS, SEVERAL).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_zlpr_of_large_half_precision_logits_is_finite_with_its_gradient(kind):
    logits = (LOGITS * 100).to(kind).requires_grad_()
    loss = losses.zlpr(logits.float(), SEVERAL)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_concurrent_softmax_is_its_formula():
    counts, rows = SEVERAL.tolist(), range(6)
    together = [[0.0] * 4 for _ in range(4)]
    for i in range(4):
        for j in range(4):
            together[i][j] = sum(counts[b][i] * counts[b][j] for b in rows) / max(sum(counts[b][i] for b in rows), 1)
    assert losses.co_occurrence(SEVERAL.numpy()) == pytest.approx(np.array(together))
    wanted = 0.0
    for z, there in zip(LOGITS.tolist(), counts, strict=True):
        for i in range(4):
            others = sum((1 - there[j]) * (1 - together[i][j]) * math.exp(z[j]) for j in range(4) if j != i)
            wanted -= there[i] * math.log(math.exp(z[i]) / (others + math.exp(z[i])))
    found = losses.concurrent_softmax(LOGITS, SEVERAL, torch.tensor(together))
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_concurrent_softmax_has_finite_gradients_where_classes_always_go_together():
    logits = LOGITS.clone().requires_grad_()
    losses.concurrent_softmax(logits, SEVERAL, torch.ones(4, 4)).backward()
    assert torch.isfinite(logits.grad).all()


def test_balanced_weights_are_one_on_average_over_rows_and_equal_over_classes():
    targets = np.array([0, 0, 0, 1, 3, IGNORE])
    weights = losses.balanced(targets, 4)
    assert weights.tolist() == pytest.approx([5 / 9, 5 / 3, 0, 5 / 3])
    assert losses.balanced(targets, 5).tolist() == [*weights, 0]  # a tag that never occurs, beyond the last that does
    found = chosen(LossConfig(class_weights="balanced"), "cross_entropy", targets, 4)(LOGITS, ONE)
    wanted = cross_entropy(
        LOGITS, ONE, torch.tensor(weights, dtype=torch.float32), ignore_index=IGNORE, reduction="sum"
    )
    torch.testing.assert_close(found, wanted)


def test_balanced_weights_of_several_classes_are_rows_without_for_each_with():
    found = chosen(LossConfig(class_weights="balanced"), "bce", SEVERAL.numpy(), 4)(LOGITS, SEVERAL)
    weights = torch.tensor([4 / 2, 3 / 3, 2 / 4, 4 / 2])
    wanted = sum(
        -(weights[c] * math.log(sigmoid(x)) if y else math.log(1 - sigmoid(x)))
        for c, x, y in ((i % 4, x, y) for i, (x, y) in enumerate(cells()))
    )
    assert found.item() == pytest.approx(float(wanted) / 4, rel=1e-4)


def test_a_loss_may_be_a_weighted_sum():
    config = LossConfig(terms=("bce", "zlpr"), weights=(1.0, 0.5))
    wanted = losses.bce(LOGITS, SEVERAL) + losses.zlpr(LOGITS, SEVERAL) / 2
    torch.testing.assert_close(chosen(config, "bce", SEVERAL.numpy(), 4)(LOGITS, SEVERAL), wanted)


@pytest.mark.parametrize(("own", "labels"), [("cross_entropy", ONE), ("bce", SEVERAL)])
def test_without_terms_a_task_has_its_own_loss(own, labels):
    found = chosen(LossConfig(), own, labels.numpy(), 4)(LOGITS, labels)
    wanted = {"cross_entropy": losses.summed_cross_entropy, "bce": losses.bce}[own](LOGITS, labels)
    torch.testing.assert_close(found, wanted)


def test_tokens_are_targets_like_rows():
    logits, targets = LOGITS.view(2, 3, 4), ONE.view(2, 3)
    for loss in (losses.summed_cross_entropy, lambda z, t: losses.focal(z, t, 2.0)):
        torch.testing.assert_close(loss(logits, targets), loss(LOGITS, ONE))


def test_divergences_are_symmetric_kullback_leibler():
    other = torch.randn(6, 4)
    there = ONE != IGNORE
    p, q = LOGITS.log_softmax(-1)[there], other.log_softmax(-1)[there]
    wanted = (kl_div(p, q, reduction="sum", log_target=True) + kl_div(q, p, reduction="sum", log_target=True)) / 2
    torch.testing.assert_close(losses.categorical_divergence(LOGITS, other, ONE), wanted)
    pairs = [torch.stack([x, torch.zeros_like(x)], -1).flatten(0, 1) for x in (LOGITS, other)]
    wanted = losses.categorical_divergence(*pairs, torch.zeros(24, dtype=int))
    torch.testing.assert_close(losses.bernoulli_divergence(LOGITS, other, SEVERAL), wanted / 4)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"terms": ("bce",), "weights": (1.0, 2.0)}, "one weight a term"),
        ({"terms": ("zlpr",), "label_smoothing": 0.1}, "label_smoothing is of cross_entropy"),
        ({"terms": ("zlpr",), "class_weights": "balanced"}, "class_weights are of"),
        ({"terms": ("zlpr", "focal")}, "beside one for classes"),
        ({"label_smoothing": 1.0}, "below 1"),
        ({"focal_gamma": -1.0}, "focal_gamma"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        LossConfig(**settings)


@pytest.mark.parametrize(("term", "own"), [("bce", "cross_entropy"), ("cross_entropy", "bce")])
def test_a_loss_of_another_kind_of_task_is_refused(term, own):
    with pytest.raises(ValueError, match=rf"loss.terms has {term}, and this task takes"):
        chosen(LossConfig(terms=(term,)), own, ONE.numpy(), 4)
