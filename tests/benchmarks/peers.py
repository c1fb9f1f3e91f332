"""What we are measured against: transformers' own `Trainer`, set up as its example `run_mlm.py` does."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate.state import AcceleratorState
from datasets import Dataset
from torch import nn
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from pipeline.training.config import TrainerConfig
from tests.benchmarks.text import Text
from tests.benchmarks.timing import clock


def trainer(
    model: PreTrainedModel, rows: Dataset, corpus: Text, folder: str | Path, device: str = "cpu", **settings: object
) -> Trainer:
    """Trainer and collator with their defaults, and the optimiser's settings of ours; logs nothing."""
    ours = TrainerConfig()
    arguments = TrainingArguments(
        output_dir=str(folder),
        learning_rate=ours.learning_rate,
        weight_decay=ours.weight_decay,
        max_grad_norm=ours.max_grad_norm,
        adam_beta1=ours.adam_betas[0],
        adam_beta2=ours.adam_betas[1],
        adam_epsilon=ours.adam_epsilon,
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=device == "cpu",
        bf16=device == "cuda",
        **{"save_strategy": "no", **settings},
    )
    made = Trainer(model, arguments, DataCollatorForLanguageModeling(corpus.tokenizer), rows)
    made.remove_callback(PrinterCallback)
    return made


@contextmanager
def of_its_own() -> Iterator[None]:
    """Within, what `Trainer` tells Accelerate, which every training of a process shares, is told for a while."""
    told, shared = dict(os.environ), dict(AcceleratorState._shared_state)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(told)
        AcceleratorState._shared_state.clear()
        AcceleratorState._shared_state.update(shared)


class Meter(TrainerCallback):
    """The clock and the tokens read, at the end of every step."""

    def __init__(self, watched: Trainer, device: str = "cpu") -> None:
        self.device, self.tokens, self.stamps = device, torch.zeros((), dtype=torch.long, device=device), []
        watched.add_callback(self)
        watched.model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, module: nn.Module, positional: tuple, inputs: dict[str, torch.Tensor]) -> None:
        self.tokens = self.tokens + inputs["attention_mask"].sum()  # not read here: a GPU would have to wait

    def on_step_end(self, *given: object, **more: object) -> None:
        """Called by the trainer."""
        self.stamps.append((clock(self.device), int(self.tokens)))

    def rate(self) -> float:
        """Tokens a second, from the end of the first step to the end of the last."""
        (started, before), (ended, after) = self.stamps[0], self.stamps[-1]
        return (after - before) / (ended - started)


def chunks(corpus: Text) -> Dataset:
    """Sequences joined and cut every `longest` tokens (`group_texts` of run_mlm)."""
    ids = corpus.sequences.input_ids
    ids = ids[: len(ids) // corpus.longest * corpus.longest].reshape(-1, corpus.longest)
    return _dataset(ids, np.ones_like(ids), corpus)


def lines(corpus: Text) -> Dataset:
    """A row a sequence, padded to `longest` (run_mlm with --line_by_line --pad_to_max_length)."""
    inside = np.arange(corpus.longest) < corpus.lengths[:, None]
    ids = np.full(inside.shape, corpus.tokenizer.pad_token_id)
    ids[inside] = corpus.sequences.input_ids
    return _dataset(ids, inside.astype(np.int64), corpus)


def _dataset(ids: np.ndarray, mask: np.ndarray, corpus: Text) -> Dataset:
    special = np.isin(ids, corpus.tokenizer.all_special_ids).astype(np.int64)
    columns = {"input_ids": ids, "token_type_ids": 0 * ids, "attention_mask": mask, "special_tokens_mask": special}
    return Dataset.from_dict({name: list(values) for name, values in columns.items()})
