"""Masking a batch: ours against transformers' collator, side by side, in one run.

    make bench

Prints medians and their ratio; asserts nothing about time. Ours reads word boundaries that are stored, and masks whole
words to an exact budget; theirs masks single tokens (its whole-word mode is wrong for Chinese).
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
from transformers import DataCollatorForLanguageModeling

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking import MaskingConfig, Vocabulary
from pipeline.tokens import replaceable_ids, train_wordpiece

ROUNDS, BATCH, LENGTH = 30, 32, 128


def medians(work: dict[str, Callable[[int], object]]) -> dict[str, float]:
    """Milliseconds a call, interleaved so that a busy moment of the machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(ROUNDS):
        for name, call in work.items():
            started = time.perf_counter()
            call(number)
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in times.items()}


def test_masking_against_the_collator_of_transformers() -> None:
    alphabet = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
    tokenizer = train_wordpiece(lambda: [alphabet] * 2, 200, LENGTH, lowercase=True)
    generator = np.random.default_rng(0)
    ids = generator.integers(5, len(tokenizer), size=(BATCH, LENGTH)).astype(np.int32)
    words = np.sort(generator.integers(0, LENGTH // 2, size=(BATCH, LENGTH)), axis=1).astype(np.int32)
    offsets = np.arange(BATCH + 1) * LENGTH
    names = np.array([f"document-{i}" for i in range(BATCH)])
    importance = generator.integers(0, 255, BATCH * LENGTH).astype(np.uint8)
    sequences = Sequences(names, offsets, ids.ravel(), words.ravel(), importance)
    ours = MaskedBatches(sequences, MaskingConfig(), Vocabulary(4, replaceable_ids(tokenizer)), 0)
    theirs = DataCollatorForLanguageModeling(tokenizer)
    rows = [{"input_ids": row.tolist()} for row in ids]
    indices = np.arange(BATCH)
    found = medians(
        {
            "keymask, selective, whole words": lambda epoch: ours.batch(indices, np.full(BATCH, epoch)),
            "transformers, single tokens": lambda epoch: theirs(rows),
        }
    )
    print()
    for name, value in found.items():
        print(f"  {name:34} {value:7.2f} ms a batch of {BATCH} x {LENGTH}")
    mine, other = found.values()
    print(f"  ratio {other / mine:.1f}")
