"""MLM training on a GPU beside run_mlm

As *training*, with BERT-base (12 layers × 768) in bf16 on one GPU, sequences of at most 512 tokens, 131,072 tokens a
step in two micro-batches, and seconds of the wall. Padded lines take four: two do not fit into 80 GB. The limit is an
8192 × 8192 × 8192 bf16 matrix product. *Best* is `Trainer` with `torch_compile` and four workers that make its
batches; compiling is before the first step that counts.

The last table is a step of ours seen by the profiler: where the GPU's time goes. *Idle* is the share of the wall in
which no kernel runs.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from pipeline.objectives.masked_lm import MaskedLM
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train
from tests.benchmarks.peers import chunks, lines
from tests.benchmarks.text import Text, text
from tests.benchmarks.timing import Found, Rows, clock
from tests.benchmarks.training import (
    CHUNKS,
    LINES,
    OURS,
    ROUNDS,
    Setup,
    held_of,
    keymask_rate,
    sized,
    step_of,
    transformers_rate,
)

BASE = Setup(12, 768, 12, micro_batches=2, steps=6, longest=512, tokens=65_536, device="cuda")
HALVES = replace(BASE, micro_batches=4, tokens=32_768)

BEST, AT_BEST = f"{CHUNKS}, best", {"torch_compile": True, "dataloader_num_workers": 4}
KINDS = {
    "matrix products": ("gemm", "nvjet", "cutlass", "cublas", "splitk"),
    "attention": ("flash", "fmha"),
    "optimiser, clipping": ("adam", "multi_tensor", "lpnorm"),
    "copies": ("memcpy", "memset"),
}
"""Kernels by what is in their names; the first kind that fits."""
ELEMENTWISE = "element by element"
"""All others."""
WARM = 4
"""Steps before the one that counts: compiling, first allocations and the start of the profiler are over."""


def measure(quick: bool) -> Found:
    """Two tables, or a line that says why there are none."""
    if not torch.cuda.is_available():
        return ["There is no GPU on this machine: nothing was measured."]
    torch._dynamo.config.cache_size_limit = 64  # each round compiles a model of its own
    corpus = text(10_000, BASE.longest)
    facts = f"{torch.cuda.get_device_name()}; padded to {BASE.longest} the sequences fill {corpus.fill:.0%}."
    arms = {
        LINES: partial(transformers_rate, HALVES, corpus, lines(corpus), held_of(HALVES, corpus)),
        BEST: partial(transformers_rate, BASE, corpus, chunks(corpus), BASE.tokens // BASE.longest, **AT_BEST),
        f"{OURS}, compiled": partial(keymask_rate, BASE, corpus, compile=True),
    }
    found = sized(BASE, corpus, 1 if quick else ROUNDS, arms)
    return [facts, *found, "Where the time of a step goes:", shares(corpus)]


def shares(corpus: Text) -> Rows:
    """A row a kind of kernel: milliseconds of a step, and share of its time on the wall."""
    columns = {OURS: kernels(corpus), f"{OURS}, compiled": kernels(corpus, compile=True)}
    walls = {name: sum(column.values()) for name, column in columns.items()}
    shown = lambda name, kind: f"{1000 * columns[name][kind]:,.1f} ms, {columns[name][kind] / walls[name]:.0%}"
    return [{"": kind} | {name: shown(name, kind) for name in columns} for kind in [*columns[OURS]]]


def kernels(corpus: Text, **settings: object) -> dict[str, float]:
    """Seconds of each kind of kernel in one step, and of none."""
    config = TrainerConfig(steps=WARM + 1, evaluations=WARM + 1, **step_of(BASE, corpus), **settings)
    watch = profile(activities=[ProfilerActivity.CUDA], schedule=schedule(wait=0, warmup=1, active=1, repeat=1))
    stamps: list[float] = []

    def stamp() -> dict[str, float]:
        """Called as an evaluation, at the end of every step."""
        stamps.append(clock("cuda"))
        if len(stamps) == WARM - 1:
            watch.start()
        elif len(stamps) == WARM:
            watch.step()
            stamps[-1] = clock("cuda")
        return {"clock": stamps[-1]}

    objective = MaskedLM(BASE.model().to("cuda"))
    with TemporaryDirectory() as folder:
        train(objective, corpus.batches("whole_word"), config, "profiled", stamp, folder=Path(folder))
    watch.stop()
    found = dict.fromkeys([*KINDS, ELEMENTWISE], 0.0)
    for event in watch.key_averages():
        found[_kind(event.key)] += event.self_device_time_total / 1e6
    return found | {"idle": max(stamps[-1] - stamps[-2] - sum(found.values()), 0.0)}


def _kind(kernel: str) -> str:
    name = kernel.lower()
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), ELEMENTWISE)
