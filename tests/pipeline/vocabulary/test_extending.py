"""A model with new rows: what it said of old entries it still says, and of new ones the mean of their pieces."""

import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForPreTraining,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ElectraConfig,
    ElectraForMaskedLM,
    XLNetConfig,
    XLNetLMHeadModel,
)

from pipeline.vocabulary.extending import vocabulary_weights, widen

XLNET = {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
OTHERS = {
    "electra": (ElectraForMaskedLM, ElectraConfig, {**SIZE, "embedding_size": 8}),
    "albert": (AlbertForMaskedLM, AlbertConfig, {**SIZE, "embedding_size": 8}),
    "distilbert": (
        DistilBertForMaskedLM,
        DistilBertConfig,
        {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32},
    ),
    "xlnet": (XLNetLMHeadModel, XLNetConfig, XLNET),
    "bert, two heads": (BertForPreTraining, BertConfig, SIZE),
    "xlnet, untied": (XLNetLMHeadModel, XLNetConfig, {**XLNET, "tie_word_embeddings": False}),
}
ROWS = 60
IDS = torch.arange(5, 20)[None]


@pytest.fixture(params=["bert", "roberta", "modernbert", *OTHERS])
def model(request, new_model):
    """Of random weights, the biases of its output too."""
    torch.manual_seed(0)
    if request.param in OTHERS:
        kind, config, size = OTHERS[request.param]
        made = kind(config(vocab_size=ROWS, **size)).eval()
    else:
        made = new_model(request.param)
    for weight in vocabulary_weights(made):
        torch.nn.init.normal_(weight, std=0.3)
    return made


@torch.no_grad()
def answers(model) -> torch.Tensor:
    found = model(IDS)
    return found["logits" if "logits" in found else "prediction_logits"][0]


def test_old_entries_keep_their_logits_and_new_ones_have_the_mean_of_their_pieces(model, tmp_path):
    """Opened from its files too. Weights are the same bits, logits to rounding: a wider product may be added up
    otherwise."""
    size, before = model.get_input_embeddings().num_embeddings, answers(model)
    weights = [weight.detach().clone() for weight in vocabulary_weights(model)]
    rows = {size + 1: [5, 6, 6], size: [7]}
    widen(model, rows)
    model.save_pretrained(tmp_path)
    opened = type(model).from_pretrained(tmp_path).eval()
    for one in (model, opened):
        now = answers(one)
        assert now.shape[-1] == one.config.vocab_size == size + 2
        torch.testing.assert_close(now[:, :size], before, rtol=0, atol=1e-5)
        for row, pieces in rows.items():
            torch.testing.assert_close(now[:, row], before[:, pieces].mean(-1), rtol=0, atol=1e-5)
        found = vocabulary_weights(one)
        assert len(found) == len(weights)
        for weight, old in zip(found, weights, strict=True):
            assert torch.equal(weight[:size], old) and torch.equal(weight[size], old[7])
            torch.testing.assert_close(weight[size + 1], old[[5, 6, 6]].mean(0))
    tied = model.config.tie_word_embeddings
    assert (opened.get_input_embeddings().weight is opened.get_output_embeddings().weight) == tied


def test_rows_that_padding_had_added_are_used_before_new_ones(new_model):
    model = new_model("bert")
    size = model.get_input_embeddings().num_embeddings
    before = [weight.detach().clone() for weight in vocabulary_weights(model)]
    widen(model, {size - 1: [5, 7]})
    for weight, old in zip(vocabulary_weights(model), before, strict=True):
        assert len(weight) == size and torch.equal(weight[:-1], old[:-1])
        torch.testing.assert_close(weight[-1], old[[5, 7]].mean(0))
