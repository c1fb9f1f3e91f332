"""Micro-batches as they fit into memory: halved where they do not, the batch and its gradient stay the same."""

import torch
from torch import Tensor

from pipeline.batches import Batches
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.run.progress import say
from pipeline.training.loading import Load, Plan, halves

REHEARSED = 20
"""Steps among which the largest micro-batch is looked for that must fit into memory."""


HELD = 32
"""Sequences of a micro-batch where nobody said how many."""

BUSY = 1 << 16
"""Tokens of a micro-batch on a GPU, likewise: with fewer an H100 waits for its kernels to be launched."""


def suggested(batches: Batches) -> int:
    """Sequences of a micro-batch for this device. In shards nothing can be tried: what surely fits."""
    if processes().device.type == "cpu" or processes().is_fsdp2:
        return HELD
    return max(1, BUSY * len(batches) // batches.tokens)


class Portions:
    """The micro-batches of every step, in halves of halves since memory did not suffice."""

    def __init__(self) -> None:
        self.halved = 0

    def of(self, load: Load) -> list[dict[str, Tensor]]:
        """The micro-batches of a load as they fit."""
        parts = load.micro_batches
        for _ in range(self.halved):
            parts = [half for part in parts for half in halves(part)]
        return parts

    def halve(self, load: Load) -> None:
        """Twice as many micro-batches of half the size from now on."""
        held = max(len(part["labels"]) for part in self.of(load))
        if held == 1:
            raise InputError("out of memory with a single sequence: set gradient_checkpointing, or a lower max_length")
        say(f"! out of memory with {held} sequences: going on with {-(-held // 2)} at a time, the same batch in all")
        self.halved += 1
        torch.cuda.empty_cache()


def heaviest(plan: Plan, first: int) -> Load:
    """The load with the largest micro-batch among the steps from `first` on."""
    steps = range(first, min(first + REHEARSED, plan.steps))
    return max((plan.load(step, 0) for step in steps), key=lambda load: tokens_of(load.micro_batches[0]))


def tokens_of(batch: dict[str, Tensor]) -> int:
    """What a micro-batch costs in memory: its tokens, with padding."""
    return batch["input_ids"].numel()
