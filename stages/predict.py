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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, TextIO

import numpy as np
from torch import nn

from corpora.cards import Card
from corpora.cleaning import Reject, Rejected, as_read, has_surrogate, in_silence
from corpora.parquet import shard_name, write_shard
from corpora.schemas import predicted_schema
from corpora.sources import documents, files_of
from pipeline.finetuning.classifier import ModelConfig, open_model, open_task
from pipeline.finetuning.inputs import Reader
from pipeline.finetuning.split import batches_of, reader_of
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Row, Task
from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.run.processes import Progress, processes, rank, say, total, wait_for_all, world
from pipeline.run.stage import run

TOKEN = re.compile(r"[\u3400-\u9fff]|[^\s\u3400-\u9fff]+")
"""What stands for a token where a file has none: an ideograph, or what is between blanks."""


@dataclass(frozen=True)
class PredictConfig:
    """The section [predicted]: what the columns of a file mean, and what is written."""

    text: str = "text"
    """Column with the text."""
    text_pair: str = ""
    """Column with the second text of a pair."""
    tokens: str = ""
    """Column with the tokens of a text, for tags; without one, ideographs and what stands between blanks."""
    format: Literal["parquet", "jsonl"] = "parquet"
    """Of the files written."""
    shard_rows: int = 4096
    """Rows a file written, and in memory at a time."""

    def __post_init__(self) -> None:
        if self.shard_rows < 1:
            raise ValueError(f"shard_rows = {self.shard_rows} must be at least 1")


def predict(config: PredictConfig, model: Path, texts: Path, out: Path) -> dict[str, float]:
    """Predict every row; metrics with how many there were and how many could not be read."""
    task, how = open_task(model)
    asked = Asked(config, task, how, load_tokenizer(model), open_model(model, task, how).to(processes().device))
    rejected = Rejected(out / "rejected")
    reject = rejected.of("predicted", str(texts)) if rank() == 0 else in_silence
    rows = _whole(documents(_card(config, texts), "unlabeled", Path(), reject), reject)
    line, counted = Progress(None, texts.name), {"rows": 0}
    for number, chunk in enumerate(_chunks(rows, config.shard_rows)):
        if number % world() == rank():
            asked.write(out / _name(config, number), chunk)
            counted["rows"] += len(chunk)
        line.done += len(chunk) - 1
        line.step()
    line.close()
    if rank() == 0:
        rejected.flush()
    wait_for_all()
    return _told(texts, total(counted), rejected)


def _whole(rows: Iterable[Row], reject: Reject) -> Iterator[Row]:
    """The rows that can be read and written again."""
    for row in rows:
        if any(has_surrogate(row[name]) for name in ("text", "text_pair") if row.get(name)):
            reject(row["place"], "lone_surrogate", row["text"])
        else:
            yield row


def _told(texts: Path, counted: dict[str, float], rejected: Rejected) -> dict[str, float]:
    reasons = rejected.reasons()
    if not counted["rows"]:
        raise InputError(f"no row of {texts} can be read ({', '.join(reasons) or 'it is empty'}): look into it")
    if reasons:
        shown = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        say(f"! {reasons.total()} rows could not be read ({shown}): they are in rejected/, with their places")
    return counted | {f"rejected/{reason}": count for reason, count in reasons.items()}


def _card(config: PredictConfig, texts: Path) -> Card:
    """A card for a file that has none."""
    roles = {"text": config.text, "text_pair": config.text_pair, "tokens": config.tokens}
    fields = {role: column for role, column in roles.items() if column}
    return Card(texts.stem, "", "", "", "", fields, {"unlabeled": (str(texts.absolute()),)})


def sources(config: PredictConfig, texts: Path) -> list[Path]:
    """The files that are read."""
    return files_of(_card(config, texts), "unlabeled", Path())


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


def _name(config: PredictConfig, number: int) -> str:
    return shard_name(number).replace(".parquet", f".{config.format}")


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
        if path.exists():
            return
        if self.config.format == "parquet":
            write_shard(path, predicted_schema(self.task.kind), self.answered(rows), self._names())
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.tmp")
        with open(beside, "w", encoding="utf-8") as file:
            _write_lines(file, self.answered(rows), self.task)
        beside.replace(path)

    def answered(self, rows: list[Row]) -> list[Row]:
        """The rows with what is predicted of them."""
        rows = [self._read(row) for row in rows]
        reader = Reader(self.tokenizer, self.how.max_length, self.how.input)
        counts = np.array([len(row["tokens"] or ()) if isinstance(self.task, Tags) else 1 for row in rows])
        labels = (
            [np.zeros(count, dtype=np.int64) for count in counts] if isinstance(self.task, Tags) else [0] * len(rows)
        )
        batches = batches_of(reader_of(self.task, reader, rows), labels, counts, reader)
        said = self.task.told(self.task.answers(self.model, batches), counts)
        return [row | one for row, one in zip(rows, said, strict=True)]

    def _read(self, row: Row) -> Row:
        """As training rows are read."""
        read = {name: row[name] and as_read(row[name]) for name in ("text", "text_pair") if name in row}
        tokens = row.get("tokens") if row.get("tokens") is not None else TOKEN.findall(read["text"])
        return {
            "place": row["place"],
            "text_pair": None,
            **read,
            "tokens": tokens if isinstance(self.task, Tags) else None,
        }

    def _names(self) -> dict[str, str]:
        return {"names": json.dumps(self.task.names, ensure_ascii=False)}


def _write_lines(file: TextIO, rows: list[Row], task: Task) -> None:
    for row in rows:
        told = {name: value for name, value in row.items() if value is not None}
        if "probabilities" in told:
            values = [round(float(p), 4) for p in told["probabilities"]]
            told["probabilities"] = values if isinstance(task, Tags) else dict(zip(task.names, values, strict=True))
        if "probability" in told:
            told["probability"] = round(float(told["probability"]), 4)
        file.write(json.dumps(told, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run(predict, sources=sources)
