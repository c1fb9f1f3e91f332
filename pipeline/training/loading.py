"""What each process reads in each step, made in the background while the step before it is computed.

The sequences of a step are those of `visits`; sorted by length they are dealt out to the processes, so that all have
about the same number of tokens, and each process takes its share in micro-batches that fit into its memory.
"""

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from torch import Tensor

from pipeline.batches import Batches, targets_in
from pipeline.training.dropout import token_keys

Item = TypeVar("Item")

AHEAD = 2
"""Steps that are made ready ahead of the one being computed."""

GIVE_WAY = 1e-4
"""Seconds after which the thread that makes items gives way. Every operation of torch lets go of the interpreter for a
moment; to wait Python's 5 ms for it each time cost an H100 a quarter of its tokens in small micro-batches."""


@dataclass(frozen=True)
class Load:
    """One step of one process."""

    step: int
    indices: list[np.ndarray]
    """The sequences of each micro-batch."""
    micro_batches: list[dict[str, Tensor]]
    """The longest sequences first: what does not fit into memory shows at once."""
    targets: list[int]
    """Targets of each loss in this process's share."""
    tokens: int
    """Tokens of the whole step, without padding, over all processes."""
    elapsed: float
    """Share of the training's tokens read when the middle of this step is reached."""


@dataclass(frozen=True)
class Plan:
    """Which process reads what: everything `load` depends on."""

    batches: Batches
    seed: int
    steps: int
    batch_size: int
    """Sequences of a step over all processes."""
    held: int
    """Sequences of a micro-batch."""
    rank: int = 0
    world: int = 1
    targets: Callable[[dict[str, Tensor]], list[int]] = lambda batch: [targets_in(batch["labels"])]
    """Counts the targets of each loss in a batch (`Objective.targets`)."""

    @property
    def all_tokens(self) -> float:
        """Tokens of the whole training: the mean sequence times how many are read."""
        return self.steps * self.batch_size * self.batches.tokens / len(self.batches)

    def load(self, step: int, tokens_before: int) -> Load:
        """The load of a step, given the tokens of the steps before it: a function, so that a run resumes anywhere."""
        indices, epochs = self.batches.visits(self.seed, step, self.batch_size)
        lengths = self.batches.lengths(indices)
        elapsed = min((tokens_before + int(lengths.sum()) / 2) / self.all_tokens, 1.0)
        mine = np.argsort(-lengths, kind="stable")[self.rank :: self.world]
        share = self._share(indices[mine], epochs[mine], elapsed)
        parts = [indices[mine[i : i + self.held]] for i in range(0, len(mine), self.held)]
        return Load(step, parts, cut(share, self.held), self.targets(share), int(lengths.sum()), elapsed)

    def _share(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float) -> dict[str, Tensor]:
        """At once: masking is faster on more rows."""
        batch = self.batches.batch(indices, epochs, elapsed)
        longest = batch["attention_mask"].shape[1]
        return {**batch, "token_keys": token_keys(self.seed, epochs, self.batches.keys(indices), longest)}

    def loads(self, first: int, tokens_before: int) -> Iterator[Load]:
        """The loads of all steps from `first` on."""
        for step in range(first, self.steps):
            load = self.load(step, tokens_before)
            tokens_before += load.tokens
            yield load


def in_background(items: Iterable[Item], ahead: int = AHEAD) -> Iterator[Item]:
    """The same items, made by a thread up to `ahead` of them in advance; its errors are raised here."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(GIVE_WAY)
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(ahead)
    left = threading.Event()

    def put(item: Item | None, error: BaseException | None) -> None:
        while not left.is_set():
            try:
                return ready.put((item, error), timeout=0.1)
            except queue.Full:
                pass

    def work() -> None:
        try:
            for item in items:
                put(item, None)
                if left.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        left.set()
        sys.setswitchinterval(usual)
        thread.join()  # one that still computes while Python goes down takes the process with it


def halves(batch: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """A micro-batch as two, each as wide as its longest sequence; one of a single sequence stays as it is."""
    return cut(batch, -(-len(batch["labels"]) // 2))


def cut(batch: dict[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    """A batch in parts of `size` sequences, each as wide as the longest of them."""
    parts = [{name: x[i : i + size] for name, x in batch.items()} for i in range(0, len(batch["labels"]), size)]
    return [_trimmed(part) for part in parts]


def _trimmed(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    longest = int(batch["attention_mask"].sum(1).max())
    of_tokens = lambda x: x.dim() > 1 and not x.is_floating_point()  # fractions are of sequences as a whole
    return {name: x[:, :longest].contiguous() if of_tokens(x) else x for name, x in batch.items()}
