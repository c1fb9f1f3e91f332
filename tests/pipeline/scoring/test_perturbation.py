"""Prefixes and left-out words, against the model asked one text at a time."""

import numpy as np
import pytest
import torch
from scoring_toys import classifier_of, document, random_documents

from pipeline.scoring import perturbation
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document
from pipeline.scoring.perturbation import occlusion, prefix


@pytest.fixture(scope="module")
def classifier(checkpoints, tokenizer) -> Classifier:
    return Classifier(classifier_of(checkpoints["bert"]), tokenizer)


@torch.no_grad()
def p(classifier: Classifier, ids: list[int], label: int) -> float:
    """Plainly: one text, the whole model."""
    return float(classifier.model(torch.tensor([[2, *ids, 3]])).logits.softmax(-1)[0, label])


def prefix_plainly(classifier: Classifier, one: Document) -> list[float]:
    so_far, before, gains = [], p(classifier, [], one.label), []
    for word in range(len(one.words)):
        so_far += one.ids[one.word_ids == word].tolist()
        now = p(classifier, so_far, one.label)
        gains.append(now - before)
        before = now
    return gains


def occlusion_plainly(classifier: Classifier, one: Document) -> list[float]:
    whole, ids = p(classifier, one.ids.tolist(), one.label), one.ids
    without = [np.where(one.word_ids == word, classifier.mask_id, ids).tolist() for word in range(len(one.words))]
    return [whole - p(classifier, text, one.label) for text in without]


@pytest.mark.parametrize(("score", "plainly"), [(prefix, prefix_plainly), (occlusion, occlusion_plainly)])
def test_importances_are_those_of_a_plain_reference(classifier, monkeypatch, score, plainly):
    monkeypatch.setattr(perturbation, "BLOCK", 7)
    documents = random_documents(20)
    for one, found in zip(documents, score(classifier, documents), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, plainly(classifier, one), atol=2e-6)


@pytest.mark.parametrize("score", [prefix, occlusion])
def test_of_no_words_there_are_no_importances(classifier, score):
    assert score(classifier, []) == []
    assert [x.tolist() for x in score(classifier, [document([], [], 0), document([1], [-1], 0)])] == [[], []]


def test_the_gains_of_all_prefixes_add_up_to_what_the_known_words_say(classifier):
    for one, found in zip(documents := random_documents(10), prefix(classifier, documents), strict=True):
        known = one.ids[one.word_ids >= 0].tolist()
        assert found.sum() == pytest.approx(p(classifier, known, one.label) - p(classifier, [], one.label), abs=1e-5)
