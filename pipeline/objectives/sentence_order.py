"""Which of two segments comes first (SOP, Lan et al. 2020, ALBERT), learned beside masked words or alone.

A sequence is cut in two at a border between words near its middle and set anew, the halves in their order or, half of
the time, swapped:  [CLS] one [SEP] other [SEP], label 0 or 1. Where it is cut and whether it is swapped are functions
of (seed, epoch, document). The words to predict are those of plain masked language modelling; the loss is the mean
over them plus the mean over sequences (Cui et al. 2021, MacBERT; theirs reads the first token, here it is the pooler's
output, as in BERT's and ALBERT's own heads).
"""

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.batches import IGNORE, Around, MaskedBatches, Visit, targets_in
from pipeline.draws import SEGMENT, fraction
from pipeline.masking.rows import Rows, ranges
from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.objective import head_modules
from pipeline.objectives.yardstick import fixed_mask_loss, over_dev
from pipeline.training.unpadding import on_device, taken

ADDED = 1
"""Ids put into a sequence: the separator between its segments."""

MIDDLE = 0.25, 0.75
"""A sequence is cut somewhere between these shares of its tokens."""


def segments(rows: Rows, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row where its second segment begins, int64 [B], and whether they are swapped, bool [B].

    words int [T]. Both are places in the flat columns; a row of fewer than two words begins its second at -1.
    """
    first, last = rows.offsets[:-1] + 1, rows.offsets[1:] - 1  # between [CLS] and [SEP]
    draw = lambda number: fraction(rows.draw(SEGMENT, np.arange(len(rows)), np.full(len(rows), number)))
    low, high = MIDDLE
    wanted = first + (last - first) * (low + (high - low) * draw(0))
    border = np.flatnonzero((words[1:] != words[:-1]) | (words[1:] < 0)) + 1  # unknown tokens stand alone
    row = rows.of(border)
    inside = (border > first[row]) & (border < last[row])
    border, row = border[inside], row[inside]
    nearest = border[np.lexsort((np.abs(border - wanted[row]), row))]
    begins = np.full(len(rows), -1)
    there, at = np.unique(row, return_index=True)
    begins[there] = nearest[at]
    return begins, draw(1) < 0.5


def set_anew(rows: Rows, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The rows in two segments each: offsets [B + 1], which token stands where [T'], its segment [T'], the order [B].

    The separator in between is the one at the end once more. The order is 0, 1 where swapped, IGNORE where a row is
    too short to be cut and stays as it is.
    """
    begins, swapped = segments(rows, words)
    cut = begins >= 0
    start, end = rows.offsets[:-1], rows.offsets[1:] - 1
    middle = np.where(cut, begins, end)
    one, other = np.stack([start + 1, middle], 1), np.stack([middle, end], 1)
    swapped = (swapped & cut)[:, None]
    one, other = np.where(swapped, other, one), np.where(swapped, one, other)
    parts = np.stack([start, one[:, 0], end, other[:, 0], end], 1)
    lengths = np.stack(
        [np.ones_like(start), one[:, 1] - one[:, 0], cut, other[:, 1] - other[:, 0], np.ones_like(end)], 1
    )
    kinds = np.stack([0 * cut, 0 * cut, 0 * cut, cut, cut], 1)
    offsets = np.concatenate([[0], np.cumsum(lengths.sum(1))])
    tokens = ranges(parts.ravel(), lengths.ravel())
    return offsets, tokens, np.repeat(kinds.ravel(), lengths.ravel()), np.where(cut, swapped[:, 0].astype(int), IGNORE)


class OrderBatches(Around):
    """Masked sequences as two segments each. Lengths and tokens are counted without the separators put in."""

    def __init__(self, masked: MaskedBatches, words: bool = True) -> None:
        super().__init__(masked)
        self.words = words

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels`, `token_type_ids` [B, L], and `order` [B].

        Without `words` nothing is masked and there are no labels.
        """
        visit = self.masked.visit(indices, epochs, elapsed)
        offsets, tokens, kinds, order = set_anew(visit.rows, visit.word_ids)
        ids, labels = self._tokens(visit)
        inside = np.arange(np.diff(offsets).max(initial=0)) < np.diff(offsets)[:, None]
        columns = (("input_ids", ids[tokens], self.masked.pad_id), ("labels", labels[tokens], IGNORE),
                   ("token_type_ids", kinds, 0), ("attention_mask", np.ones_like(tokens), 0))  # fmt: skip
        batch = {name: _padded(inside, column, fill) for name, column, fill in columns}
        return {**batch, "order": torch.from_numpy(order)}

    def _tokens(self, visit: Visit) -> tuple[np.ndarray, np.ndarray]:
        """Ids and labels int [T] in the order as written."""
        labels = np.full(len(visit.input_ids), IGNORE)
        if self.words:
            labels[visit.targets] = visit.written
            return visit.input_ids, labels
        ids = visit.input_ids.copy()
        ids[visit.targets] = visit.written
        return ids, labels


def _padded(inside: np.ndarray, column: np.ndarray, fill: int) -> Tensor:
    """[B, L]: a flat column laid into the places that are `inside`."""
    whole = np.full(inside.shape, fill, dtype=np.int64)
    whole[inside] = column
    return torch.from_numpy(whole)


class SentenceOrder(MaskedLM):
    """Masked words and the order of segments, or that alone, of a model with a head for each.

    As in `MaskedLM`, only tokens to predict are seen by the last feed-forward part and the head, and beside them the
    first token of each sequence, which the pooler reads.
    """

    def __init__(self, model: PreTrainedModel, words: bool = True) -> None:
        super().__init__(model)
        self.words = words
        self.losses = {"mlm": 1.0, "order": 1.0} if words else {"order": 1.0}
        self._predicted = 0
        self._first_keys = self._hidden = None
        model.base_model.encoder.register_forward_hook(self._keep)
        model.base_model.pooler.register_forward_pre_hook(self._to_pooler)
        if not words:
            _freeze_word_head(model)

    def targets(self, batch: dict[str, Tensor]) -> list[int]:
        """Words to predict, and sequences that were cut."""
        order = targets_in(batch["order"])
        return [targets_in(batch["labels"]), order] if self.words else [order]

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """As for masked words, with `firsts`: places of the first tokens of sequences with an order; `order` [B']."""
        rest = dict(batch)
        order = rest.pop("order", torch.full((len(batch["labels"]),), IGNORE))
        lengths, longest = batch["attention_mask"].sum(1), batch["attention_mask"].shape[1]
        starts = lengths.cumsum(0) - lengths if self.unpadded else torch.arange(len(order)) * longest
        known, arranged = order != IGNORE, super().arranged(rest)
        device = arranged["places"].device
        return {**arranged, "firsts": on_device(starts[known], device), "order": on_device(order[known], device)}

    def _keep(self, module: nn.Module, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        self._hidden = output[0]

    def _rows(self) -> Tensor:
        """[M + B', width]: tokens to predict, then first tokens."""
        hidden = self._hidden
        return hidden if hidden.dim() == 2 else taken(hidden.flatten(0, 1), self._places)

    def _to_head(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return None if self._places is None else (self._rows()[: self._predicted], *inputs[1:])

    def _to_pooler(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """In the place of the first token of a batch's rows, those of all sequences; ALBERT's pooler takes no rows."""
        if self._places is None:
            return None
        if (keys := self._first_keys) is not None:
            self.token_keys.add(keys)
        firsts = self._rows()[self._predicted :]
        return (firsts if isinstance(module, nn.Linear) else firsts[:, None],)

    def forward(self, places: Tensor, targets: Tensor, firsts: Tensor, order: Tensor, **inputs: object) -> Tensor:
        """[2] or [1]: summed losses of words, int64 [M] places and ids, and of orders, [B'] places and labels."""
        words, orders = self.answers(places, firsts, **inputs)
        lost = summed_cross_entropy(orders.float(), order)[None]
        return torch.cat([self.words_lost(words, targets)[None], lost]) if self.words else lost

    def of_words(self, batch: dict[str, Tensor]) -> Tensor:
        """Summed loss of the masked words of a batch."""
        arranged = self.arranged(batch)
        targets = arranged.pop("targets")
        del arranged["order"]
        return self.words_lost(self.answers(**arranged)[0], targets)

    def answers(self, places: Tensor, firsts: Tensor, **inputs: object) -> tuple[Tensor, Tensor]:
        """What is said of the M words, [M, width] before the decoder, and of the order of B' sequences, [B', 2]."""
        keys = inputs.get("token_keys")
        self._predicted = len(places)
        self._first_keys = None if keys is None else keys.flatten()[firsts]
        with self.without_decoder():
            words, orders = self._answer(torch.cat([places, firsts]), **inputs).to_tuple()[:2]
        self._hidden = None
        return words, orders


def _freeze_word_head(model: PreTrainedModel) -> None:
    """Without words to predict their head learns nothing: weight decay shall not wear it off either."""
    encoder = set(model.base_model.parameters())
    for name, parameter in head_modules(model)[0].named_parameters():
        if parameter not in encoder and "seq_relationship" not in name:
            parameter.requires_grad = False


def measure(objective: SentenceOrder, fixed: MaskedBatches) -> dict[str, float]:
    """The loss of masked words in sequences as written, comparable with any; loss and accuracy of the order."""

    def orders(batch: dict[str, Tensor]) -> tuple[float, float, float]:
        arranged = objective.arranged(batch)
        order = arranged.pop("order")
        del arranged["targets"]
        said = objective.answers(**arranged)[1].float()
        return float(summed_cross_entropy(said, order)), float((said.argmax(1) == order).sum()), len(order)

    lost, right, cut = over_dev(OrderBatches(fixed), fixed.sequences.id, 3, orders)
    return fixed_mask_loss(objective, fixed) | {
        "order_loss": lost / max(cut, 1),
        "order_accuracy": 100 * right / max(cut, 1),
    }
