"""Train one encoder on the task and on others beside it; the task is then fine-tuned from that encoder.

    make multitask                # of base/, with the cards of [corpus] beside
    make multitask INIT=dapt

reads   base/ dapt/ …     the checkpoint to start from
        corpus/task/      train and dev rows of the task
        corpus/beside/    those of the other tasks
writes  multitask/        the encoder and its tokenizer; logs/ with each task's measure on dev

A killed run continues from its last checkpoint with the same command, and ends with the same weights.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corpora.parquet import read_rows
from pipeline.finetuning.inputs import InputConfig, Reader
from pipeline.finetuning.multitask import Mixture, OneHead, SharedModel, Together
from pipeline.finetuning.split import Split
from pipeline.finetuning.task import Task
from pipeline.finetuning.tasks import COLUMNS, task_of
from pipeline.models import load_encoder, load_tokenizer, model_card, save
from pipeline.run.errors import InputError
from pipeline.run.key import keyed
from pipeline.run.processes import processes, rank
from pipeline.run.progress import say
from pipeline.run.stage import run
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

PARTS = ("train", "dev")


@dataclass(frozen=True)
class MultitaskConfig:
    """How several tasks are learned at once."""

    max_length: int = 128
    """Longest input in ids."""
    temperature: float = 1.0
    """A task has steps in proportion to its rows ** (1 / temperature): 1 = by size (Liu et al. 2019), 5 is nearly
    even. Raise it where a small task would hardly be seen."""
    input: InputConfig = field(default_factory=InputConfig)
    """What is read of a row, of every task."""
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=5, batch_size=32, learning_rate=5e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999)
        )
    )
    """Length and pace: 5 passes over all rows at 5e-5, as in Liu et al. (2019)."""

    def __post_init__(self) -> None:
        if self.temperature < 1:
            raise ValueError(f"temperature = {self.temperature} must be at least 1, which is by size")
        if self.input.long == "windows":
            raise ValueError("input.long = windows asks a model several times: choose head, tail or head_tail")


@dataclass(frozen=True)
class Learned:
    """A task and its rows."""

    name: str
    task: Task
    train: Split
    dev: Split

    @classmethod
    def of(cls, folder: Path, reader: Reader) -> "Learned":
        """From a labelled corpus."""
        rows = {part: list(read_rows(folder / part, COLUMNS)) for part in PARTS}
        task = task_of(rows["train"])
        return cls(folder.name, task, *(Split.of(rows[part], reader, task) for part in PARTS))


def train_multitask(
    config: MultitaskConfig, init: Path, task: Path, out: Path, beside: Path | None = None
) -> dict[str, float]:
    """Train the encoder; metrics with each task's share of the steps, and its measure on dev at the end."""
    if beside is None:
        raise InputError("there is no task beside this one: name cards in corpus.beside")
    tokenizer = load_tokenizer(init, config.max_length)
    reader = Reader(tokenizer, config.max_length, config.input)
    folders = [task, *sorted(path for path in beside.iterdir() if path.is_dir())]
    learned = [Learned.of(folder, reader) for folder in folders]
    tasks = [one.task for one in learned]
    mixture = Mixture([one.train.batches for one in learned], [one.name for one in learned], config.temperature)
    say(f"  steps: {', '.join(f'{one.name} {share:.0%}' for one, share in zip(learned, mixture.shares, strict=True))}")
    model = SharedModel(load_encoder(init), tasks, config.trainer.seed).to(processes().device)
    measure = lambda: _measures(model, learned)
    together, companions = Together(model, tasks), [OneHead(model, mixture)]
    trained = train(together, mixture, config.trainer, "multitask", measure, folder=out, companions=companions)
    shares = {f"{one.name}/steps": share for one, share in zip(learned, mixture.shares, strict=True)}
    metrics = {**trained.evaluation, "steps": trained.steps, "tokens": trained.tokens, **shares}
    if rank() == 0:
        text = f"The encoder of `{init.name}`, trained on {', '.join(one.name for one in learned)} at once."
        save(model.encoder, tokenizer, out, model_card("Encoder", init.name, text, metrics | keyed(config.trainer)))
    return metrics


def _measures(model: SharedModel, learned: list[Learned]) -> dict[str, float]:
    """Of every task on its dev rows what counts, and their mean."""
    found = {}
    for one, view in zip(learned, model.views, strict=True):
        name = one.task.metrics[0]
        found[f"{one.name}/{name}"] = one.dev.measure(one.task, one.task.answers(view, one.dev.batches))[name]
    return {"mean": float(np.mean(list(found.values()))), **found}


if __name__ == "__main__":
    run(train_multitask)
