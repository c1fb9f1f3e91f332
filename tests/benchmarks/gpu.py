"""MLM training on a GPU beside run_mlm

As *training*, with BERT-base (12 layers × 768) in bf16 on one GPU, sequences of at most 512 tokens, 8 micro-batches of
16,384 tokens a step, and seconds of the wall. The limit is an 8192 × 8192 × 8192 bf16 matrix product.
"""

from dataclasses import replace

import torch

from tests.benchmarks.text import text
from tests.benchmarks.timing import Found
from tests.benchmarks.training import ROUNDS, Setup, sized

BASE = Setup(12, 768, 12, micro_batches=8, steps=10, longest=512, tokens=16_384, device="cuda")


def measure(quick: bool) -> Found:
    """A table, or a line that says why there is none."""
    if not torch.cuda.is_available():
        return ["There is no GPU on this machine: nothing was measured."]
    corpus = text(10_000, BASE.longest)
    facts = f"{torch.cuda.get_device_name()}; padded to {BASE.longest} the sequences fill {corpus.fill:.0%}."
    return [facts, *sized(replace(BASE, steps=2) if quick else BASE, corpus, 1 if quick else ROUNDS)]
