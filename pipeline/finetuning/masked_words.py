"""A task learned beside masked words of the same text, so that the encoder goes on knowing language."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import IGNORE, LabelledBatches, MaskedBatches, Sequences
from pipeline.finetuning.classifier import encoder_of
from pipeline.finetuning.objective import SECOND, Around
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.objectives.objective import Objective, head_modules
from pipeline.tokens import replaceable_ids


class WithMaskedWords(Around):
    """loss = loss of the task + weight x mean loss of the masked words of a sequence, once for each of its targets.

    So it is a sum over the targets of the task like any other, whatever the number of masked words. `mlm` gives its
    head; the encoder is that of the task, also where the head shares weights with the embeddings.
    """

    def __init__(self, inner: Objective, mlm: PreTrainedModel, weight: float) -> None:
        super().__init__(inner)
        mlm.set_input_embeddings(encoder_of(self.model).get_input_embeddings())
        mlm.tie_weights()
        self.heads, self.weight = nn.ModuleList(head_modules(mlm)), weight

    def forward(self, labels: Tensor, masked_ids: Tensor, masked_labels: Tensor, **inputs: Tensor) -> Tensor:
        """Summed loss; masked_ids and masked_labels [B, L] as `MaskedBeside` makes them."""
        loss = self.inner(labels=labels, **inputs)
        if not self.training:
            return loss
        keys = inputs.get("token_keys")
        self.token_keys.begin(None if keys is None else keys ^ SECOND)
        there = {name: inputs[name] for name in ("attention_mask", "token_type_ids") if name in inputs}
        words = self._words(masked_labels, input_ids=masked_ids, **there)
        tagged = labels.dim() == 2 and not labels.is_floating_point()
        return loss + self.weight * ((labels != IGNORE).sum(1) * words if tagged else words).sum()

    def _words(self, labels: Tensor, **inputs: Tensor) -> Tensor:
        """[B]: mean loss of the masked words of each sequence, 0 where none is masked."""
        masked = labels != IGNORE
        hidden = encoder_of(self.model)(**inputs)[0][masked]
        for head in self.heads:
            hidden = head(hidden)
        losses = cross_entropy(hidden.float(), labels[masked], reduction="none")
        summed = losses.new_zeros(len(masked)).index_add(0, masked.nonzero()[:, 0], losses)
        return summed / masked.sum(1).clamp(min=1)


class MaskedBeside:
    """Labelled batches with `masked_ids` and `masked_labels` beside: the same sequences, masked anew at each visit."""

    def __init__(self, labelled: LabelledBatches, tokenizer: PreTrainedTokenizerBase, masking: MaskingConfig) -> None:
        self.labelled = labelled
        vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
        self.masked = MaskedBatches(
            sequences_of(labelled, tokenizer.all_special_ids), masking, vocabulary, labelled.pad_id
        )

    def __getattr__(self, name: str) -> object:
        return getattr(self.labelled, name)

    def __len__(self) -> int:
        return len(self.labelled)

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """The batch of the task, and the same sequences masked, [B, L]."""
        masked = self.masked.batch(indices, epochs, elapsed)
        beside = {"masked_ids": masked["input_ids"], "masked_labels": masked["labels"]}
        return self.labelled.batch(indices, epochs, elapsed) | beside


def sequences_of(labelled: LabelledBatches, special: Sequence[int], importance: np.ndarray | None = None) -> Sequences:
    """Every token but the special ones a word of its own; importance uint8 [tokens], or all alike."""
    ids = np.concatenate(labelled.input_ids).astype(np.int32)
    offsets = np.cumsum([0, *map(len, labelled.input_ids)])
    places = np.arange(len(ids)) - np.repeat(offsets[:-1], np.diff(offsets))
    words = np.where(np.isin(ids, special), -1, places).astype(np.int32)
    names = np.array(labelled.names(np.arange(len(labelled))), dtype="S")
    importance = np.ones(len(ids), dtype=np.uint8) if importance is None else importance
    return Sequences(names, offsets, ids, words, importance)
