"""MLM training on a GPU beside run_mlm

As *training*, with BERT-base (12 layers × 768) in bf16 on one GPU, sequences of at most 512 tokens, 8 micro-batches of
16,384 tokens a step, and seconds of the wall. The limit is an 8192 × 8192 × 8192 bf16 matrix product. *Best* is
`Trainer` with `torch_compile` and four workers that make its batches; compiling is before the first step that counts.

The second table is a step of ours seen by the profiler: where the GPU's time goes. *Idle* is the share of the wall in
which no kernel runs.
"""

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile

from pipeline.objectives import MaskedLM
from pipeline.trainer import TrainerConfig, train
from tests.benchmarks.peers import chunks
from tests.benchmarks.text import Text, text
from tests.benchmarks.timing import Found, Rows, clock
from tests.benchmarks.training import (
    CHUNKS,
    OURS,
    ROUNDS,
    Setup,
    held_of,
    keymask_rate,
    sized,
    transformers_rate,
)

BASE = Setup(12, 768, 12, micro_batches=8, steps=10, longest=512, tokens=16_384, device="cuda")

KINDS = {
    "matrix products": ("gemm", "nvjet", "cutlass", "cublas", "splitk"),
    "attention": ("flash", "fmha"),
    "optimiser, clipping": ("adam", "multi_tensor", "lpnorm"),
    "copies": ("memcpy", "memset"),
}
"""Kernels by what is in their names; the first kind that fits, all others are element by element."""
PROFILED = 3
"""Steps before the one that is profiled: compiling and first allocations are over."""


def measure(quick: bool) -> Found:
    """Two tables, or a line that says why there are none."""
    if not torch.cuda.is_available():
        return ["There is no GPU on this machine: nothing was measured."]
    torch._dynamo.config.cache_size_limit = 64  # each round compiles a model of its own
    corpus, setup = text(10_000, BASE.longest), replace(BASE, steps=2) if quick else BASE
    best = {"torch_compile": True, "dataloader_num_workers": 4}
    more = {
        f"{CHUNKS}, best": partial(
            transformers_rate, setup, corpus, chunks(corpus), setup.tokens // setup.longest, **best
        ),
        f"{OURS}, compiled": partial(keymask_rate, setup, corpus, compile=True),
    }
    facts = f"{torch.cuda.get_device_name()}; padded to {BASE.longest} the sequences fill {corpus.fill:.0%}."
    return [facts, *sized(setup, corpus, 1 if quick else ROUNDS, more), "Where a step's time goes:", shares(corpus)]


def shares(corpus: Text) -> Rows:
    """A row a kind of kernel: milliseconds of a step, and share of its wall time."""
    columns = {name: _profiled(corpus, compiled) for name, compiled in ((OURS, False), (f"{OURS}, compiled", True))}
    kinds = list(dict.fromkeys(kind for column in columns.values() for kind in column))
    return [
        {"": kind}
        | {
            name: f"{1000 * column.get(kind, 0):,.1f} ms, {column.get(kind, 0) / sum(column.values()):.0%}"
            for name, column in columns.items()
        }
        for kind in kinds
    ]


def _profiled(corpus: Text, compiled: bool) -> dict[str, float]:
    """Seconds of each kind of kernel in one step, and of none."""
    held = held_of(BASE, corpus)
    size = {"batch_size": held * BASE.micro_batches, "per_device_batch_size": held}
    config = TrainerConfig(steps=PROFILED + 1, evaluations=PROFILED + 1, compile=compiled, **size)
    watch, started = profile(activities=[ProfilerActivity.CUDA]), []

    def stamp() -> dict[str, float]:
        """Called at the end of every step."""
        now = clock("cuda")
        started.append(now)
        if len(started) == PROFILED:
            watch.start()
            started[-1] = clock("cuda")
        elif len(started) == PROFILED + 1:
            watch.stop()
        return {"clock": now}

    with TemporaryDirectory() as folder:
        train(
            MaskedLM(BASE.model().to("cuda")),
            corpus.batches("whole_word"),
            config,
            "profiled",
            stamp,
            folder=Path(folder),
        )
    found: Counter[str] = Counter()
    for event in watch.key_averages():
        found[_kind(event.key)] += event.self_device_time_total / 1e6
    wall = started[PROFILED] - started[PROFILED - 1]
    return {**dict(found.most_common()), "idle": max(wall - sum(found.values()), 0.0)}


def _kind(kernel: str) -> str:
    name = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "element by element")
