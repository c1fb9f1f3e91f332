"""The tagger: what it learns from, what it says, how it is measured."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from pipeline import tagging
from pipeline.batches import IGNORE, LabelledBatches
from pipeline.calibration import Calibration
from pipeline.masking.config import IMPORTANT
from pipeline.models import load_token_classifier, save
from pipeline.tagging import (
    LABELS,
    Tagger,
    evaluate_tagger,
    importance_labels,
    scale_of_words,
    tagger_labels,
    word_importance,
)


def test_every_piece_of_a_keyword_is_labelled_and_special_tokens_are_not():
    labels = tagger_labels(np.array([-1, 0, 1, 1, 2, -1]), np.array([False, False, True, True, False, False]))
    assert labels.tolist() == [IGNORE, 0, 1, 1, 0, IGNORE]


@given(st.lists(st.tuples(st.integers(-1, 6), st.floats(0, 1, width=32)), max_size=20))
def test_a_word_is_as_important_as_its_most_probable_piece(tokens):
    words = np.array([word for word, _ in tokens], dtype=np.int32)
    probability = np.array([p for _, p in tokens], dtype=np.float32)
    best = {word: max(p for w, p in tokens if w == word) for word in set(words.tolist())}
    wanted = [0 if word < 0 else round(float(np.float32(best[word]) * 255)) for word in words.tolist()]
    assert word_importance(words, probability).tolist() == wanted


def test_the_tagger_gives_each_token_the_probability_of_its_model(tmp_path, checkpoints, tokenizer):
    model = load_token_classifier(checkpoints["bert"], LABELS, seed=0)
    model.classifier.weight.data *= 50
    save(model, tokenizer, tmp_path, "")
    texts = ["很好吃", "the film is good and unable !", "a"]
    found = Tagger(tmp_path).probabilities([np.array(tokenizer(text)["input_ids"]) for text in texts])
    for text, probability in zip(texts, found, strict=True):
        wanted = model.eval()(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0, :, 1]
        np.testing.assert_allclose(probability, wanted.detach(), atol=1e-5)


def test_a_calibrated_tagger_says_calibrated_probabilities(tmp_path, checkpoints, tokenizer):
    save(load_token_classifier(checkpoints["bert"], LABELS, seed=0), tokenizer, tmp_path, "")
    sequences = [np.array(tokenizer(text)["input_ids"]) for text in ("很好吃", "the film")]
    before = Tagger(tmp_path).probabilities(sequences)
    Calibration(2.0, -1.0).save(tmp_path)
    for found, p in zip(Tagger(tmp_path).probabilities(sequences), before, strict=True):
        np.testing.assert_allclose(found, expit(2 * logit(p) - 1), atol=1e-5)


def test_importances_become_labels_of_which_half_and_more_is_as_frequent_as_keywords():
    draw = np.random.default_rng(0)
    words = [np.array([-1, *np.repeat(np.arange(50), draw.integers(1, 4, 50)), -1]) for _ in range(20)]
    rows = []
    for word_ids in words:
        values = draw.normal(size=51).astype(np.float32)[word_ids]
        rows.append({"word_ids": word_ids, "importance": values, "keyword": (values > 1) & (word_ids >= 0)})
    scale = scale_of_words(rows)
    for row in rows:
        labels = importance_labels(row["word_ids"], row["importance"], scale)
        assert (labels[row["word_ids"] < 0] == IGNORE).all()
        assert ((labels >= IMPORTANT) == row["keyword"]).all() and labels.max() <= 255


def test_the_tagger_is_measured_by_counting_keyword_tokens(monkeypatch):
    labels = [np.array([IGNORE, 1, 0, 1, IGNORE]), np.array([IGNORE, 0, 1, IGNORE])]
    guesses = [[1, 1, 1, 0, 1], [0, 0, 1, 1]]

    def told(model: None, batches: LabelledBatches, rows: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield np.array([1, 0]), np.eye(2)[guesses[1] + guesses[0]]

    monkeypatch.setattr(tagging, "predicted_tokens", told)
    measured = evaluate_tagger(None, LabelledBatches([np.zeros(5), np.zeros(4)], labels, 0))
    assert measured == {
        "precision": pytest.approx(200 / 3),
        "recall": pytest.approx(200 / 3),
        "f1": pytest.approx(200 / 3),
        "average_precision": pytest.approx(100 * (2 / 3 * 2 / 3 + 1 / 3 * 3 / 5)),
    }
