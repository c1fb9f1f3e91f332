"""Probabilities come back in the order asked for, whatever the batches were."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from conftest import WORDS
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from pipeline import prediction
from pipeline.batches import LabelledBatches
from pipeline.prediction import (
    first_row_suffices,
    only_first_row,
    predict,
    predicted_batches,
    predicted_tokens,
    takes_rows,
)


@pytest.fixture
def rows() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [np.array([2, *draw.integers(6, len(WORDS), length), 3]) for length in draw.integers(0, 20, 17)]


@pytest.mark.parametrize("budget", [1, 60, 8192])
def test_probabilities_do_not_depend_on_the_batches(checkpoints, rows, budget, monkeypatch):
    monkeypatch.setattr(prediction, "TOKEN_BUDGET", budget)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoints["bert"], num_labels=3)
    model.classifier.weight.data.normal_(std=5)
    found = predict(model, LabelledBatches(rows, [0] * len(rows), 0))
    alone = [predict(model, LabelledBatches([row], [0], 0))[0] for row in rows]
    np.testing.assert_allclose(found, alone, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_predicting_leaves_a_training_model_training(checkpoints, rows):
    model = AutoModelForSequenceClassification.from_pretrained(checkpoints["bert"]).train()
    predict(model, LabelledBatches(rows, [0] * len(rows), 0))
    assert model.training


def test_token_probabilities_come_with_the_indices_of_their_rows(checkpoints, rows):
    model = AutoModelForTokenClassification.from_pretrained(checkpoints["bert"], num_labels=2)
    seen = []
    for indices, probabilities in predicted_batches(model, LabelledBatches(rows, [0] * len(rows), 0)):
        assert probabilities.shape == (len(indices), max(len(rows[i]) for i in indices), 2)
        seen += indices.tolist()
    assert sorted(seen) == list(range(len(rows)))


@pytest.mark.parametrize("unpadded", [True, False])
@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_tokens_are_predicted_as_if_each_sequence_were_alone(checkpoints, rows, kind, unpadded, monkeypatch):
    monkeypatch.setattr(prediction, "ROW", 60)
    model = AutoModelForTokenClassification.from_pretrained(checkpoints[kind], num_labels=2).eval()
    model.classifier.weight.data.normal_(std=5)
    batches = LabelledBatches(rows, [0] * len(rows), model.config.pad_token_id)
    for row, found in zip(rows, tokens_of(rows, predicted_tokens(model, batches, unpadded)), strict=True):
        alone = model(input_ids=torch.from_numpy(row)[None]).logits[0].softmax(-1)
        np.testing.assert_allclose(found, alone.detach(), atol=1e-5)


def tokens_of(rows: list[np.ndarray], predicted: Iterator[tuple[np.ndarray, np.ndarray]]) -> list[np.ndarray]:
    """What was predicted of each row."""
    found = {}
    for indices, probabilities in predicted:
        parts = np.split(probabilities, np.cumsum([len(rows[i]) for i in indices])[:-1])
        found |= dict(zip(indices.tolist(), parts, strict=True))
    return [found[i] for i in range(len(rows))]


def test_a_cpu_reads_with_padding_and_in_full_precision(checkpoints):
    model = AutoModelForTokenClassification.from_pretrained(checkpoints["bert"])
    kinds = []
    model.classifier.register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    batches = LabelledBatches([np.array([2, 7, 3])], [0], 0)
    list(predicted_tokens(model, batches, takes_rows(model)))
    assert not takes_rows(model) and kinds == [torch.float32]


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_of_the_last_layer_the_first_row_suffices_where_it_is_all_that_is_read(checkpoints, rows, kind, attention):
    model = AutoModelForSequenceClassification.from_pretrained(checkpoints[kind], attn_implementation=attention)
    model.eval()
    assert first_row_suffices(model)
    batches = LabelledBatches(rows, [0] * len(rows), model.config.pad_token_id)
    last = model.base_model.encoder.layer[-1].output
    widths = []
    last.register_forward_hook(lambda module, inputs, output: widths.append(output.shape[1]))
    wanted = predict(model, batches)
    assert set(widths) != {1}
    widths.clear()
    with only_first_row(model):
        found = predict(model, batches)
    assert set(widths) == {1}
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_array_equal(predict(model, batches), wanted)


def test_a_model_that_reads_more_than_the_first_row_is_left_alone(checkpoints):
    tagger = AutoModelForTokenClassification.from_pretrained(checkpoints["bert"]).eval()
    assert not first_row_suffices(tagger)
    other = AutoModelForSequenceClassification.from_pretrained(checkpoints["modernbert"]).eval()
    assert not first_row_suffices(other)
