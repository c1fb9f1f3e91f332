"""Texts as vectors: the mean of an encoder's last hidden states over its tokens (Reimers and Gurevych 2019)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.batches import by_length, padded
from pipeline.models import load_encoder, load_tokenizer
from pipeline.prediction import PADDING, TOKEN_BUDGET, evaluating
from pipeline.run.processes import processes
from pipeline.tokens import Frame, Tokens, cut_points, encode

NO_WORDS = np.zeros((0, 2), dtype=np.int64)


@torch.inference_mode()
def mean_pooled(encoder: PreTrainedModel, sequences: Sequence[np.ndarray], pad_id: int) -> np.ndarray:
    """float32 [N, width] of N sequences of ids, special ones included; in batches of like length."""
    found = np.zeros((len(sequences), encoder.config.hidden_size), dtype=np.float32)
    lengths = np.array([len(one) for one in sequences])
    with evaluating(encoder):
        for indices in by_length(lengths, TOKEN_BUDGET, PADDING):
            ids = torch.from_numpy(padded([sequences[i] for i in indices], pad_id)).to(processes().device)
            counts = torch.from_numpy(lengths[indices]).to(ids.device)[:, None]
            inside = torch.arange(ids.shape[1], device=ids.device) < counts
            hidden = encoder(input_ids=ids, attention_mask=inside.long()).last_hidden_state.float()
            found[indices] = ((hidden * inside[..., None]).sum(1) / counts).cpu().numpy()
    return found


class DocumentEncoder:
    """The encoder of a checkpoint and its tokenizer, on the device of this process."""

    def __init__(self, init: Path, max_length: int) -> None:
        self.tokenizer, self.max_length = load_tokenizer(init, max_length), max_length
        self.model = load_encoder(init).to(processes().device)

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
        lengths, sums = np.array([[len(piece)] for piece in pieces]), np.zeros((owners[-1] + 1, self.width))
        np.add.at(sums, owners, lengths * mean_pooled(self.model, pieces, self.tokenizer.pad_token_id))
        return (sums / np.bincount(owners, lengths[:, 0])[:, None]).astype(np.float32)

    def _pieces(self, documents: dict[str, list]) -> tuple[list[np.ndarray], list[int]]:
        """Ids of sequences between special tokens, and the document of each."""
        frame, pieces, owners = Frame.of(self.tokenizer), [], []
        pairs = zip(documents["text"], documents["text_pair"], strict=True)
        texts = [text if pair is None else f"{text}\n{pair}" for text, pair in pairs]
        for number, whole in enumerate(encode(self.tokenizer, texts, lambda _: NO_WORDS)):
            for start, end in cut_points(whole.word_ids, frame.room(self.max_length)):
                part = Tokens(whole.input_ids[start:end], whole.word_ids[start:end])
                pieces.append(frame.around(part).input_ids)
                owners.append(number)
        return pieces, owners
