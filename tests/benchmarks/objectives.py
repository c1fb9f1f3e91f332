"""What each objective costs beside masked words

A model of 4 layers × 256 (vocabulary 21,128, dropout 0.1, fp32) learns from the same sequences by every objective, in
the one training loop, at the same tokens a step. Objectives take turns; rates are real tokens a second of CPU time, as
in *training*, and the peer is `mlm`.

*FLOPs* are what a token costs beside `mlm`, counted as there: 6 a weight of a matrix it passes, 12 × width × sequence
length a layer for attention, a head only where something is predicted, and 2 instead of 6 where nothing is learned.
*Of its FLOPs* is the rate over what these alone would leave: what lies below 1 is spent elsewhere, on padding, on
kernels that wait for memory, on making batches. `clm-mlm` is its causal part, the costly one.
"""

import statistics
from functools import partial

from pipeline.objectives.causal_lm import ClmConfig
from pipeline.objectives.methods import ObjectiveConfig
from tests.benchmarks.text import VOCABULARY, text
from tests.benchmarks.timing import Found, in_turns, rates
from tests.benchmarks.training import ROUNDS, TARGETS, Setup, keymask_rate

SETUP = Setup(4, 256, 4, 2, 1)
OBJECTIVES = {
    "mlm": ObjectiveConfig(),
    "mlm+sop": ObjectiveConfig("mlm+sop"),
    "sop": ObjectiveConfig("sop"),
    "rtd": ObjectiveConfig("rtd"),
    "clm-mlm": ObjectiveConfig("clm-mlm"),
    "plm": ObjectiveConfig("plm"),
    "clm": ObjectiveConfig("clm"),
    "clm, select = loss": ObjectiveConfig("clm", clm=ClmConfig("loss")),
    "mntp": ObjectiveConfig("mntp"),
}


def measure(quick: bool) -> Found:
    """One table."""
    corpus = text(500 if quick else 4000)
    arms = {name: partial(_rate, config, corpus) for name, config in OBJECTIVES.items()}
    found = in_turns(arms, 1 if quick else ROUNDS)
    attended = float((corpus.lengths**2).sum() / corpus.lengths.sum())
    cost, rows = flops(SETUP, attended), rates(found, "tokens / CPU s", "mlm")
    middle = {name: statistics.median(values) for name, values in found.items()}
    for row, name in zip(rows, OBJECTIVES, strict=True):
        row["FLOPs"] = f"{cost[name] / cost['mlm']:.2f}"
        row["of its FLOPs"] = f"{middle[name] / middle['mlm'] * cost[name] / cost['mlm']:.2f}"
    return [f"{len(corpus.lengths):,} sequences; padded to 128 they fill {corpus.fill:.0%}.", rows]


def _rate(config: ObjectiveConfig, corpus: object, number: int) -> float:
    return keymask_rate(SETUP, corpus, number, config.method)


def flops(setup: Setup, attended: float) -> dict[str, float]:
    """Of a token in a sequence of `attended` tokens, forward and backward, by each objective."""
    width, layers, square = setup.width, setup.layers, setup.width**2
    dense, looking = 6 * 12 * square, 12 * width * attended
    layer, table = dense + looking, 6 * width * VOCABULARY
    mlm, all_layers = setup.flops(attended), layers * layer
    narrow = setup.width // 4  # the generator: its layers, and its head over embeddings as wide as the model's
    generator = layers * (6 * 12 * narrow**2 + 12 * narrow * attended)
    generator += TARGETS * (6 * narrow * width + table)
    stream = 6 * 12 * square + 6 * 2 * square + 2 * looking  # XLNet: distances have keys, and scores of their own
    second = TARGETS * (6 * 10 * square + 2 * looking)
    return {
        "mlm": mlm,
        "mlm+sop": mlm,
        "sop": all_layers,
        "rtd": generator + all_layers + 6 * square,
        "clm-mlm": all_layers + 6 * square + table,
        "plm": layers * (stream + second) + TARGETS * table,
        "clm": all_layers + table,
        "clm, select = loss": all_layers + table * (1 / 3 + ClmConfig.keep),
        "mntp": all_layers + TARGETS * table,
    }
