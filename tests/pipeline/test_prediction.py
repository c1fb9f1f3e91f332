"""Probabilities come back in the order asked for, whatever the batches were."""

import numpy as np
import pytest
from conftest import WORDS
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification

from pipeline import prediction
from pipeline.batches import LabelledBatches
from pipeline.prediction import predict, predicted_batches


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
