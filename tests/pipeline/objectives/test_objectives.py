"""Objectives sum their loss over the targets, and waste nothing on the rest."""

from functools import partial

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.batches import IGNORE
from pipeline.objectives import cross_entropy as cross_entropies
from pipeline.objectives.cross_entropy import linear_cross_entropy, soft_cross_entropy, summed_cross_entropy
from pipeline.objectives.labelling import Labelling
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.objective import head_modules

KINDS = ["bert", "roberta", "modernbert"]


def batch(vocabulary: int, share: float, pad_id: int) -> dict[str, torch.Tensor]:
    """Random ids [6, 12] with padding, and labels on `share` of them."""
    draw = np.random.default_rng(0)
    ids, attention = draw.integers(5, vocabulary, (6, 12)), np.ones((6, 12), dtype=int)
    for row, length in enumerate((12, 12, 9, 7, 5, 3)):
        ids[row, length:], attention[row, length:] = pad_id, 0
    labels = np.where((draw.random((6, 12)) < share) & (attention == 1), ids, IGNORE)
    return {k: torch.from_numpy(v) for k, v in (("input_ids", ids), ("attention_mask", attention), ("labels", labels))}


def loss_of(objective: MaskedLM, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    return objective(**objective.arranged(rows))


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
def test_the_sparse_loss_and_its_gradients_are_those_over_all_tokens(new_model, kind):
    dense, sparse = new_model(kind, dropout=0.0), new_model(kind, dropout=0.0)
    rows = batch(45, 0.3, dense.config.pad_token_id)
    labels = rows.pop("labels")
    wanted = cross_entropy(dense(**rows).logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum")
    found = loss_of(MaskedLM(sparse), {"labels": labels, **rows})
    wanted.backward()
    found.backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(gradients(sparse), gradients(dense), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_sees_only_the_tokens_to_predict(new_model, kind):
    model = new_model(kind)
    rows = batch(45, 0.3, model.config.pad_token_id)
    objective = MaskedLM(model)
    arranged = objective.arranged(rows)
    targets = arranged.pop("targets")
    assert objective.logits(**arranged).shape == (len(targets), model.config.vocab_size)
    assert torch.equal(targets, rows["labels"][rows["labels"] != IGNORE])


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_targets_has_loss_zero_and_gradients_zero(new_model, kind):
    model = new_model(kind)
    loss = loss_of(MaskedLM(model), batch(45, 0.0, model.config.pad_token_id))
    loss.backward()
    assert loss.item() == 0
    assert all((gradient == 0).all() for gradient in gradients(model).values())


def test_a_wrapped_model_predicts_as_before(new_model):
    model = new_model()
    rows = batch(45, 0.3, 0)
    labels = rows.pop("labels")
    before = model(**rows).logits
    loss_of(MaskedLM(model), {"labels": labels, **rows})
    assert torch.equal(model(**rows).logits, before)


class Fixed(torch.nn.Module):
    """Its logits are what it is given."""

    def forward(self, logits: torch.Tensor) -> object:
        return type("Output", (), {"logits": logits})


def test_labelling_sums_over_sequences_or_tokens_by_weight():
    logits, weights = torch.randn(3, 4, 2), [1.0, 3.0]
    labels = torch.tensor([[0, 1, IGNORE, 1], [IGNORE] * 4, [1, 0, 0, IGNORE]])
    chosen = logits.log_softmax(-1)
    wanted = -sum(
        weights[label] * chosen[i, j, label]
        for i, row in enumerate(labels.tolist()) for j, label in enumerate(row) if label != IGNORE
    )  # fmt: skip
    weighted = partial(summed_cross_entropy, weights=weights)
    torch.testing.assert_close(Labelling(Fixed(), weighted)(labels, logits=logits), wanted)
    torch.testing.assert_close(Labelling(Fixed())(labels[:, 0].clamp(0), logits=logits[:, 0]),
                               -chosen[range(3), 0, labels[:, 0].clamp(0)].sum())  # fmt: skip


def test_soft_labels_are_cross_entropy_against_a_probability_and_hard_at_its_ends():
    logits, labels = torch.randn(3, 4, 2), torch.tensor([[0, 255, IGNORE, 51], [IGNORE] * 4, [255, 102, 0, IGNORE]])
    inside = labels != IGNORE
    p = labels[inside] / 255
    wanted = cross_entropy(logits[inside], torch.stack([1 - p, p], -1), torch.tensor([1.0, 3.0]), reduction="sum")
    soft = Labelling(Fixed(), partial(soft_cross_entropy, weight=3.0))
    torch.testing.assert_close(soft(labels, logits=logits), wanted)
    ends = torch.where((labels == 255) | (labels == 0), labels, IGNORE)
    weighted = Labelling(Fixed(), partial(summed_cross_entropy, weights=(1.0, 3.0)))
    hard = weighted(torch.where(ends == 255, 1, ends), logits=logits)
    torch.testing.assert_close(soft(ends, logits=logits), hard)


@pytest.mark.parametrize(
    ("kind", "names"), [("bert", ["cls"]), ("roberta", ["lm_head"]), ("modernbert", ["head", "decoder"])]
)
def test_heads_are_what_stands_beside_the_encoder(new_model, kind, names):
    model = new_model(kind)
    assert [name for name, module in model.named_children() if module in head_modules(model)] == names


@pytest.mark.parametrize("at_once", [1, 45 * 7, 1 << 20])
@pytest.mark.parametrize("with_bias", [True, False])
def test_the_fused_loss_and_its_gradients_are_those_of_the_two_steps(at_once, with_bias, monkeypatch):
    monkeypatch.setattr(cross_entropies, "LOGITS_AT_ONCE", at_once)
    torch.manual_seed(0)
    tensors = [torch.randn(20, 8) * 3, torch.randn(45, 8), *([torch.randn(45)] if with_bias else [])]
    fused, plain = ([t.clone().requires_grad_() for t in tensors] for _ in range(2))
    targets = torch.randint(0, 45, (20,))
    found = linear_cross_entropy(fused[0], fused[1], fused[2] if with_bias else None, targets)
    wanted = cross_entropy(torch.nn.functional.linear(*plain), targets, reduction="sum")
    (found * 0.3).backward()
    (wanted * 0.3).backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close([t.grad for t in fused], [t.grad for t in plain])


def test_the_fused_loss_survives_logits_that_overflow_an_exponential():
    hidden, weight = torch.tensor([[1e4]], requires_grad=True), torch.tensor([[1.0], [-1.0]], requires_grad=True)
    loss = linear_cross_entropy(hidden, weight, None, torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4) and torch.isfinite(weight.grad).all()


def test_the_fused_loss_in_bf16_is_near_the_one_in_fp32(new_model):
    exact, rough = new_model(dropout=0.0), new_model(dropout=0.0)
    rows = batch(45, 0.3, 0)
    wanted = loss_of(MaskedLM(exact), rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss_of(MaskedLM(rough), rows)
    wanted.backward()
    found.backward()
    assert found.dtype == torch.float32 and found.item() == pytest.approx(wanted.item(), rel=0.02)
    one, other = (torch.cat([g.flatten() for g in gradients(m).values()]) for m in (exact, rough))
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.99


def test_the_last_feed_forward_part_sees_only_the_tokens_to_predict(new_model):
    model, seen = new_model(), []
    objective = MaskedLM(model)
    model.bert.encoder.layer[-1].intermediate.register_forward_hook(lambda m, i, o: seen.append(i[0].shape))
    rows = batch(45, 0.3, 0)
    loss_of(objective, rows)
    assert seen == [(int((rows["labels"] != IGNORE).sum()), model.config.hidden_size)]
