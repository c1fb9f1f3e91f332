"""A fine-tuned classifier as scorers ask it: probabilities of classes, for ids without special tokens."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import LabelledBatches
from pipeline.finetuning.classifier import open_task
from pipeline.models import load_tokenizer, load_trained
from pipeline.prediction import first_row_suffices, only_first_row, predict
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.scoring.documents import Document
from pipeline.tokens import Frame


class Classifier:
    """The classifier in evaluation, on its device."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.frame = model.eval().to(processes().device), Frame.of(tokenizer)
        self.pad_id, self.mask_id = tokenizer.pad_token_id, tokenizer.mask_token_id
        self.short = first_row_suffices(self.model)

    @classmethod
    def load(cls, folder: Path) -> "Classifier":
        """A finished one, of a label a row and without a head of ours: scorers look into it, and at its classes."""
        task, how = open_task(folder)
        if task.kind != "classes":
            raise InputError(
                f"{folder} answers with {task.kind}, and scorers ask a classifier of one label a row: choose a scorer "
                "that needs none, as in scores.scorer = tfidf"
            )
        if not how.head.is_plain:
            raise InputError(
                f"{folder} has a head of ours, which scorers cannot look into: leave out [finetuned.head]"
            )
        return cls(load_trained(AutoModelForSequenceClassification, folder), load_tokenizer(folder))

    @property
    def classes(self) -> dict[str, int]:
        """Label -> class."""
        return self.model.config.label2id

    def shortened(self) -> AbstractContextManager[None]:
        """Within, nothing is computed in vain where the classifier reads the first token alone."""
        return only_first_row(self.model) if self.short else nullcontext()

    def framed(self, ids: np.ndarray) -> np.ndarray:
        """int64 [L + special tokens]."""
        return np.concatenate([self.frame.before, ids, self.frame.after]).astype(np.int64)

    def probabilities(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """float32 [N, classes] of N texts as ids."""
        rows = [self.framed(text) for text in texts]
        with self.shortened():
            return predict(self.model, LabelledBatches(rows, [0] * len(rows), self.pad_id))

    def __call__(self, texts: Sequence[np.ndarray], classes: np.ndarray) -> np.ndarray:
        """float32 [N]: of one class each; classes int [N]."""
        return self.probabilities(texts)[np.arange(len(texts)), classes]

    def right(self, documents: Sequence[Document]) -> np.ndarray:
        """bool [N]: the label is what is predicted of the whole text."""
        return self._predicted(documents) == np.array([document.label for document in documents])

    def labelled(self, documents: Sequence[Document]) -> list[Document]:
        """The documents, those without a label with the class that is predicted."""
        unknown = [i for i, document in enumerate(documents) if document.label < 0]
        result = list(documents)
        for i, label in zip(unknown, self._predicted([documents[i] for i in unknown]), strict=True):
            result[i] = replace(documents[i], label=int(label))
        return result

    def _predicted(self, documents: Sequence[Document]) -> np.ndarray:
        return self.probabilities([document.ids for document in documents]).argmax(1)
