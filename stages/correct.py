"""Correct the spelling of any file of texts.

    make correct INPUT=texts.txt        make correct INPUT=raw/*.txt.gz FROM=finetuned-base

reads   finetuned-*/       a model of spelling correction, and task.json, its thresholds
        INPUT              txt, jsonl, csv, tsv or Parquet, gz or zst of these
writes  corrected-<name>/  part-*.parquet or part-*.jsonl: a row a text, as it was, corrected, and every change: where
                           in the text as it was, by what, and how sure both heads are
        rejected/          what could not be read, where it stood and why

Texts are read whole, long ones in windows that overlap. The file is read and written some thousand rows at a time,
each shard once: a killed run goes on where it was.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from torch import nn

from corpora.cards import Card
from corpora.cleaning.rewriting import Rewrites, rewrites_named, told_of
from corpora.keeping import Rejected, in_silence
from corpora.reading.answers import AnswersConfig, card_of, in_chunks, readable, summed_up, write_answers
from corpora.reading.sources import files_of, other_encodings
from corpora.schemas import CORRECTED
from pipeline.finetuning.characters import Characters
from pipeline.finetuning.classifier import open_model, open_task
from pipeline.finetuning.inputs import Reader
from pipeline.finetuning.spelling import HALF, Spelling
from pipeline.finetuning.task import Row
from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED
from pipeline.run.processes import processes, rank, total, wait_for_all, world
from pipeline.run.progress import Progress, say
from pipeline.run.stage import run

FROM_MODEL = -1.0
"""A threshold that is the model's own."""


@dataclass(frozen=True)
class CorrectConfig(AnswersConfig):
    """The section [corrected]: which column is corrected, and how sure a change must be."""

    text: str = "text"
    """Column with the text."""
    encoding: str = field(default="", metadata=ADDED)
    """Of a text file, as a card declares it; empty = UTF-8, or the one that is beyond doubt."""
    wrong: float = FROM_MODEL
    """Probability from which on a character is taken for wrong; -1 = the model's, tuned on dev or one half. Raise it
    against over-correction."""
    likely: float = FROM_MODEL
    """Probability from which on another character is put in its place; -1 = the model's. macbert4csc as released asks
    for 0.7."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("wrong", "likely"):
            if getattr(self, name) != FROM_MODEL and not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)} must lie between 0 and 1, or be -1 for the model's")


def correct(config: CorrectConfig, model: Path, texts: Path, out: Path) -> dict[str, float]:
    """Correct every row; metrics with how many there were and how many could not be read."""
    asked = Asked.of(config, model)
    rejected = Rejected(out / "rejected")
    reject = rejected.of("corrected", str(texts)) if rank() == 0 else in_silence
    line, rows = Progress(None, texts.name), 0
    card = _card(config, texts)
    for told in [*other_encodings(card, ["unlabeled"], Path()), *told_of(asked.rewrites)]:
        say(f"  {told}")
    if asked.left_out:
        say(
            f"! the model learned from rewritten text ({', '.join(asked.left_out)}), and this is read as it stands: "
            "offsets are those of the file. Rewrite the file before, if it needs it"
        )
    for number, chunk in in_chunks(readable(card, reject), config.shard_rows):
        if number % world() == rank():
            write_answers(out / config.name(number), CORRECTED, lambda of=chunk: asked.corrected(of), _rounded)
            rows += len(chunk)
        line.reach(line.done + len(chunk))
    line.close()
    if rank() == 0:
        rejected.flush()
    wait_for_all()
    counted = total({"rows": rows})
    metrics, unread = summed_up(texts, counted["rows"], rejected)
    if unread:
        say(unread)
    return counted | metrics


def _card(config: CorrectConfig, texts: Path) -> Card:
    return card_of(texts, {"text": config.text}, config.encoding)


def sources(config: CorrectConfig, texts: Path) -> list[Path]:
    """The files that are read."""
    return files_of(_card(config, texts), "unlabeled", Path())


@dataclass(frozen=True)
class Asked:
    """A model, how it reads, and what it takes for an error."""

    task: Spelling
    characters: Characters
    model: nn.Module
    rewrites: Rewrites
    """What was done to the texts that the model learned from, and leaves every character in its place."""
    left_out: tuple[str, ...]
    """What does not, by name: offsets would no longer be those of the file."""

    @classmethod
    def of(cls, config: CorrectConfig, folder: Path) -> "Asked":
        """The model in a folder, with the thresholds of the recipe where it has some."""
        task, how = open_task(folder)
        if not isinstance(task, Spelling):
            raise InputError(f"{folder} answers with {task.kind}: run make predict")
        usual = task.thresholds or (HALF, HALF)
        given = (config.wrong, config.likely)
        cuts = tuple(own if cut == FROM_MODEL else cut for cut, own in zip(given, usual, strict=True))
        model = open_model(folder, task, how).to(processes().device)
        reader = Reader(load_tokenizer(folder), how.max_length, how.input)
        asked = rewrites_named(how.rewritten)
        placed = {name: rewrite for name, rewrite in asked.items() if rewrite.each}
        left_out = tuple(name for name in asked if name not in placed)
        return cls(replace(task, thresholds=cuts), Characters(reader), model, placed, left_out)

    def corrected(self, rows: list[Row]) -> list[Row]:
        """The rows with what is corrected in them; offsets are those of the text as it stands in the file."""
        texts = [row["text"] for row in rows]
        batches, _ = self.characters.read([self._read(text) for text in texts])
        lengths = np.array([len(text) for text in texts])
        said = self.task.told(self.task.answers(self.model, batches), lengths)
        return [
            {"place": row["place"], "text": row["text"], **changed(row["text"], one["changes"])}
            for row, one in zip(rows, said, strict=True)
        ]

    def _read(self, text: str) -> str:
        """As the model's own texts were, with as many characters."""
        for rewrite in self.rewrites.values():
            text = rewrite.each(text)
        return text


def changed(text: str, changes: list[Row]) -> Row:
    """A text with these changes, each told of the character that stands there: the model may have read another."""
    made = list(text)
    real = [one | {"written": text[one["offset"]]} for one in changes if text[one["offset"]] != one["corrected"]]
    for one in real:
        made[one["offset"]] = one["corrected"]
    return {"corrected": "".join(made), "changes": real}


def _rounded(row: Row) -> Row:
    """A row as JSON is to hold it."""
    digits = lambda change: change | {name: round(change[name], 4) for name in ("wrong", "likely")}
    return row | {"changes": [digits(change) for change in row["changes"]]}


if __name__ == "__main__":
    run(correct, sources=sources)
