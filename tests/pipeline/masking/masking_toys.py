"""Rows of words to mask, and what choosing among them means in plain Python."""

from itertools import groupby
from math import log1p

import numpy as np

from pipeline.draws import CHOOSE, CROSS, JOIN, RANK, document_keys, uniform
from pipeline.masking.config import MaskingConfig
from pipeline.masking.units import LENGTHS


def rows(seed: int, count: int, words: int, longest: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """word_ids, importance, keys, epochs of `count` rows of up to `words` words between two special tokens."""
    draw = np.random.default_rng(seed)
    lists = [
        np.repeat(np.arange(n), draw.integers(1, longest + 1, n))
        for n in draw.integers(words // 2 + 1, words + 1, count)
    ]
    length = max(map(len, lists)) + 2
    word_ids = np.full((count, length), -1)
    for row, word in zip(word_ids, lists, strict=True):
        row[1 : len(word) + 1] = word
    importance = draw.integers(1, 256, (count, words))
    importance = np.where(word_ids >= 0, np.take_along_axis(importance, np.maximum(word_ids, 0), 1), 0).astype(
        np.uint8
    )
    return word_ids, importance, document_keys([f"row {i}" for i in range(count)]), draw.integers(0, 5, count)


def words_of(word_ids: np.ndarray, by_token: bool) -> list[list[int]]:
    """Positions of each word of a row, or of each token."""
    inside = [place for place, word in enumerate(word_ids.tolist()) if word >= 0]
    if by_token:
        return [[place] for place in inside]
    return [list(places) for _, places in groupby(inside, key=lambda place: word_ids[place])]


def units_of(config: MaskingConfig, word_ids: np.ndarray, importance: np.ndarray, *visit: int) -> list[list[int]]:
    """Positions of what is taken together, without what is never chosen; `visit` is key and epoch."""
    words = words_of(word_ids, config.by_token)
    words = [word for word in words if importance[word].any() or not importance.any()]
    if config.by_token or config.unit == "word":
        return words
    pieces, count = [], 0
    for number, word in enumerate(words):
        apart = number == 0 or words[number - 1][-1] + 1 != word[0]
        if apart or count == 0:
            drawn = uniform(config.seed, JOIN, *visit, word[0])
            pieces.append([])
            count = 1 + sum(drawn >= edge for edge in np.cumsum(LENGTHS[config.unit])[:-1])
        pieces[-1] += word
        count -= 1
    return pieces


def reference(config: MaskingConfig, word_ids: np.ndarray, importance: np.ndarray, *visit: int) -> list[bool]:
    """`choose` for one row; `visit` is key and epoch."""
    budget = config.mask_rate * (word_ids >= 0).sum()
    units = units_of(config, word_ids, importance, *visit)
    least = 1 if config.select == "sample" else config.threshold
    able = [unit for unit in units if config.policy == "selective" and importance[unit].max() >= least]
    first: list[list[int]] = []
    for unit in sorted(able, key=lambda unit: _score(config, int(importance[unit].max()), unit[0], *visit)):
        if sum(map(len, first)) < budget * config.selective_share:
            first.append(unit)
    if config.policy == "selective" and config.fill == "none":
        budget = min(budget, sum(map(len, first)) + (1 - config.selective_share) * budget)
    rest = [unit for unit in units if unit not in first]
    rest.sort(key=lambda unit: uniform(config.seed, CHOOSE, *visit, unit[0]))
    spent, taken, cross = 0, [], uniform(config.seed, CROSS, *visit)
    for unit in first + rest:
        if cross * len(unit) < budget - spent:
            taken.append(unit)
        spent += len(unit)
    places = {place for unit in taken or (first + rest)[:1] for place in unit}
    return [place in places for place in range(len(word_ids))]


def _score(config: MaskingConfig, importance: int, position: int, *visit: int) -> float:
    drawn = float(uniform(config.seed, RANK, *visit, position))
    scores = {
        "top": lambda: drawn - importance,
        "threshold": lambda: drawn,
        "sample": lambda: -log1p(-drawn) / (importance / 255) ** (1 / config.temperature),
    }
    return scores[config.select]()
