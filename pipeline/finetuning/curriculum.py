"""A curriculum from hard to easy: the words that decide are hidden from the model, ever fewer of them, over and over.

Task-informed anti-curriculum by masking (TIACBM, Jarca et al. 2025), while a classifier is fine-tuned. The share of
hidden tokens falls evenly from `rate` to one token a text in each of `cycles` cycles. Where we leave it: a token's
weight is how surely it is said more in one class than in the others (log-odds, Monroe et al. 2008), counted on the
training rows, instead of a sentiment lexicon or parts of speech; so it is for any language and any set of classes.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from pipeline.batches import LabelledBatches, MaskedBatches
from pipeline.finetuning.masked_words import sequences_of
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.scoring.importance import Scale
from pipeline.scoring.lexicon import log_odds
from pipeline.tokens import replaceable_ids

NEXT_TO_NOTHING = 1e-3
"""The rate at the end of a cycle; a text has one token hidden at least."""

IMPORTANT_SHARE = 0.15
"""Of the tokens, those whose weight is in the upper half of the scale."""


class Curriculum:
    """Labelled batches in which some tokens are hidden, drawn anew at every visit in proportion to their weight."""

    def __init__(
        self, labelled: LabelledBatches, tokenizer: PreTrainedTokenizerBase, rate: float, cycles: int, seed: int
    ) -> None:
        self.labelled, self.cycles = labelled, cycles
        weights = weights_of(labelled.input_ids, labelled.labels, tokenizer.all_special_ids)
        masking = MaskingConfig(
            select="sample", unit="token", fill="none", selective_share=1.0, mask_share=1.0, random_share=0.0,
            mask_rate=rate, mask_rate_schedule="linear", final_mask_rate=NEXT_TO_NOTHING, seed=seed,
        )  # fmt: skip
        vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
        sequences = sequences_of(labelled, tokenizer.all_special_ids, weights)
        self.hidden = MaskedBatches(sequences, masking, vocabulary, labelled.pad_id)

    def __getattr__(self, name: str) -> object:
        return getattr(self.labelled, name)

    def __len__(self) -> int:
        return len(self.labelled)

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """The batch of the task, its tokens hidden as the cycle asks for."""
        hidden = self.hidden.batch(indices, epochs, elapsed * self.cycles % 1)
        return self.labelled.batch(indices, epochs, elapsed) | {"input_ids": hidden["input_ids"]}


def weights_of(rows: Sequence[np.ndarray], labels: Sequence[int], special: Sequence[int]) -> np.ndarray:
    """uint8 [tokens of all rows], 1 to 255: how surely a token speaks for one class."""
    texts = [([str(i) for i in row if i not in special], str(label)) for row, label in zip(rows, labels, strict=True)]
    lexicon = log_odds(texts).weights
    scores = np.array([lexicon.get(str(i), 0.0) for row in rows for i in row], dtype=np.float32)
    return Scale.of(scores, IMPORTANT_SHARE)(scores)
