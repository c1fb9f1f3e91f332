"""Every random number as a function of (seed, epoch, document, position), never of a stream that somebody advances.

A counter-based generator: the counters are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), whole
arrays at a time. Workers, processes, batch sizes and restarts cannot change a draw, because nothing is remembered.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

CHOOSE, CROSS, CORRUPT, REPLACE, DROPOUT, RANK = range(1, 7)
"""Streams: draws for different purposes at one position are independent."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def document_keys(ids: Sequence[str]) -> np.ndarray:
    """uint64 [B]: a key of each document id."""
    digests = b"".join(hashlib.blake2b(str(name).encode(), digest_size=8).digest() for name in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def uniform(seed: int, stream: int, *counters: np.ndarray | int) -> np.ndarray:
    """float64 in [0, 1), one for each element of the counters broadcast against each other."""
    return (bits(seed, stream, *counters) >> np.uint64(11)) * 2.0**-53


def bits(seed: int, stream: int, *counters: np.ndarray | int) -> np.ndarray:
    """uint64, one for each element of the counters broadcast against each other."""
    state = _mix(np.asarray(seed).astype(np.uint64) * _GOLDEN + np.uint64(stream))
    for counter in counters:
        state = _mix(state ^ (np.asarray(counter).astype(np.uint64) + _GOLDEN))
    return state


def _mix(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # wrapping is the arithmetic of this generator
        x = np.asarray(x, dtype=np.uint64) + _GOLDEN
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


@lru_cache(maxsize=2)  # a batch may span the end of one epoch and the start of the next
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """int64 [count]: the order in which epoch `epoch` visits `count` sequences."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)


def visits(seed: int, step: int, batch_size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The global batch of a step: (index, epoch) of each of its sequences, both int64 [batch_size].

    Epochs follow each other without a gap, so every batch is full and every epoch sees each sequence exactly once.
    Addressing is by step: resuming at step N costs the same as starting.
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    epochs = places // count
    indices = np.empty_like(places)
    for epoch in np.unique(epochs):
        here = epochs == epoch
        indices[here] = epoch_order(seed, int(epoch), count)[places[here] % count]
    return indices, epochs
