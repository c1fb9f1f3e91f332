"""What an encoder is worth as it stands, asked while it is pretrained: frozen, in seconds.

- *probe*: a linear classifier on mean-pooled texts of the task, learned from its train rows, asked about its dev rows;
- *shots*: the same dev rows given the class whose mean of a few train rows is nearest;
- *retrieval*: how often the first half of a held-out document of the domain finds its own second half among all
  (R@1, by cosine).

None is the fine-tuned result. They show on the way whether a training still brings something, and what; a checkpoint
can be chosen by them, and a training ended (`[dapt.probe]`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import nn
from transformers import PreTrainedTokenizerBase

from pipeline.batches import Sequences
from pipeline.draws import document_keys
from pipeline.encoding import mean_pooled
from pipeline.run.errors import InputError

LONGEST = 128
"""Ids of a text that are read."""
HALVES, SHORTEST = 512, 16
"""Documents whose halves are looked for at most, and ids they have at least."""

PROBED = ("probe_accuracy", "probe_shots", "retrieval")
"""What is measured."""
Measured = Literal["", "loss", "general_loss", "probe_accuracy", "probe_shots", "retrieval"]
NEEDS = {
    "loss": "dev text",
    "general_loss": "general text (masked.general_documents)",
    "probe_accuracy": "a task with classes",
    "probe_shots": "a task with classes",
    "retrieval": f"dev text of {SHORTEST} ids",
}
"""What is measured only where it is there."""


@dataclass(frozen=True)
class ProbeConfig:
    """Whether and how an encoder is asked while it is pretrained."""

    rows: int = 0
    """Rows of the task's train, and of its dev, that are asked about whenever dev is measured; 0 = none."""
    shots: int = 8
    """Train rows a class, for the nearest mean."""
    choose: Measured = ""
    """The measure by whose best value the weights are chosen; empty = those of the last step."""
    patience: int = 0
    """End the training after so many measurements in a row without a better one of that; 0 = never."""

    def __post_init__(self) -> None:
        for name in ("rows", "patience"):
            if getattr(self, name) < 0:
                raise ValueError(f"probe.{name} = {getattr(self, name)} must not be negative")
        if self.shots < 1:
            raise ValueError(f"probe.shots = {self.shots} must be at least 1")
        if self.choose.startswith(("probe", "retrieval")) and not self.rows:
            raise ValueError(f"probe.choose = {self.choose} asks nothing: set probe.rows, as 500")
        if self.patience and not self.choose:
            raise ValueError(f"probe.patience = {self.patience} waits for nothing: set probe.choose")


@dataclass(frozen=True)
class Labelled:
    """Texts of a task as ids, with their classes."""

    input_ids: Sequence[np.ndarray]
    labels: np.ndarray  # int [N]

    @classmethod
    def of(
        cls, rows: Sequence[dict[str, object]], names: Sequence[str], tokenizer: PreTrainedTokenizerBase, most: int
    ) -> "Labelled":
        """The `most` rows with the smallest keys; those of unknown classes left out."""
        keys = document_keys([str(row["id"]) for row in rows])
        rows = [rows[i] for i in np.argsort(keys)[:most] if rows[i]["label"] in names]
        pairs = [row["text_pair"] or "" for row in rows] if any(row["text_pair"] for row in rows) else None
        texts = [row["text"] for row in rows]
        size = min(LONGEST, tokenizer.model_max_length)
        read = tokenizer(texts, pairs, truncation=True, max_length=size)["input_ids"] if rows else []
        return cls([np.array(one) for one in read], np.array([names.index(row["label"]) for row in rows], dtype=int))


@dataclass(frozen=True)
class Probe:
    """What is asked: the task's rows, and held-out documents of the domain."""

    train: Labelled
    dev: Labelled
    halves: tuple[Sequence[np.ndarray], Sequence[np.ndarray]]
    shots: int
    pad_id: int

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """In percent; of a task without classes `retrieval` alone."""
        pooled = lambda ids: mean_pooled(model.base_model, ids, self.pad_id)
        found = {"retrieval": _found_again(pooled(self.halves[0]), pooled(self.halves[1]))} if self.halves[0] else {}
        if not len(self.dev.labels):
            return found
        train, dev = pooled(self.train.input_ids), pooled(self.dev.input_ids)
        labels = self.train.labels
        told = {"probe_accuracy": _linear(train, labels, dev), "probe_shots": _nearest(train, labels, dev, self.shots)}
        return {name: 100 * float((said == self.dev.labels).mean()) for name, said in told.items()} | found


def _linear(train: np.ndarray, labels: np.ndarray, dev: np.ndarray) -> np.ndarray:
    """int [N]: what a logistic regression on standardised features says of dev."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(train)
    model = LogisticRegression(C=0.1, max_iter=300).fit(scale.transform(train), labels)
    return model.predict(scale.transform(dev))


def _nearest(train: np.ndarray, labels: np.ndarray, dev: np.ndarray, shots: int) -> np.ndarray:
    """int [N]: the class whose first `shots` rows have the nearest mean, by cosine."""
    classes = np.unique(labels)
    means = np.stack([train[labels == one][:shots].mean(0) for one in classes])
    return classes[(_unit(dev) @ _unit(means).T).argmax(1)]


def _found_again(queries: np.ndarray, documents: np.ndarray) -> float:
    """R@1 in percent: row i of the queries belongs to row i of the documents."""
    nearest = (_unit(queries) @ _unit(documents).T).argmax(1)
    return 100 * float((nearest == np.arange(len(queries))).mean())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def probe(
    config: ProbeConfig,
    rows: Callable[[str], Sequence[dict[str, object]]],
    dev: Sequences | None,
    tokenizer: PreTrainedTokenizerBase,
) -> Probe:
    """From the rows of the task's train and dev, and the dev sequences of the domain."""
    train = rows("train")
    names = sorted({row["label"] for row in train if row["label"]})
    read = lambda some: Labelled.of(some, names, tokenizer, config.rows)
    learned = read(train)
    if names and (seen := len(np.unique(learned.labels))) < 2:
        remedy = "ask more of them" if len(names) > 1 else "set probe.rows = 0"
        raise InputError(
            f"probe.rows = {config.rows} asks which class a row has, and the rows of task train that it reads have "
            f"{seen} of {len(names)}: {remedy}"
        )
    return Probe(learned, read(rows("dev")), _halves(dev), config.shots, tokenizer.pad_token_id)


def _halves(dev: Sequences | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The halves of the sequences with the smallest keys, special ids left where they are."""
    if dev is None:
        return [], []
    chosen = np.argsort(document_keys(dev.id))
    offsets = np.asarray(dev.offsets)
    long = [i for i in chosen if offsets[i + 1] - offsets[i] >= SHORTEST][:HALVES]
    whole = [np.asarray(dev.input_ids[offsets[i] : offsets[i + 1]]) for i in long]
    return [one[: len(one) // 2] for one in whole], [one[len(one) // 2 :] for one in whole]
