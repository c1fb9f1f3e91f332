"""Sequences side by side without padding: the same numbers, and no look across."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AlbertConfig, AutoModelForMaskedLM, DebertaV2Config, ElectraConfig, PreTrainedModel

from pipeline.objectives.masked_lm import MaskedLM
from pipeline.training.unpadding import LIKE, can_unpad, first_position, groups_of, unpad, unpadded_attention

KINDS = ["bert", "roberta", "modernbert"]


def batch(lengths: list[int], pad_id: int) -> dict[str, torch.Tensor]:
    draw = np.random.default_rng(0)
    mask = np.arange(max(lengths)) < np.array(lengths)[:, None]
    ids = np.where(mask, draw.integers(5, 45, mask.shape), pad_id)
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}


def in_one_row(model: PreTrainedModel, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """[T, width]: hidden states of the encoder without padding."""
    with unpadded_attention(model):
        return model.base_model(**unpad(rows, first_position(model), torch.device("cpu"))).last_hidden_state[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lengths", [[7], [5, 5, 5], [12, 2, 9, 9, 3, 1], [1, 1, 30]])
def test_hidden_states_and_gradients_are_those_of_each_sequence_alone(new_model, kind, lengths):
    one, other = (new_model(kind, dropout=0.0) for _ in range(2))
    rows = batch(lengths, one.config.pad_token_id)
    found = in_one_row(one, rows)
    alone = [other.base_model(input_ids=rows["input_ids"][i : i + 1, :n]).last_hidden_state[0]
             for i, n in enumerate(lengths)]  # fmt: skip
    torch.testing.assert_close(found, torch.cat(alone), rtol=0, atol=1e-6)
    weights = torch.randn_like(found)
    (found * weights).sum().backward()
    (torch.cat(alone) * weights).sum().backward()
    for (name, p), (_, q) in zip(one.named_parameters(), other.named_parameters(), strict=True):
        if q.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_no_sequence_sees_another(new_model, kind):
    model = new_model(kind, dropout=0.0)
    rows = batch([9, 4, 8], model.config.pad_token_id)
    before = in_one_row(model, rows)
    rows["input_ids"][1, :4] = torch.tensor([44, 43, 42, 41])
    changed = (in_one_row(model, rows) != before).any(1)
    assert changed[9:13].all() and not changed[:9].any() and not changed[13:].any()


def test_a_sliding_window_is_that_of_the_model(new_model):
    model = new_model("modernbert", dropout=0.0)
    rows = batch([25, 22, 3], model.config.pad_token_id)
    found = []
    for window in (64, 4):
        for layer in model.model.layers:
            layer.attn.sliding_window = window + 1 if layer.attn.sliding_window else None
        model.config.sliding_window = window
        padded = model.base_model(**rows).last_hidden_state[rows["attention_mask"].bool()]
        found.append(in_one_row(model, rows))
        torch.testing.assert_close(found[-1], padded, rtol=0, atol=1e-5)
    assert not torch.allclose(*found)  # the window was felt


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_groups_hold_every_token_once_and_are_of_like_length(lengths):
    groups = groups_of(lengths, torch.device("cpu"))
    assert sorted(torch.cat([group.row for group in groups]).tolist()) == list(range(sum(lengths)))
    for group in groups:
        sequences, longest = group.shape
        tokens = sequences * longest if group.block is None else len(group.block)
        assert tokens == len(group.row) and tokens >= LIKE * sequences * longest


def test_attention_dropout_is_kept(new_model):
    model = new_model(dropout=0.5).train()
    rows = batch([9, 4], 0)
    assert not torch.equal(in_one_row(model, rows), in_one_row(model, rows))


def new(config: type, **more: object) -> PreTrainedModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": 45, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    return AutoModelForMaskedLM.from_config(config(**sizes, intermediate_size=32, **more))


def test_models_that_can_do_without_padding_are_told_from_those_that_cannot():
    assert can_unpad(new(ElectraConfig)) and can_unpad(new(AlbertConfig, embedding_size=16))
    assert not can_unpad(new(DebertaV2Config))  # attention of its own


def test_a_model_that_cannot_is_trained_with_padding():
    objective = MaskedLM(new(DebertaV2Config))
    rows = batch([9, 4], 0)
    rows["labels"] = torch.where(rows["attention_mask"] > 0, rows["input_ids"], -100)
    assert torch.isfinite(objective(**objective.arranged(rows)))


def test_trying_leaves_the_model_as_it_was(new_model):
    model = new_model().train()
    attention = model.config._attn_implementation
    assert can_unpad(model) and model.training and model.config._attn_implementation == attention
