"""What stands in the place of a word to predict: ids and a choice in, ids out.

`mask` (BERT, Devlin et al. 2019) puts the mask token there, `similar` (MacBERT, Cui et al. 2020) a similar word of as
many tokens, `confusion` (Liu et al. 2021) for each token one that sounds or looks like it; each with a share of random
tokens and a share as written. One draw decides over a word, at its first position (over a token, where tokens are
replaced one by one), also inside an n-gram. Where a word has no substitute, random tokens stand in for it, but for no
more than a tenth of a row's targets, as in MacBERT; what is beyond stays as written. All of it is counted.

A generator (replaced-token detection, Clark et al. 2020) plugs in at the same seam: it takes the ids and the choice
that `corrupt` takes, and returns ids; which of them differ from those written is then what there is to detect.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.draws import CORRUPT, FALL, REPLACE, fraction
from pipeline.masking.config import MaskingConfig
from pipeline.masking.rows import Rows, before, lined_up, ranges, steps
from pipeline.masking.substitutes import Substitutes, hashes

FATES = ("replaced", "random", "kept", "fallback", "capped")
"""Of a target: mask token or substitute; random; as written; random, and as written, for want of a substitute."""
REPLACED, RANDOM, KEPT, FALLBACK, CAPPED = range(len(FATES))
FALLBACK_SHARE = 0.1
"""Of a row's targets: so many may be random for want of a substitute (MacBERT)."""


@dataclass(frozen=True)
class Vocabulary:
    """What there is to put in place of a token."""

    mask_id: int
    replaceable: np.ndarray  # int32: no special token among them
    substitutes: Substitutes | None = None  # what replacement = similar and confusion look words up in


def corrupt(
    config: MaskingConfig,
    vocabulary: Vocabulary,
    input_ids: np.ndarray,
    word_ids: np.ndarray,
    masked: np.ndarray,
    keys: np.ndarray,
    epochs: np.ndarray,
) -> np.ndarray:
    """int32 [B, L]: input_ids with those that `choose` chose replaced; all arguments as there, masked bool [B, L]."""
    rows, places = Rows.padded(input_ids.shape, keys, epochs, config.seed), np.flatnonzero(masked)
    corrupted = input_ids.copy()
    corrupted.ravel()[places] = replaced(config, vocabulary, rows, input_ids.ravel(), word_ids.ravel(), places)[0]
    return corrupted


def replaced(
    config: MaskingConfig,
    vocabulary: Vocabulary,
    rows: Rows,
    input_ids: np.ndarray,
    word_ids: np.ndarray,
    places: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What stands at `places` int [M], rising, of columns [T] that lie flat: ids int32 [M], and fates uint8 [M].

    Raises ValueError where the config needs substitutes and the vocabulary has none.
    """
    row, new = rows.of(places), input_ids[places]
    position = places - rows.offsets[row]
    deciding, picking = fraction(rows.draws((CORRUPT, REPLACE), row, position))
    if config.replacement == "mask":
        fate = _fate(config, deciding)
        new[fate == REPLACED] = vocabulary.mask_id
    else:
        new, fate = _substituted(config, vocabulary, rows, row, position, new, word_ids[places], deciding, picking)
    at_random = np.flatnonzero((fate == RANDOM) | (fate == FALLBACK))
    pick = (picking[at_random] * len(vocabulary.replaceable)).astype(np.int64)
    new[at_random] = vocabulary.replaceable[pick]
    return new, fate


def _fate(config: MaskingConfig, deciding: np.ndarray) -> np.ndarray:
    """uint8 [N]: what draws in [0, 1) decide."""
    return (deciding >= config.mask_share).astype(np.uint8) + (deciding >= config.mask_share + config.random_share)


def _substituted(
    config: MaskingConfig,
    vocabulary: Vocabulary,
    rows: Rows,
    row: np.ndarray,
    position: np.ndarray,
    ids: np.ndarray,
    words: np.ndarray,
    deciding: np.ndarray,
    picking: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """`replaced` by substitutes of words, or of tokens for `confusion`; random tokens are yet to be put in."""
    table = vocabulary.substitutes
    if table is None:
        raise ValueError(f"replacement = {config.replacement} needs substitutes, and the vocabulary has none")
    start = _starts(row, words, config.by_token or config.replacement == "confusion")
    length = steps(np.append(start, len(ids)))
    fate = _fate(config, deciding[start])
    entry = np.where(fate == REPLACED, table.find(hashes(ids, start), length), -1)
    lacking = np.flatnonzero((fate == REPLACED) & (entry < 0))
    allowed = _allowed(rows, row[start[lacking]], position[start[lacking]], length[lacking], row)
    fate[lacking] = np.where(allowed, FALLBACK, CAPPED)
    found = np.flatnonzero(entry >= 0)
    ids[ranges(start[found], length[found])] = table.tokens_of(entry[found], picking[start[found]])
    return ids, np.repeat(fate, length)


def _starts(row: np.ndarray, words: np.ndarray, by_token: bool) -> np.ndarray:
    """int64 [N]: where among the targets [M] a word begins."""
    if by_token:
        return np.arange(len(words))
    begins = np.ones(len(words), dtype=bool)
    begins[1:] = (words[1:] != words[:-1]) | (row[1:] != row[:-1])
    return np.flatnonzero(begins)


def _allowed(rows: Rows, row: np.ndarray, position: np.ndarray, length: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """bool [N]: the words without substitute that may be random, chosen at random among those of a row.

    row, position and length are theirs, targets int [M] the row of every target.
    """
    order = lined_up(row, rows.draw(FALL, row, position) >> np.uint64(11), len(rows))
    most = FALLBACK_SHARE * np.bincount(targets, minlength=len(rows))
    allowed = np.zeros(len(row), dtype=bool)
    allowed[order] = before(row, length[order], len(rows)) + length[order] <= most[row]
    return allowed
