"""A classifier that reads from left to right: it sees nothing ahead, and learns where the label is decided."""

import numpy as np
import pytest
import torch
from scoring_toys import random_documents, surer, written

from pipeline.models import load_token_classifier
from pipeline.scoring.causal import Causal, CausalClassifier
from pipeline.tokens import Frame
from pipeline.training.config import TrainerConfig

FAMILIES = {"bert": "wordpiece", "roberta": "byte-level trimmed", "modernbert": "byte-level"}


@pytest.fixture(params=FAMILIES)
def classifier(request, checkpoints, families) -> CausalClassifier:
    tokenizer = families[FAMILIES[request.param]]
    model = surer(load_token_classifier(checkpoints[request.param], ["a", "b", "c"], seed=0)).eval()
    return CausalClassifier(model, Frame.of(tokenizer), tokenizer.pad_token_id)


@torch.no_grad()
def p(model: Causal, ids: list[int], label: int) -> float:
    """What it says after the last of these tokens."""
    row = torch.tensor([ids])
    return float(model(row, torch.ones_like(row)).logits.softmax(-1)[0, -1, label])


def test_one_forward_says_what_every_prefix_would_say_alone(classifier):
    frame = list(classifier.frame.before)
    for one, found in zip(documents := random_documents(8), classifier(documents), strict=True):
        said = [p(classifier.model, frame + one.ids[:end].tolist(), one.label) for end in range(len(one.ids) + 1)]
        wanted = [said[places[-1] + 1] - said[places[0]] if len(places) else 0.0 for places in one.pieces]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_it_learns_which_word_decides(checkpoints, tokenizer):
    texts = [(f"the film is {how} , i play", label) for how, label in (("good", 0), ("bad", 1))]
    texts += [(f"a {how} film the i un ##able", label) for how, label in (("good", 0), ("bad", 1))]
    documents = [written(text, label) for text, label in texts]
    model = load_token_classifier(checkpoints["bert"], ["good", "bad"], seed=0)
    classifier = CausalClassifier(model, Frame.of(tokenizer), tokenizer.pad_token_id)
    classifier.learn(documents, TrainerConfig(steps=80, batch_size=4, learning_rate=1e-2))
    for one, found in zip(documents, classifier(documents), strict=True):
        assert one.words[int(found.argmax())] in ("good", "bad") and found.max() > 0.3
