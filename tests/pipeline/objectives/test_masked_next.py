"""A decoder that becomes an encoder: both sides are seen, also when opened again; the place before predicts."""

import numpy as np
import pytest
import torch
from test_causal_lm import DECODERS, FIRST, decoder, each_loss
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from pipeline.batches import IGNORE
from pipeline.models import ModelSize
from pipeline.objectives.masked_next import (
    MASK,
    MaskedNext,
    ShiftedBatches,
    add_mask_token,
    measure,
    new_both_sides,
    opened,
)
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2"])
def test_the_loss_is_that_of_the_library_with_both_sides_seen(kind, masked_batches):
    model, batch = opened(decoder(kind)), ShiftedBatches(masked_batches).batch(*FIRST)
    objective = MaskedNext(model)
    torch.testing.assert_close(objective(**objective.arranged(batch)), each_loss(model, batch).sum())


def test_a_masked_token_is_asked_for_at_the_place_before_it(masked_batches):
    batch, masked = ShiftedBatches(masked_batches).batch(*FIRST), masked_batches.batch(*FIRST)
    assert batch["labels"][:, :-1].equal(masked["labels"][:, 1:]) and (batch["labels"][:, -1] == IGNORE).all()
    assert batch["input_ids"].equal(masked["input_ids"])


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_what_is_saved_sees_both_sides_wherever_it_is_opened(kind, tmp_path):
    """Change the last id: the first token's answer moves, of the language model and of a classifier on it."""
    opened(decoder(kind)).save_pretrained(tmp_path)
    ids = torch.tensor([[5, 6, 7, 8], [5, 6, 7, 9]])
    for mask in (None, torch.tensor([[1, 1, 1, 1], [1, 1, 1, 1]])):
        for auto in (AutoModelForCausalLM, AutoModelForSequenceClassification):
            encoder = auto.from_pretrained(tmp_path).eval().base_model
            with torch.no_grad():
                one, other = encoder(input_ids=ids, attention_mask=mask).last_hidden_state[:, 0]
            assert not torch.allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_a_mask_token_is_added_where_there_is_none(families, tied):
    """Its rows are the mean of the others, which stay as they are."""
    backend = families["byte-level"].backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    config = DECODERS["qwen3"].__class__(**DECODERS["qwen3"].to_dict() | {"vocab_size": len(tokenizer)})
    config.tie_word_embeddings = tied
    model = AutoModelForCausalLM.from_config(config)
    before = [table.weight.clone() for table in (model.get_input_embeddings(), model.get_output_embeddings())]
    add_mask_token(model, tokenizer)
    assert tokenizer.mask_token == MASK and tokenizer.mask_token_id == len(before[0])
    tables = model.get_input_embeddings(), model.get_output_embeddings()
    assert (tables[0].weight is tables[1].weight) == tied
    for table, old in zip(tables, before, strict=True):
        assert table.weight[:-1].equal(old)
        torch.testing.assert_close(table.weight[-1], old.mean(0))
    add_mask_token(model, tokenizer)
    assert len(tokenizer) == len(before[0]) + 1


def test_it_learns(masked_batches):
    objective = MaskedNext(new_both_sides(ModelSize(16, 2, 2, 32, 0.0), 64, 0, 0))
    before = measure(objective, masked_batches)
    config = TrainerConfig(steps=150, batch_size=8, learning_rate=1e-2)
    train(objective, ShiftedBatches(masked_batches), config, "toy")
    with torch.no_grad():
        assert measure(objective, masked_batches)["loss"] < 0.8 * before["loss"]
    assert np.isfinite(before["loss"])
