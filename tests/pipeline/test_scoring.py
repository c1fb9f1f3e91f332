"""The sequential buffer, against its pseudo code."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.scoring import BufferConfig, Classifier, buffer_scores
from pipeline.tokens import Frame

UNITS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), max_size=7)
DOCUMENTS = st.lists(st.tuples(UNITS, st.integers(0, 1), st.booleans()), min_size=1, max_size=6)
CONFIGS = st.builds(BufferConfig, delta=st.floats(0, 0.5), min_gain=st.sampled_from([-1.0, 0.0, 0.1]))


def fake(ids: list[int], label: int) -> float:
    """A classifier that looks at every id and its place: a hash."""
    digest = hashlib.blake2b(bytes([*ids, 255, label]), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def fakes(texts: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    return np.array([fake(text.tolist(), int(label)) for text, label in zip(texts, classes, strict=True)])


def reference(units: list[list[int]], label: int, config: BufferConfig) -> tuple[list[float], list[bool]]:
    """The pseudo code of the paper, word by word, with the gain asked for where the config says so."""
    whole, buffer, gains, marks = fake([i for unit in units for i in unit], label), [], [], []
    for unit in units:
        p, p_buffer = fake(buffer + unit, label), fake(buffer, label)
        gains.append(p - p_buffer)
        marks.append(whole - p < config.delta and (config.min_gain == -1 or p - p_buffer > config.min_gain))
        if not marks[-1]:
            buffer = buffer + unit
    return gains, marks


def scored(documents, config):
    units = [[np.array(unit, dtype=np.int32) for unit in document] for document, _, _ in documents]
    classes = np.array([label for _, label, _ in documents])
    return buffer_scores(units, classes, fakes, np.array([right for _, _, right in documents]), config)


@given(DOCUMENTS, CONFIGS)
def test_scores_are_those_of_a_plain_reference(documents, config):
    for (units, label, right), found in zip(documents, scored(documents, config), strict=True):
        if right:
            gains, marks = reference(units, label, config)
            assert found.keyword.tolist() == marks
            np.testing.assert_allclose(found.importance, np.array(gains, dtype=np.float32))


@given(DOCUMENTS, CONFIGS)
def test_a_document_classified_wrongly_is_not_scored(documents, config):
    for (units, _, right), found in zip(documents, scored(documents, config), strict=True):
        assert found.correct == right and len(found.keyword) == len(found.importance) == len(units)
        assert right or not (found.keyword.any() or found.importance.any())


@given(DOCUMENTS, CONFIGS)
def test_a_document_is_scored_the_same_alone(documents, config):
    for document, found in zip(documents, scored(documents, config), strict=True):
        [alone] = scored([document], config)
        assert (
            alone.keyword.tolist() == found.keyword.tolist() and alone.importance.tolist() == found.importance.tolist()
        )


def biased(texts: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    """A classifier that believes in class 1 before it reads anything; only id 7 makes it surer."""
    return np.array([0.97 if 7 in text else 0.95 for text in texts])


@pytest.mark.parametrize(("min_gain", "keywords"), [(0.0, [False, True, False]), (-1.0, [True, True, True])])
def test_a_word_must_raise_the_probability_unless_the_paper_is_followed(min_gain, keywords):
    document = [[np.array([i], dtype=np.int32) for i in (3, 7, 4)]]
    config = BufferConfig(delta=0.05, min_gain=min_gain)
    [found] = buffer_scores(document, np.array([1]), biased, np.array([True]), config)
    assert found.keyword.tolist() == keywords


def test_the_classifier_reads_texts_between_special_tokens(checkpoints, tokenizer):
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(checkpoints["bert"], num_labels=3).eval()
    classify = Classifier(model, Frame.of(tokenizer), tokenizer.pad_token_id)
    texts = ["good film", "", "很好吃 , the film is played"]
    ids = [np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int32) for text in texts]
    wanted = [model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist() for text in texts]
    np.testing.assert_allclose(classify.probabilities(ids), wanted, atol=1e-6)
    np.testing.assert_allclose(
        classify(ids, np.array([2, 0, 1])), [wanted[0][2], wanted[1][0], wanted[2][1]], atol=1e-6
    )
