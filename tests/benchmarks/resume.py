"""start-up and resuming

How long it takes until something is learned, at the start and after a kill. The model is a BERT of 2 layers × 128, a
step has 8 sequences. Loading libraries and building the model are left out.

First table: CPU seconds from the call of the training to the end of its first step, fresh and continuing from a
checkpoint at step 10. Second table: CPU time to make the first batch (32 of 100,000 sequences, 3,125 batches an
epoch), when so many steps have been done. Ours are addressed by step; `Trainer` draws the order of the epoch and steps
over the indices of the batches done, or, over a stream (one long enough), reads and collates every batch again and
throws it away.
"""

import statistics
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from accelerate import skip_first_batches
from datasets import Dataset, IterableDataset
from transformers import PreTrainedModel

from pipeline.batches import MaskedBatches
from pipeline.draws import visits
from pipeline.models import ModelSize, new_bert
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train
from tests.benchmarks.peers import Meter, lines, trainer
from tests.benchmarks.text import VOCABULARY, Text, text
from tests.benchmarks.timing import Found, Rows, cpu_seconds, duration, in_turns, spread

ROUNDS, HELD, SAVED = 5, 8, 10
SEQUENCES, BATCH = 100_000, 32
DONE = (0, 10, 3_100, 1_003_100)
"""Steps done; the last two are both 25 batches before the end of an epoch."""

SKIPPED = 500
"""Batches of a stream that are really skipped; the time of more is computed from it."""

PEER, OURS = "Trainer", "Keymask"


class Killed(Exception):
    """As good as a power cut."""


def measure(quick: bool) -> Found:
    """Two tables: the first step of a training, and the first batch alone."""
    rounds = 1 if quick else ROUNDS
    corpus = text(SEQUENCES)
    each, rows = one_of_a_stream(corpus, rounds), first_batch(corpus, rounds)
    for row, done in zip(rows, DONE, strict=True):
        row["Trainer, stream"] = duration(each * (done + 1)) + (" (computed)" if done > SKIPPED else "")
    return [first_step(text(500), rounds), f"A batch of a stream takes {duration(each)} to skip.", rows]


def first_step(corpus: Text, rounds: int) -> Rows:
    """Seconds to the end of the first step: of a fresh run, and of one that was killed after its checkpoint."""
    rows = lines(corpus)
    with TemporaryDirectory() as folder:
        place = lambda name, number: Path(folder) / f"{name}-{number}"
        found = in_turns(
            {
                f"{PEER}, fresh": lambda n: peer_step(corpus, rows, place(PEER, n)),
                f"{PEER}, resumed": lambda n: peer_step(corpus, rows, place(PEER, n), f"checkpoint-{SAVED}"),
                f"{OURS}, fresh": lambda n: keymask_step(corpus, place(OURS, n), SAVED + 1),
                f"{OURS}, resumed": lambda n: keymask_step(corpus, place(OURS, n), 1),
            },
            rounds,
        )
    return [
        {"": name, "CPU s": f"{statistics.median(values):.2f}", "spread": spread(values)}
        for name, values in found.items()
    ]


def keymask_step(corpus: Text, folder: Path, steps: int) -> float:
    """CPU seconds to the end of the first step; the run is killed after so many."""
    config = TrainerConfig(
        steps=SAVED + 2, batch_size=HELD, per_device_batch_size=HELD, evaluations=SAVED + 2, save_steps=SAVED
    )
    bare, ends = model(), []

    def stamp() -> dict[str, float]:
        """Called as an evaluation, at the end of every step."""
        ends.append(time.process_time())
        if len(ends) == steps:
            raise Killed
        return {"clock": ends[-1]}

    started = time.process_time()
    try:
        train(MaskedLM(bare), corpus.batches("whole_word"), config, "keymask", stamp, folder=folder)
    except Killed:
        return ends[0] - started
    raise AssertionError(f"there were no {steps} steps left to do")


def peer_step(corpus: Text, rows: Dataset, folder: Path, checkpoint: str = "") -> float:
    """CPU seconds to the end of the first step of `Trainer`, which leaves a checkpoint as ours does."""
    bare = model()
    settings = {"max_steps": SAVED + 1, "per_device_train_batch_size": HELD}
    started = time.process_time()
    peer = trainer(bare, rows, corpus, folder, save_strategy="steps", save_steps=SAVED, **settings)
    meter = Meter(peer)
    peer.train(resume_from_checkpoint=str(folder / checkpoint) if checkpoint else None)
    return meter.stamps[0][0] - started


def first_batch(corpus: Text, rounds: int) -> Rows:
    """CPU time to make the first batch when so many steps have been done."""
    batches, rows = corpus.batches("whole_word"), Dataset.from_dict({"input_ids": corpus.rows()})
    arms = {}
    for place, done in enumerate(DONE):
        skip = done % (SEQUENCES // BATCH)
        arms[OURS, done] = partial(keymask_batch, batches, done, place)
        arms[PEER, done] = partial(peer_batch, corpus, rows, skip)
    found = in_turns(arms, rounds)
    return [
        {"steps done": f"{done:,}", **{name: duration(statistics.median(found[name, done])) for name in (OURS, PEER)}}
        for done in DONE
    ]


def keymask_batch(batches: MaskedBatches, step: int, place: int, number: int) -> float:
    """CPU seconds for the batch of a step; every call has a seed of its own: no order of an epoch is remembered."""
    started = time.process_time()
    batches.batch(*visits(len(DONE) * number + place, step, BATCH, len(batches)))
    return time.process_time() - started


def peer_batch(corpus: Text, rows: Dataset | IterableDataset, skip: int, seed: int) -> float:
    """CPU seconds to the first batch after `skip` others, the way `Trainer` goes over them when it resumes."""
    with TemporaryDirectory() as folder:
        settings = {"max_steps": skip + 1, "per_device_train_batch_size": BATCH, "seed": seed}
        peer = trainer(model(), rows, corpus, folder, **settings)
    loader = peer.get_train_dataloader()
    return cpu_seconds(lambda: next(iter(skip_first_batches(loader, skip))))


def one_of_a_stream(corpus: Text, rounds: int) -> float:
    """CPU seconds for a batch that is read from a stream and thrown away."""
    some = corpus.rows()[: (SKIPPED + 2) * BATCH]
    rows = Dataset.from_dict({"input_ids": some}).to_iterable_dataset()
    found = in_turns({"": lambda number: peer_batch(corpus, rows, SKIPPED, number)}, rounds)
    return statistics.median(found[""]) / (SKIPPED + 1)


def model() -> PreTrainedModel:
    """A BERT of 2 layers × 128."""
    return new_bert(ModelSize(), VOCABULARY, pad_id=0, seed=0)
