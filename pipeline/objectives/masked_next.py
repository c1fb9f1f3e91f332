"""Masked next tokens (MNTP, LLM2Vec, BehnamGhader et al. 2024): what makes an encoder of a decoder.

Attention is opened to both sides, and masked words are predicted, each token from the place before it, where a decoder
has learned to predict it. What is saved opens with both sides seen: its config says `is_causal = false`, which
transformers heeds.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import IGNORE, Around, MaskedBatches, targets_in
from pipeline.models import ModelSize, load_causal_lm
from pipeline.objectives.causal_lm import DecoderLM, new_decoder
from pipeline.objectives.yardstick import over_dev

MASK = "<|mask|>"
"""What a decoder's tokenizer calls its new mask token."""


class ShiftedBatches(Around):
    """Masked batches, what is to be predicted at a token asked for at the one before it."""

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids` corrupted, `attention_mask`, `labels` [B, L]; nothing precedes a first token."""
        batch = self.masked.batch(indices, epochs, elapsed)
        labels = torch.full_like(batch["labels"], IGNORE)
        labels[:, :-1] = batch["labels"][:, 1:]
        return batch | {"labels": labels}


class MaskedNext(DecoderLM):
    """A decoder that sees both sides, and its masked words."""


def opened(model: PreTrainedModel) -> PreTrainedModel:
    """The same decoder, its attention open to both sides; it stays so when saved."""
    model.config.is_causal = False
    return model


def open_both_sides(place: str | Path, seed: int) -> PreTrainedModel:
    """A decoder with its head from a folder or hub name, opened."""
    return opened(load_causal_lm(place))


def new_both_sides(size: ModelSize, vocab_size: int, pad_id: int, seed: int) -> PreTrainedModel:
    """A fresh one; see `new_decoder`."""
    return opened(new_decoder(size, vocab_size, pad_id, seed))


@torch.no_grad()
def add_mask_token(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give a decoder and its tokenizer a mask token, where they have none: it starts as the mean of all embeddings.

    LLM2Vec took a token of the vocabulary (`_`), which text may hold as well.
    """
    if tokenizer.mask_token_id is not None:
        return
    tables = {
        id(table.weight): table.weight for table in (model.get_input_embeddings(), model.get_output_embeddings())
    }
    means = [weight[: len(tokenizer)].mean(0) for weight in tables.values()]
    tokenizer.add_special_tokens({"mask_token": MASK})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    for table, mean in zip((model.get_input_embeddings(), model.get_output_embeddings()), means, strict=False):
        table.weight[tokenizer.mask_token_id] = mean


def measure(objective: MaskedNext, fixed: MaskedBatches) -> dict[str, float]:
    """Mean loss of the dev set's words under masks that are always the same, each from the place before it."""
    count = lambda batch: (float(objective.of_words(batch).detach()), targets_in(batch["labels"]))
    lost, targets = over_dev(ShiftedBatches(fixed), fixed.sequences.id, 2, count)
    return {"loss": lost / max(targets, 1)}
