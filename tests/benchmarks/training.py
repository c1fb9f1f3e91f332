"""MLM training beside run_mlm

BERT of four sizes (vocabulary 21,128, dropout 0.1, fp32) learns masked language modelling from sequences of different
lengths, at most 128 tokens. The arms are what a user would run, in their own training loops:

- *transformers, chunks*: `Trainer` and `DataCollatorForLanguageModeling` as the example `run_mlm.py` sets them up by
  default: documents joined and cut every 128 tokens, so that nothing is padded and documents see each other. The peer.
- *transformers, lines*: the same with `--line_by_line --pad_to_max_length`: a document a sequence.
- *Keymask*: `pipeline.training.trainer.train` on whole-word masked sequences, a document a sequence, logs written.

All take the same tokens a step (in micro-batches of about 1,024), AdamW with the same settings, a learning rate of
5e-4, and clip the gradient. Counted are real tokens, special ones included and padding not, from the end of the first
step to the end of the last: start-up is left out, making batches is not.

*Of the limit*: useful FLOPs a second, as a share of the best 2048 × 2048 × 2048 fp32 matrix product measured in the
same rounds. Useful is what the loss depends on: for a token, 6 a weight of the encoder's matrices and 12 × width ×
sequence length a layer for attention; in the last layer keys and values alone, and the rest of it, like the head, for
the 15 % to be predicted. What an arm computes beyond that (padding, a head over all tokens) counts for nothing. The
usual 6 a weight of the whole encoder would give larger shares, most of all to small models.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import Dataset
from transformers import PreTrainedModel

from pipeline.draws import visits
from pipeline.models import ModelSize, new_bert
from pipeline.objectives.methods import MASKED_LM, Method
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train
from tests.benchmarks.peers import Meter, chunks, lines, of_its_own, trainer
from tests.benchmarks.text import VOCABULARY, Text, text
from tests.benchmarks.timing import Found, clock, in_turns, matmul_limit, rates

ROUNDS, TARGETS = 3, 0.15
CHUNKS, LINES, OURS = "transformers, chunks", "transformers, lines", "Keymask"


@dataclass(frozen=True)
class Setup:
    """What is trained, and for how long."""

    layers: int
    width: int
    heads: int
    micro_batches: int
    """In a step."""
    steps: int
    """Measured steps of a round; one before them is not."""
    longest: int = 128
    tokens: int = 1024
    """Of a micro-batch."""
    device: str = "cpu"

    @property
    def size(self) -> ModelSize:
        """Of the model."""
        return ModelSize(hidden_size=self.width, layers=self.layers, heads=self.heads, max_length=self.longest)

    def model(self) -> PreTrainedModel:
        """A fresh model, the same for every arm."""
        return new_bert(self.size, VOCABULARY, pad_id=0, seed=0)

    def flops(self, attended: float) -> float:
        """Useful FLOPs of a token in a sequence of `attended` tokens, forward and backward."""
        square = self.width**2
        layer = 6 * 12 * square + 12 * self.width * attended
        last = 6 * 2 * square + TARGETS * (layer - 6 * 2 * square)
        head = TARGETS * 6 * (square + self.width * VOCABULARY)
        return (self.layers - 1) * layer + last + head


SETUPS = (Setup(2, 128, 2, 4, 2), Setup(4, 256, 4, 4, 1), Setup(4, 512, 8, 2, 1), Setup(12, 768, 12, 1, 1))


def measure(quick: bool) -> Found:
    """A table a size."""
    corpus, found = text(500 if quick else 4000), []
    for setup in SETUPS[:1] if quick else SETUPS:
        found += sized(setup, corpus, 1 if quick else ROUNDS)
    return [f"{len(corpus.lengths):,} sequences; padded to 128 they fill {corpus.fill:.0%}.", *found]


def sized(setup: Setup, corpus: Text, rounds: int, more: dict[str, Callable[[int], float]] | None = None) -> Found:
    """All arms at one size, taking turns."""
    measured = in_turns(arms(setup, corpus) | (more or {}), rounds)
    limit = max(measured.pop("limit"))
    unit = "tokens / CPU s" if setup.device == "cpu" else "tokens / s"
    rows = rates(measured, unit, CHUNKS)
    lengths = corpus.lengths
    for row, (name, values) in zip(rows, measured.items(), strict=True):
        attended = setup.longest if name.startswith(CHUNKS) else float((lengths**2).sum() / lengths.sum())
        row["of the limit"] = f"{statistics.median(values) * setup.flops(attended) / limit:.0%}"
    million = setup.model().num_parameters() / 1e6
    size = f"**{setup.layers} layers × {setup.width}** ({million:.1f} M parameters; {setup.micro_batches} × "
    return [f"{size}{setup.tokens:,} tokens a step; limit {limit / 1e9:,.0f} GFLOP/s)", rows]


def arms(setup: Setup, corpus: Text) -> dict[str, Callable[[int], float]]:
    """Tokens a second of each arm, and the FLOP/s of a matrix product."""
    return {
        "limit": lambda number: matmul_limit(setup.device),
        CHUNKS: partial(transformers_rate, setup, corpus, chunks(corpus), setup.tokens // setup.longest),
        LINES: partial(transformers_rate, setup, corpus, lines(corpus), held_of(setup, corpus)),
        OURS: partial(keymask_rate, setup, corpus),
    }


def held_of(setup: Setup, corpus: Text) -> int:
    """Sequences of a micro-batch."""
    return round(setup.tokens / corpus.lengths.mean())


def step_of(setup: Setup, corpus: Text) -> dict[str, int]:
    """The size of a step, as a trainer's settings."""
    held = held_of(setup, corpus)
    return {"batch_size": held * setup.micro_batches, "per_device_batch_size": held}


def keymask_rate(setup: Setup, corpus: Text, number: int, method: Method = MASKED_LM, **settings: object) -> float:
    """Tokens a second of `train`, from the end of its first step on."""
    batches, stamps, steps = method.batches(corpus.batches("whole_word")), [], 1 + setup.steps
    config = TrainerConfig(steps=steps, evaluations=steps, seed=number, **step_of(setup, corpus), **settings)

    def stamp() -> dict[str, float]:
        """Called as an evaluation, at the end of every step."""
        stamps.append(clock(setup.device))
        return {"clock": stamps[-1]}

    with TemporaryDirectory() as folder:
        model = method.new(replace(setup.size, max_length=setup.longest + method.added), VOCABULARY, 0, 0)
        objective = method.objective(model.to(setup.device))
        trained = train(objective, batches, config, "keymask", stamp, folder=Path(folder))
    first, _ = visits(config.seed, 0, config.batch_size, len(batches))
    return (trained.tokens - int(batches.lengths(first).sum())) / (stamps[-1] - stamps[0])


def transformers_rate(setup: Setup, corpus: Text, rows: Dataset, held: int, number: int, **settings: object) -> float:
    """Tokens a second of `Trainer`, from the end of its first step on."""
    settings |= {"max_steps": 1 + setup.steps, "per_device_train_batch_size": held, "seed": number}
    settings["gradient_accumulation_steps"] = setup.micro_batches
    with TemporaryDirectory() as folder, of_its_own():
        peer = trainer(setup.model(), rows, corpus, folder, setup.device, **settings)
        meter = Meter(peer, setup.device)
        peer.train()
    return meter.rate()
