"""Every random number as a function of (seed, epoch, document, position), never of a stream that somebody advances.

A counter-based generator: the counters are mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), whole
arrays at a time. Workers, processes, batch sizes and restarts cannot change a draw, because nothing is remembered.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

CHOOSE, CROSS, CORRUPT, REPLACE, DROPOUT, RANK, ORDER, JOIN = range(1, 9)
CONTROL, CONTROL_CROSS, FALL, SCORE, NOISE, MIX, SEGMENT, SAMPLE, PERMUTE, RESAMPLE = range(9, 19)
"""Streams: draws for different purposes at one position are independent."""
STREAMS = 19
"""One more than the last of them."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_SHIFTS = np.uint64(30), np.uint64(27), np.uint64(31)
_FACTORS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ELEVEN = np.uint64(11)

ROUNDS = 6
"""Of the Feistel network: four make a good permutation of good round functions (Luby and Rackoff 1988)."""


def document_keys(ids: Sequence[str | bytes]) -> np.ndarray:
    """uint64 [B]: a key of each document id, given as text or as its UTF-8."""
    encoded = (name if isinstance(name, bytes) else str(name).encode() for name in ids)
    digests = b"".join(hashlib.blake2b(name, digest_size=8).digest() for name in encoded)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def uniform(seed: int, stream: int, *counters: np.ndarray | int) -> np.ndarray:
    """float64 in [0, 1), one for each element of the counters broadcast against each other."""
    return fraction(bits(seed, stream, *counters))


def bits(seed: int, stream: int, *counters: np.ndarray | int) -> np.ndarray:
    """uint64, one for each element of the counters broadcast against each other."""
    with np.errstate(over="ignore"):  # wrapping is the arithmetic of this generator
        state = _mix(np.asarray(seed).astype(np.uint64) * _GOLDEN + np.uint64(stream))
        for counter in counters:
            state = _mix(state ^ (np.asarray(counter).astype(np.uint64) + _GOLDEN))
    return state


def further(state: np.ndarray, counter: np.ndarray) -> np.ndarray:
    """uint64 [N]: `bits` with one counter more, from what `bits` gave for those before it, both [N].

    What many draws share, such as (seed, stream, key, epoch) of a row, is mixed once.
    """
    return _mix(state ^ (counter.astype(np.uint64) + _GOLDEN))


@lru_cache(maxsize=64)
def streams(seed: int) -> np.ndarray:
    """uint64 [STREAMS, 1]: `bits` of every stream, to be led further."""
    return np.array([[bits(seed, stream)] for stream in range(STREAMS)])


def fraction(drawn: np.ndarray) -> np.ndarray:
    """float64 in [0, 1): the upper 53 bits of each number."""
    return (drawn >> _ELEVEN) * 2.0**-53


def _mix(x: np.ndarray) -> np.ndarray:
    x = x + _GOLDEN
    x ^= x >> _SHIFTS[0]
    x *= _FACTORS[0]
    x ^= x >> _SHIFTS[1]
    x *= _FACTORS[1]
    x ^= x >> _SHIFTS[2]
    return x


def ordered(seed: int, epochs: np.ndarray, places: np.ndarray, count: int) -> np.ndarray:
    """int64 [B]: the sequence that stands at place `places[i]` of the order in which epoch `epochs[i]` visits `count`.

    A permutation that is computed where it is asked for: a Feistel network over the next power of four, walked until
    it lands below `count` (Black and Rogaway 2002). Nothing of the size of the corpus is shuffled or kept.
    """
    half = np.uint64(max(1, -(-int(count - 1).bit_length() // 2)))
    found = _feistel(seed, epochs, np.asarray(places).astype(np.uint64), half)
    while len(outside := np.flatnonzero(found >= count)):
        found[outside] = _feistel(seed, epochs[outside], found[outside], half)
    return found.astype(np.int64)


def _feistel(seed: int, epochs: np.ndarray, places: np.ndarray, half: np.uint64) -> np.ndarray:
    low = (np.uint64(1) << half) - np.uint64(1)
    left, right = places >> half, places & low
    for number in range(ROUNDS):
        left, right = right, left ^ (bits(seed, ORDER, epochs, number, right) & low)
    return (left << half) | right


def visits(seed: int, step: int, batch_size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The global batch of a step: (index, epoch) of each of its sequences, both int64 [batch_size].

    Epochs follow each other without a gap, so every batch is full and every epoch sees each sequence exactly once.
    Addressing is by step: resuming at step N costs the same as starting.
    """
    return visited(seed, np.arange(step * batch_size, (step + 1) * batch_size), count)


def visited(seed: int, places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(index, epoch) of what stands at these places, int64 [B], of all epochs of `count` sequences end to end."""
    epochs, within = np.divmod(places, count)
    return ordered(seed, epochs, within, count), epochs
