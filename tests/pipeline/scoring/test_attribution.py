"""Gradients and attention: closed forms, axioms, and the model asked one document at a time."""

import numpy as np
import pytest
import torch
from scoring_toys import classifier_of, random_documents

from pipeline.scoring import attribution
from pipeline.scoring.attribution import attention, gradient, integrated_gradients
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document
from pipeline.scoring.perturbation import occlusion


@pytest.fixture(params=["bert", "roberta", "modernbert"])
def classifier(request, checkpoints, families) -> Classifier:
    family = {"bert": "wordpiece", "roberta": "byte-level trimmed", "modernbert": "byte-level"}[request.param]
    return Classifier(classifier_of(checkpoints[request.param]), families[family])


def masks(classifier: Classifier, one: Document) -> np.ndarray:
    return np.where(one.word_ids >= 0, classifier.mask_id, one.ids)


def test_of_a_small_step_the_gradient_is_what_leaving_the_word_out_costs(classifier):
    """P is linear in a small step: embeddings that hardly differ from the mask's."""
    weights = classifier.model.get_input_embeddings().weight.data
    weights.copy_(weights[classifier.mask_id] + 1e-2 * (weights - weights[classifier.mask_id]))
    documents = random_documents(8)
    for found, wanted in zip(gradient(classifier, documents), occlusion(classifier, documents), strict=True):
        assert np.abs(wanted).max(initial=1e-5) > 1e-6
        np.testing.assert_allclose(found, wanted, atol=0.05 * np.abs(wanted).max(initial=1e-4))


def incompleteness(classifier: Classifier, documents: list[Document]) -> float:
    """How far the importances are from adding up to what all known words together change, as a share of that."""
    labels = np.array([one.label for one in documents])
    texts = [one.ids for one in documents], [masks(classifier, one) for one in documents]
    gap = classifier(texts[0], labels) - classifier(texts[1], labels)
    found = [importance.sum() for importance in integrated_gradients(classifier, documents)]
    return float(np.abs(found - gap).max() / np.abs(gap).max())


def test_integrated_gradients_are_complete_the_more_so_the_more_steps(classifier, monkeypatch):
    documents, left = random_documents(12), []
    for steps in (2, 20, 200):
        monkeypatch.setattr(attribution, "STEPS", steps)
        left.append(incompleteness(classifier, documents))
    assert left[2] < left[1] < left[0] and left[2] < 0.01


@pytest.mark.parametrize("score", [gradient, integrated_gradients, attention])
def test_a_document_is_explained_the_same_alone(classifier, score):
    documents = random_documents(9)
    for one, found in zip(documents, score(classifier, documents), strict=True):
        assert found.shape == (len(one.words),) and found.dtype == np.float32
        np.testing.assert_allclose(found, score(classifier, [one])[0], atol=1e-5)


@pytest.mark.parametrize("score", [gradient, integrated_gradients, attention])
def test_explaining_leaves_no_trace_in_the_model(classifier, score):
    before = classifier.model.config._attn_implementation
    score(classifier, random_documents(2))
    assert all(p.grad is None for p in classifier.model.parameters())
    assert classifier.model.config._attn_implementation == before


def test_attention_is_what_the_first_token_gives_to_a_words_pieces(checkpoints, tokenizer):
    classifier = Classifier(classifier_of(checkpoints["bert"]), tokenizer)
    documents = random_documents(6)
    classifier.model.set_attn_implementation("eager")
    for one, found in zip(documents, attention(classifier, documents), strict=True):
        ids = torch.tensor([[2, *one.ids.tolist(), 3]])
        last = classifier.model(ids, output_attentions=True).attentions[-1][0, :, 0, 1:-1].mean(0).detach().numpy()
        wanted = [last[one.word_ids == word].sum() for word in range(len(one.words))]
        np.testing.assert_allclose(found, wanted, atol=1e-6)
