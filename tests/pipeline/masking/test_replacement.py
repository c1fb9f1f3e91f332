"""What stands in the place of a word to predict."""

import numpy as np
from conftest import WORDS

from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary, corrupt


def corrupted(config: MaskingConfig, vocabulary: Vocabulary, ids: np.ndarray, masked: np.ndarray) -> np.ndarray:
    return corrupt(
        config, vocabulary, ids, masked, document_keys([str(i) for i in range(len(ids))]), np.zeros(len(ids), int)
    )


def test_chosen_ids_become_mask_random_or_stay_as_80_10_10():
    ids = np.full((1000, 100), 7)
    vocabulary = Vocabulary(4, np.arange(10, 60, dtype=np.int32))
    found = corrupted(MaskingConfig(), vocabulary, ids, np.ones(ids.shape, bool))
    shares = [(found == 4).mean(), (found >= 10).mean(), (found == 7).mean()]
    assert np.abs(np.array(shares) - [0.8, 0.1, 0.1]).max() < 4.5 * np.sqrt(0.16 / ids.size)


def test_random_tokens_are_drawn_evenly_from_what_may_stand_there():
    ids = np.full((1000, 100), 7)
    vocabulary = Vocabulary(4, np.array([11, 13, 17, 19], dtype=np.int32))
    found = corrupted(MaskingConfig(mask_share=0.0, random_share=1.0), vocabulary, ids, np.ones(ids.shape, bool))
    values, counts = np.unique(found, return_counts=True)
    assert values.tolist() == [11, 13, 17, 19] and abs(counts / ids.size - 0.25).max() < 0.01


def test_ids_that_are_not_chosen_stay_as_written(vocabulary):
    draw = np.random.default_rng(0)
    ids, masked = draw.integers(0, len(WORDS), (50, 20)), draw.random((50, 20)) < 0.5
    written = ids.copy()
    found = corrupted(MaskingConfig(), vocabulary, ids, masked)
    assert (found[~masked] == ids[~masked]).all() and (ids == written).all()


def test_a_row_is_corrupted_the_same_whatever_is_beside_it(vocabulary):
    ids, masked = np.full((20, 30), 7), np.ones((20, 30), bool)
    keys, epochs = document_keys([str(i) for i in range(20)]), np.arange(20)
    together = corrupt(MaskingConfig(), vocabulary, ids, masked, keys, epochs)
    for i in range(20):
        alone = corrupt(MaskingConfig(), vocabulary, ids[[i], : i + 1], masked[[i], : i + 1], keys[[i]], epochs[[i]])
        assert alone[0].tolist() == together[i, : i + 1].tolist()
