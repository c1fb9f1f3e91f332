"""Which words to predict.

A function of arrays and of (seed, epoch, document, position): nothing is drawn from a stream, so the same sequence is
masked the same way on any machine (design.md 8).

Policies: `random` (BERT, Devlin et al. 2019: single tokens), `whole_word` (all tokens of a word or none), `selective`
(Train No Evil, Gu et al. 2020: words the tagger calls important). Where we leave the papers: a budget is hit by every
policy to within one word (Train No Evil masks fewer where the tagger sees fewer), and choice and corruption are drawn
again at each visit (Train No Evil freezes one draw).
"""

from dataclasses import dataclass

import numpy as np

from pipeline.draws import CHOOSE, CROSS, RANK, uniform
from pipeline.masking.config import IMPORTANT, MaskingConfig


def choose(
    config: MaskingConfig, word_ids: np.ndarray, importance: np.ndarray, keys: np.ndarray, epochs: np.ndarray
) -> np.ndarray:
    """bool [B, L]: the tokens to predict.

    word_ids int [B, L], -1 where nothing may be chosen; importance uint8 [B, L]; keys uint64 [B] and epochs int [B]
    say which visit of which sequence each row is. Whole words are taken while they fit into `mask_rate` x tokens; the
    word that would cross the budget is taken with the probability that makes the expected number exact. A row with
    any word gets at least one.
    """
    units = _Units.of(word_ids, importance, by_token=config.policy == "random")
    if units.count == 0:
        return np.zeros(word_ids.shape, dtype=bool)
    budget = (config.mask_rate * units.tokens_of_row)[units.row]
    where = (keys[units.row], epochs[units.row], units.first)
    priority = uniform(config.seed, CHOOSE, *where)
    if config.policy == "selective":  # the most important word first, equals in random order
        ranked = uniform(config.seed, RANK, *where) - units.importance  # not by `priority`: it draws the rest fairly
        before = units.tokens_before(np.where(units.importance >= IMPORTANT, ranked, np.inf))
        ahead = (units.importance >= IMPORTANT) & (before < budget * config.selective_share)
        priority = np.where(ahead, ranked, priority)
    before = units.tokens_before(priority)
    cross = uniform(config.seed, CROSS, keys, epochs)[units.row]
    taken = cross * units.length < budget - before  # all that fits, and the word at the edge by chance
    taken |= (before == 0) & units.none_of_row(taken)
    return units.to_tokens(taken)


@dataclass(frozen=True)
class _Units:
    """The words of a batch side by side, row after row: what `choose` chooses among."""

    row: np.ndarray  # [U] row of each unit
    first: np.ndarray  # [U] position of its first token
    length: np.ndarray  # [U] number of its tokens
    importance: np.ndarray  # [U] of its most important token
    tokens_of_row: np.ndarray  # [B] tokens that belong to a unit
    member: np.ndarray  # [B, L] unit of each token, -1 for none

    @classmethod
    def of(cls, word_ids: np.ndarray, importance: np.ndarray, by_token: bool) -> "_Units":
        rows, positions = np.nonzero(word_ids >= 0)
        words = positions if by_token else word_ids[rows, positions]
        starts = np.flatnonzero(_changes(rows) | _changes(words))
        member = np.full(word_ids.shape, -1, dtype=np.int64)
        unit_of_token = np.zeros(len(rows), dtype=np.int64)
        unit_of_token[starts] = 1
        member[rows, positions] = np.cumsum(unit_of_token) - 1
        return cls(
            row=rows[starts],
            first=positions[starts],
            length=np.diff(starts, append=len(rows)),
            importance=np.maximum.reduceat(importance[rows, positions], starts).astype(np.float64)
            if len(starts)
            else np.zeros(0),
            tokens_of_row=np.bincount(rows, minlength=len(word_ids)),
            member=member,
        )

    @property
    def count(self) -> int:
        return len(self.row)

    def tokens_before(self, priority: np.ndarray) -> np.ndarray:
        """[U]: tokens of the units of the same row that have a smaller priority."""
        order = np.lexsort((priority, self.row))
        length, row = self.length[order], self.row[order]
        before = np.cumsum(length) - length
        starts = np.flatnonzero(_changes(row))
        result = np.empty(self.count, dtype=np.int64)
        result[order] = before - np.repeat(before[starts], np.diff(starts, append=len(row)))
        return result

    def none_of_row(self, taken: np.ndarray) -> np.ndarray:
        """bool [U]: nothing in the unit's row was taken."""
        return (np.bincount(self.row[taken], minlength=len(self.tokens_of_row)) == 0)[self.row]

    def to_tokens(self, taken: np.ndarray) -> np.ndarray:
        return np.where(self.member >= 0, taken[self.member], False)


def _changes(values: np.ndarray) -> np.ndarray:
    """bool: each value is another than the one before it; the first one is."""
    changes = np.ones(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=changes[1:])
    return changes
