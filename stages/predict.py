"""Ask a fine-tuned model about any file of texts.

    make predict INPUT=reviews.jsonl        make predict INPUT=raw/*.txt.gz FROM=finetuned-base

reads   finetuned-*/       the model, and task.json, what its answers mean
        INPUT              txt, jsonl, csv, tsv or Parquet, gz or zst of these
writes  predicted-<name>/  part-*.parquet or part-*.jsonl: a row a text, with what is predicted and how likely it is
        rejected/          what could not be read, where it stood and why

The file is read and written some thousand rows at a time, each shard once: a killed run goes on where it was.
"""

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from corpora.cards import Card
from corpora.cleaning.rewriting import Rewrites, rewrites_named, rewritten, told_of
from corpora.keeping import Rejected, as_read, in_silence
from corpora.reading.answers import AnswersConfig, card_of, in_chunks, readable, summed_up, write_answers
from corpora.reading.sources import files_of, other_encodings
from corpora.schemas import predicted_schema
from pipeline.finetuning.classifier import ModelConfig, open_model, open_task
from pipeline.finetuning.inputs import Reader
from pipeline.finetuning.split import batches_of, reader_of
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Row, Task
from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED
from pipeline.run.processes import processes, rank, total, wait_for_all, world
from pipeline.run.progress import Progress, say
from pipeline.run.stage import run

TOKEN = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
"""What stands for a token where a file has none: an ideograph, or what is between blanks."""


@dataclass(frozen=True)
class PredictConfig(AnswersConfig):
    """The section [predicted]: what the columns of a file mean, and what is written."""

    text: str = "text"
    """Column with the text."""
    encoding: str = field(default="", metadata=ADDED)
    """Of a text file, as a card declares it; empty = UTF-8, or the one that is beyond doubt."""
    text_pair: str = ""
    """Column with the second text of a pair."""
    tokens: str = ""
    """Column with the tokens of a text, for tags; without one, ideographs and what stands between blanks."""


def predict(config: PredictConfig, model: Path, texts: Path, out: Path) -> dict[str, float]:
    """Predict every row; metrics with how many there were and how many could not be read."""
    task, how = open_task(model)
    if task.kind == "spelling":
        raise InputError(f"{model} corrects spelling: run make correct")
    asked = Asked(config, task, how, load_tokenizer(model), open_model(model, task, how).to(processes().device))
    rejected = Rejected(out / "rejected")
    reject = rejected.of("predicted", str(texts)) if rank() == 0 else in_silence
    card = _card(config, texts)
    for told in [*other_encodings(card, ["unlabeled"], Path()), *told_of(asked.rewrites)]:
        say(f"  {told}")
    line, counted = Progress(None, texts.name), {"rows": 0}
    for number, chunk in in_chunks(readable(card, reject), config.shard_rows):
        if number % world() == rank():
            asked.write(out / config.name(number), chunk)
            counted["rows"] += len(chunk)
        line.reach(line.done + len(chunk))
    line.close()
    if rank() == 0:
        rejected.flush()
    wait_for_all()
    counted = total(counted)
    metrics, unread = summed_up(texts, counted["rows"], rejected)
    if unread:
        say(unread)
    return counted | metrics


def _card(config: PredictConfig, texts: Path) -> Card:
    roles = {"text": config.text, "text_pair": config.text_pair, "tokens": config.tokens}
    return card_of(texts, roles, config.encoding)


def sources(config: PredictConfig, texts: Path) -> list[Path]:
    """The files that are read."""
    return files_of(_card(config, texts), "unlabeled", Path())


@dataclass(frozen=True)
class Asked:
    """A model, and how its answers are written."""

    config: PredictConfig
    task: Task
    how: ModelConfig
    tokenizer: object
    model: nn.Module

    def write(self, path: Path, rows: list[Row]) -> None:
        """One shard, unless it is there already."""
        names = {"names": json.dumps(self.task.names, ensure_ascii=False)}
        schema = predicted_schema(self.task.kind)
        write_answers(path, schema, lambda: self.answered(rows), self._told, names)

    def answered(self, rows: list[Row]) -> list[Row]:
        """The rows with what is predicted of them."""
        rows = [self._read(row) for row in rewritten(map(self._tokenised, rows), self.rewrites, Counter())]
        reader = Reader(self.tokenizer, self.how.max_length, self.how.input)
        counts = np.array([len(row["tokens"] or ()) if isinstance(self.task, Tags) else 1 for row in rows])
        labels = (
            [np.zeros(count, dtype=np.int64) for count in counts] if isinstance(self.task, Tags) else [0] * len(rows)
        )
        batches = batches_of(reader_of(self.task, reader, rows), labels, counts, reader)
        said = self.task.told(self.task.answers(self.model, batches), counts)
        return [row | one for row, one in zip(rows, said, strict=True)]

    @cached_property
    def rewrites(self) -> Rewrites:
        """What was done to the texts that the model learned from."""
        return rewrites_named(self.how.rewritten)

    def _tokenised(self, row: Row) -> Row:
        """With tokens where tags are asked for, and only there."""
        tokens = row.get("tokens") if row.get("tokens") is not None else TOKEN.findall(as_read(row["text"]))
        return row | {"tokens": tokens if isinstance(self.task, Tags) else None}

    def _read(self, row: Row) -> Row:
        """As training rows are read."""
        read = {name: row[name] and as_read(row[name]) for name in ("text", "text_pair") if name in row}
        return {"place": row["place"], "text_pair": None, **read, "tokens": row["tokens"]}

    def _told(self, row: Row) -> Row:
        """A row as JSON is to hold it."""
        told = {name: value for name, value in row.items() if value is not None}
        if "probabilities" in told:
            values = [round(float(p), 4) for p in told["probabilities"]]
            tagged = isinstance(self.task, Tags)
            told["probabilities"] = values if tagged else dict(zip(self.task.names, values, strict=True))
        if "probability" in told:
            told["probability"] = round(float(told["probability"]), 4)
        return told


if __name__ == "__main__":
    run(predict, sources=sources)
