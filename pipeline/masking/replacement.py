"""What stands in the place of a word to predict."""

from dataclasses import dataclass

import numpy as np

from pipeline.draws import CORRUPT, REPLACE, uniform
from pipeline.masking.config import MaskingConfig


@dataclass(frozen=True)
class Vocabulary:
    """What a tokenizer offers to put in place of a token."""

    mask_id: int
    replaceable: np.ndarray  # int32: no special token among them


def corrupt(
    config: MaskingConfig,
    vocabulary: Vocabulary,
    input_ids: np.ndarray,
    masked: np.ndarray,
    keys: np.ndarray,
    epochs: np.ndarray,
) -> np.ndarray:
    """int32 [B, L]: ids with the chosen ones replaced: 80 % mask token, 10 % random token, 10 % as written (BERT)."""
    rows, positions = np.nonzero(masked)
    where = (keys[rows], epochs[rows], positions)
    fate = uniform(config.seed, CORRUPT, *where)
    pick = (uniform(config.seed, REPLACE, *where) * len(vocabulary.replaceable)).astype(np.int64)
    kept = input_ids[rows, positions]
    other = np.where(fate < config.mask_share + config.random_share, vocabulary.replaceable[pick], kept)
    corrupted = input_ids.copy()
    corrupted[rows, positions] = np.where(fate < config.mask_share, vocabulary.mask_id, other)
    return corrupted
