"""Which words to predict.

A function of arrays and of (seed, epoch, document, position): nothing is drawn from a stream, so the same sequence is
masked the same way on any machine (design.md 8).

Policies: `random` (BERT, Devlin et al. 2019: single tokens), `whole_word` (all tokens of a word or none), `selective`
(Train No Evil, Gu et al. 2020: words the tagger calls important). Where we leave the papers: a budget is hit by every
policy to within one unit (`fill = none` leaves it where the tagger sees fewer, as Train No Evil does), and choice and
corruption are drawn again at each visit (Train No Evil freezes one draw).
"""

import numpy as np

from pipeline.draws import CHOOSE, CONTROL, CONTROL_CROSS, CROSS, RANK, fraction
from pipeline.masking.config import MaskingConfig
from pipeline.masking.rows import Rows, before, lined_up, sums
from pipeline.masking.units import Units

NOBODY = np.zeros(0, dtype=np.int64)
OTHERS = np.uint64(1 << 52)
"""Ranks from here on are those of units that are not ahead."""


def choose(
    config: MaskingConfig, word_ids: np.ndarray, importance: np.ndarray, keys: np.ndarray, epochs: np.ndarray
) -> np.ndarray:
    """bool [B, L]: the tokens to predict.

    word_ids int [B, L], -1 where nothing may be chosen; importance uint8 [B, L], 0 for a word that is never chosen
    (a row of zeros only was not scored: all its words may be); keys uint64 [B] and epochs int [B] say which visit of
    which sequence each row is. Units are taken while they fit into `mask_rate` x tokens; the one that would cross the
    budget is taken with the probability that makes the expected number exact. A row with any eligible word gets at
    least one.
    """
    rows = Rows.padded(word_ids.shape, keys, epochs, config.seed)
    return chosen(config, rows, word_ids.ravel(), importance.ravel()).reshape(word_ids.shape)


def chosen(config: MaskingConfig, rows: Rows, word_ids: np.ndarray, importance: np.ndarray) -> np.ndarray:
    """bool [T]: `choose` for columns [T] that lie flat."""
    units = Units.of(config, rows, word_ids, importance)
    masked = np.zeros(len(word_ids), dtype=bool)
    if len(units):
        masked[units.tokens_of(_taken(config, rows, units))] = True
    return masked


def _taken(config: MaskingConfig, rows: Rows, units: Units) -> np.ndarray:
    """int64 [N]: the units to predict."""
    budget = config.mask_rate * units.tokens
    if config.policy != "selective":
        return _filled(rows, units, budget, NOBODY)
    ahead = _ahead(config, rows, units, budget * config.selective_share)
    if config.fill == "none":
        spent = sums(units.row[ahead], units.length[ahead], len(rows))
        budget = np.minimum(budget, spent + (1 - config.selective_share) * budget)
    taken = _filled(rows, units, budget, ahead)
    if not config.control:
        return taken
    budget = sums(units.row[taken], units.length[taken], len(rows))
    return _filled(rows, units, budget, NOBODY, CONTROL, CONTROL_CROSS)


def _ahead(config: MaskingConfig, rows: Rows, units: Units, budget: np.ndarray) -> np.ndarray:
    """int64 [N]: the important units that come before all others, in order: those that begin within the budget [B]."""
    able = np.flatnonzero(units.importance >= (1 if config.select == "sample" else config.threshold))
    drawn = rows.draw(RANK, units.row[able], units.first[able])
    able = able[lined_up(units.row[able], _rank(config, units.importance[able], drawn), len(rows))]
    row = units.row[able]
    return able[before(row, units.length[able], len(rows)) < budget[row]]


def _rank(config: MaskingConfig, importance: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """uint64 [N] of 53 bits: the smaller, the earlier.

    Sampling is a race: of exponential times with rates w the smallest is that of i with probability w_i / sum of w,
    the Gumbel top-k of log w (Efraimidis and Spirakis 2006). Positive floats stand in the order of their bits.
    """
    if config.select == "threshold":
        return drawn >> np.uint64(11)
    if config.select == "top":  # the most important first, equals in random order
        return (255 - importance).astype(np.uint64) << np.uint64(45) | drawn >> np.uint64(19)
    rate = (importance / 255) ** (1 / config.temperature)
    return (-np.log1p(-fraction(drawn)) / rate).view(np.uint64) >> np.uint64(10)


def _filled(
    rows: Rows, units: Units, budget: np.ndarray, ahead: np.ndarray, choose: int = CHOOSE, cross: int = CROSS
) -> np.ndarray:
    """int64 [N]: the units `ahead`, then others at random, as far as the budget [B] goes; at least one of each row."""
    rank = (rows.draw(choose, units.row, units.first) >> np.uint64(12)) | OTHERS
    rank[ahead] = np.arange(len(ahead))
    queue = lined_up(units.row, rank, len(rows))
    length = units.length[queue]
    ready = np.cumsum(length) - length - units.ends[units.row]
    edge = fraction(rows.states[cross])[units.row]
    taken = edge * length < budget[units.row] - ready  # all that fits, and the unit at the edge by chance
    none = np.bincount(units.row[taken], minlength=len(rows)) == 0
    return queue[taken | (ready == 0) & none[units.row]]
