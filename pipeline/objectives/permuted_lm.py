"""Permutation language modelling (Yang et al. 2019, XLNet): words predicted one after the other, in a random order.

The words to predict are those that masked language modelling would mask; all others, the special tokens among them,
are seen by every token. Between the words to predict there is an order, a function of (seed, epoch, document,
position): each is predicted from what is seen and from those before it. Nothing is replaced: what a token may not see
is kept from it by attention alone, in two streams, one that knows the token and one that knows only its place.

The paper predicts the last sixth of an order, in spans of one to five words: masked.mask_rate = 0.167, unit = "ngram".
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, XLNetConfig, XLNetLMHeadModel

from pipeline.batches import IGNORE, Around, MaskedBatches, targets_in
from pipeline.draws import PERMUTE
from pipeline.models import ModelSize, load_as, load_config, load_tokenizer
from pipeline.objectives.cross_entropy import linear_cross_entropy
from pipeline.objectives.masked_lm import passing_through
from pipeline.objectives.objective import Objective
from pipeline.objectives.yardstick import over_dev
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.tokens import check_tokenizer
from pipeline.training.unpadding import batch_on_device

SEEN = -1
"""Rank of a token that all others see."""

DISTANCES = 0x9E3779B97F4A7C1
"""Odd; what tells the keys of distances within a sequence apart, for their dropout."""


class PermutedBatches(Around):
    """Sequences as written, their words to predict, and the order of these."""

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels` (the id, or IGNORE) and `ranks` (of targets; else SEEN), [B, L]."""
        visit = self.masked.chosen(indices, epochs, elapsed)
        rows = visit.rows.of(visit.targets)
        draws = visit.rows.draw(PERMUTE, rows, visit.targets - visit.rows.offsets[rows])
        order = np.lexsort((draws, rows))
        labels = np.full(len(visit.input_ids), IGNORE, dtype=np.int32)
        ranks = np.full(len(visit.input_ids), SEEN, dtype=np.int64)
        labels[visit.targets] = visit.written
        ranks[visit.targets[order]] = np.arange(len(order)) - np.searchsorted(rows, rows)  # targets stand row by row
        return visit.tensors(self.masked.pad_id, labels=(labels, IGNORE), ranks=(ranks, SEEN))


class PermutedLM(Objective):
    """The loss of each word to predict, given what stands before it in its sequence's order. Rows are padded."""

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """With `hides` bool [B, L, L] (i may not see j), `slots` [B, P] (places of targets) and `targets` [M]."""
        ranks, masked = batch["ranks"], batch["labels"] != IGNORE
        row, place = masked.nonzero(as_tuple=True)
        slot = (masked.cumsum(1) - 1)[row, place]
        slots = torch.full((len(masked), max(int(masked.sum(1).max()), 1)), -1)
        slots[row, slot] = place
        arranged = {
            "input_ids": batch["input_ids"],
            "attention_mask": batch["attention_mask"],
            "hides": masked[:, None, :] & (ranks[:, :, None] <= ranks[:, None, :]),
            "slots": slots,
            "rows": row * slots.shape[1] + slot,
            "targets": batch["labels"][row, place],
        }
        if "token_keys" in batch:
            arranged["token_keys"] = batch["token_keys"]
        return batch_on_device(arranged, processes().device)

    def forward(self, rows: Tensor, targets: Tensor, **inputs: Tensor) -> Tensor:
        """Summed loss of the targets int64 [M], whose places among the slots are `rows` int64 [M]."""
        decoder = self.model.get_output_embeddings()
        with passing_through(decoder):
            hidden = self.said(**inputs)
        return linear_cross_entropy(hidden.flatten(0, 1)[rows], decoder.weight, decoder.bias, targets)

    def said(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        hides: Tensor,
        slots: Tensor,
        token_keys: Tensor | None = None,
    ) -> Tensor:
        """What the model says at each slot, [B, P, vocabulary]; nothing that means anything at one that is -1."""
        if token_keys is not None:
            self._tell(token_keys, slots)
        there = slots[..., None] == torch.arange(input_ids.shape[1], device=slots.device)  # [B, P, L]
        kind = self.model.dtype
        return self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=torch.zeros_like(input_ids),  # one segment: it changes nothing, and no weight is left out
            perm_mask=hides.to(kind),
            target_mapping=there.to(kind),
            use_mems=False,
        ).logits

    def _tell(self, keys: Tensor, slots: Tensor) -> None:
        """Keys [B, L] as the model holds its tokens: [L, B], [P, B] of targets, heads [B, N, L], distances [2L, B]."""
        length, heads = keys.shape[1], torch.arange(self.model.config.n_head, device=keys.device)
        self.token_keys.begin(keys.T.contiguous())
        self.token_keys.add(keys.gather(1, slots.clamp(min=0)).T.contiguous())
        self.token_keys.add(keys[:, None] + (heads[:, None] << 32))
        distance = torch.arange(length, -length, -1, device=keys.device)
        self.token_keys.add(keys[:, 0] + distance[:, None] * DISTANCES)


def open_xlnet(place: str | Path, seed: int) -> PreTrainedModel:
    """An XLNet with its head from a folder or hub name; another kind of model has no second stream."""
    if (kind := load_config(place).model_type) != "xlnet":
        raise InputError(
            f"words are predicted in any order by an XLNet, and {place} is of the kind {kind}: "
            "set objective = mlm, or build a base with base.objective = plm"
        )
    model = load_as(XLNetLMHeadModel, place)
    check_tokenizer(load_tokenizer(place), model.get_input_embeddings().num_embeddings, str(place))
    return model


def new_xlnet(size: ModelSize, vocab_size: int, pad_id: int, seed: int) -> PreTrainedModel:
    """An XLNet with random weights, normal(0, width ** -0.5); a text is summed up by its first token."""
    config = XLNetConfig(
        vocab_size=vocab_size,
        d_model=size.hidden_size,
        n_layer=size.layers,
        n_head=size.heads,
        d_inner=4 * size.hidden_size,
        dropout=size.dropout,
        summary_last_dropout=size.dropout,
        summary_type="first",
        initializer_range=size.hidden_size**-0.5,
        pad_token_id=pad_id,
        mem_len=None,
    )
    torch.manual_seed(seed)
    return XLNetLMHeadModel(config)


def measure(objective: PermutedLM, fixed: MaskedBatches) -> dict[str, float]:
    """Mean loss of the dev set's words in an order that is always the same; not to be compared with masked words'."""
    count = lambda batch: (float(objective(**objective.arranged(batch))), targets_in(batch["labels"]))
    lost, targets = over_dev(PermutedBatches(fixed), fixed.sequences.id, 2, count)
    return {"loss": lost / max(targets, 1)}
