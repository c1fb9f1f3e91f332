"""The sequential buffer, against its pseudo code."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scoring_toys import document

from pipeline.scoring.buffer import BufferConfig, buffer, buffer_scores
from pipeline.scoring.documents import by_piece

UNITS = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=3), max_size=7)
DOCUMENTS = st.lists(st.tuples(UNITS, st.integers(0, 1)), min_size=1, max_size=6)
CONFIGS = st.builds(BufferConfig, delta=st.floats(0, 0.5), min_gain=st.sampled_from([-1.0, 0.0, 0.1]))


def fake(ids: list[int], label: int) -> float:
    """A classifier that looks at every id and its place: a hash."""
    digest = hashlib.blake2b(bytes([*ids, 255, label]), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**56


def fakes(texts: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    return np.array([fake(text.tolist(), int(label)) for text, label in zip(texts, classes, strict=True)])


def reference(units: list[list[int]], label: int, config: BufferConfig) -> tuple[list[float], list[bool]]:
    """The pseudo code of the paper, word by word, with the gain asked for where the config says so."""
    whole, kept, gains, marks = fake([i for unit in units for i in unit], label), [], [], []
    for unit in units:
        p, p_kept = fake(kept + unit, label), fake(kept, label)
        gains.append(p - p_kept)
        marks.append(whole - p < config.delta and (config.min_gain == -1 or p - p_kept > config.min_gain))
        if not marks[-1]:
            kept = kept + unit
    return gains, marks


def scored(documents, config):
    units = [[np.array(unit, dtype=np.int32) for unit in words] for words, _ in documents]
    return buffer_scores(units, np.array([label for _, label in documents]), fakes, config)


@given(DOCUMENTS, CONFIGS)
def test_scores_are_those_of_a_plain_reference(documents, config):
    for (units, label), found in zip(documents, scored(documents, config), strict=True):
        gains, marks = reference(units, label, config)
        assert found.keyword.tolist() == marks
        np.testing.assert_allclose(found.importance, np.array(gains, dtype=np.float32))


@given(DOCUMENTS, CONFIGS)
def test_a_document_is_scored_the_same_alone(documents, config):
    for one, found in zip(documents, scored(documents, config), strict=True):
        [alone] = scored([one], config)
        assert (
            alone.keyword.tolist() == found.keyword.tolist() and alone.importance.tolist() == found.importance.tolist()
        )


def biased(texts: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
    """A classifier that believes in class 1 before it reads anything; only id 7 makes it surer."""
    return np.array([0.97 if 7 in text else 0.95 for text in texts])


@pytest.mark.parametrize(("min_gain", "keywords"), [(0.0, [False, True, False]), (-1.0, [True, True, True])])
def test_a_word_must_raise_the_probability_unless_the_paper_is_followed(min_gain, keywords):
    units = [[np.array([i], dtype=np.int32) for i in (3, 7, 4)]]
    [found] = buffer_scores(units, np.array([1]), biased, BufferConfig(delta=0.05, min_gain=min_gain))
    assert found.keyword.tolist() == keywords


def test_words_are_handed_over_whole_and_unknown_tokens_never():
    one = document([11, 12, 1, 13], [0, 0, -1, 2], label=1)
    seen = []

    def watched(texts: list[np.ndarray], classes: np.ndarray) -> np.ndarray:
        seen.extend(text.tolist() for text in texts)
        return fakes(texts, classes)

    config = BufferConfig(delta=-1.0)
    [found] = buffer(config, watched, [one])
    assert seen == [[11, 12, 13], [], [11, 12], [11, 12, 13]]
    assert len(found.importance) == 3 and found.importance[1] == 0
    [pieces] = buffer(config, fakes, [by_piece(one)])
    assert len(pieces.importance) == 3 and pieces.importance.all()
