"""A document as one vector: the mean of what an encoder makes of its tokens (Reimers and Gurevych 2019)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.batches import LabelledBatches
from pipeline.models import load_encoder, load_tokenizer
from pipeline.prediction import read_tokens, takes_rows
from pipeline.run.processes import processes
from pipeline.tokens import Frame, Tokens, cut_points, encode, framed

NO_WORDS = np.zeros((0, 2), dtype=np.int64)


class DocumentEncoder:
    """The encoder of a checkpoint and its tokenizer, on the device of this process."""

    def __init__(self, init: Path, max_length: int) -> None:
        self.tokenizer, self.max_length = load_tokenizer(init, max_length), max_length
        self.model = load_encoder(init).to(processes().device)
        self.rows = takes_rows(self.model)

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return self.model.config.hidden_size

    def vectors(self, documents: dict[str, list]) -> np.ndarray:
        """float32 [N, width]: of every document, the mean of the last hidden states of its tokens.

        Nothing is cut off: a document longer than `max_length` is read in pieces, each alone, and the mean is that of
        all their tokens. Special tokens count as others do.
        """
        pieces, owners = self._pieces(documents)
        lengths, sums = np.bincount(owners, [len(piece) for piece in pieces]), np.zeros((owners[-1] + 1, self.width))
        np.add.at(sums, owners, summed(self.model, pieces, self.tokenizer.pad_token_id, self.rows))
        return (sums / lengths[:, None]).astype(np.float32)

    def _pieces(self, documents: dict[str, list]) -> tuple[list[np.ndarray], list[int]]:
        """Ids of sequences between special tokens, and the document of each."""
        frame, pieces, owners = Frame.of(self.tokenizer), [], []
        pairs = zip(documents["text"], documents["text_pair"], strict=True)
        texts = [text if pair is None else f"{text}\n{pair}" for text, pair in pairs]
        for number, whole in enumerate(encode(self.tokenizer, texts, lambda _: NO_WORDS)):
            for start, end in cut_points(whole.word_ids, frame.room(self.max_length)):
                part = Tokens(whole.input_ids[start:end], whole.word_ids[start:end])
                pieces.append(framed(frame, [part]).input_ids)
                owners.append(number)
        return pieces, owners


def mean_pooled(model: PreTrainedModel, sequences: Sequence[np.ndarray], pad_id: int) -> np.ndarray:
    """float32 [N, width]: of every sequence of ids, the mean of its last hidden states, special tokens included."""
    lengths = np.array([len(one) for one in sequences])
    return (summed(model, sequences, pad_id, rows=False) / lengths[:, None]).astype(np.float32)


def summed(model: PreTrainedModel, sequences: Sequence[np.ndarray], pad_id: int, rows: bool) -> np.ndarray:
    """float64 [N, width]: of every sequence, the states of its tokens added up; as `rows` without padding."""
    batches = LabelledBatches(list(sequences), [0] * len(sequences), pad_id)
    found = np.empty((len(sequences), model.config.hidden_size))
    for indices, states in read_tokens(model, batches, rows, lambda out: out.last_hidden_state):
        sums = [part.float().sum(0) for part in states.split([len(sequences[i]) for i in indices])]
        found[indices] = torch.stack(sums).cpu().numpy()
    return found
