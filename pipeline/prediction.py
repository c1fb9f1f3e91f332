"""A model's probabilities for many sequences, in batches of like length."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from pipeline.batches import LabelledBatches, by_length
from pipeline.run.processes import processes
from pipeline.training.unpadding import batch_on_device, can_unpad, first_position, unpad, unpadded_attention

TOKEN_BUDGET = 8192
"""Padded tokens of a batch: bounds the memory, whatever the lengths."""

PADDING = 128
"""Tokens of padding in a batch at most: another batch costs as much as so many tokens of a small model."""

ROW = 32_768
"""Tokens of a row without padding: enough to keep a GPU busy while the next row is made ready."""


@torch.inference_mode()
def logits_of(model: nn.Module, batches: LabelledBatches) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """(indices [B], logits float32 [B, ...], labels as they stand in the batch) of all sequences, longest first."""
    with evaluating(model):
        for indices in by_length(batches.lengths(np.arange(len(batches))), TOKEN_BUDGET, PADDING):
            inputs = batch_on_device(batches.batch(indices), processes().device)
            labels = inputs.pop("labels")
            yield indices, model(**inputs).logits.float(), labels


def predicted_batches(model: nn.Module, batches: LabelledBatches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices [B], probabilities float32 [B, classes] or [B, L, classes]) of all sequences, longest first."""
    for indices, logits, _ in logits_of(model, batches):
        yield indices, logits.softmax(-1).cpu().numpy()


@torch.inference_mode()
def predicted_tokens(
    model: PreTrainedModel, batches: LabelledBatches, rows: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices [B], probabilities float32 [T, classes] of their tokens end to end) of all sequences, longest first.

    For whole corpora: in half precision on a GPU that has it, and as `rows` without padding (see `takes_rows`).
    """
    lengths, start, device = batches.lengths(np.arange(len(batches))), first_position(model), processes().device
    with evaluating(model), unpadded_attention(model) if rows else nullcontext():
        for indices in by_length(lengths, ROW) if rows else by_length(lengths, TOKEN_BUDGET, PADDING):
            inputs = {name: x for name, x in batches.batch(indices).items() if name != "labels"}
            inside = inputs["attention_mask"].bool().numpy()
            with _half_precision():
                there = batch_on_device(unpad(inputs, start, device) if rows else inputs, device)
                logits = model(**there).logits
            found = logits.float().softmax(-1).cpu().numpy()
            yield indices, found[0] if rows else found[inside]


def takes_rows(model: PreTrainedModel) -> bool:
    """Whether to read without padding: on a GPU, if the model can. On a CPU batches of like length are as fast."""
    return processes().device.type == "cuda" and can_unpad(model)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within, the model does not drop."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _half_precision() -> AbstractContextManager[None]:
    """As in training on a GPU; a CPU computes in fp32."""
    return processes().autocast() if processes().device.type == "cuda" else nullcontext()


def predict(model: PreTrainedModel, batches: LabelledBatches) -> np.ndarray:
    """float32 [N, classes]: one row a sequence, in the order of `batches`."""
    result = np.empty((len(batches), model.config.num_labels), dtype=np.float32)
    for indices, probabilities in predicted_batches(model, batches):
        result[indices] = probabilities
    return result


@contextmanager
def only_first_row(model: PreTrainedModel) -> Iterator[None]:
    """Within, the last layer computes the first token of each sequence alone, [B, 1, width] of [B, L, width].

    For classifiers of BERT's kind that read [CLS]: there the other tokens matter as keys and values alone. Ask
    `first_row_suffices` before; the result is that of the whole layer, but for rounding (tested to 1e-6).
    """
    attention = _last_attention(model)
    hook = attention.output.register_forward_pre_hook(lambda module, inputs: (inputs[0], inputs[1][:, :1]))
    attention.self.forward = partial(_attend_from_first, attention.self)
    try:
        yield
    finally:
        del attention.self.forward
        hook.remove()


@torch.no_grad()
def first_row_suffices(model: PreTrainedModel) -> bool:
    """Whether `only_first_row` changes nothing for this model, in evaluation: tried on three short sequences."""
    attention = _last_attention(model)
    if not all(hasattr(getattr(attention, "self", None), name) for name in ("query", "key", "value", "scaling")):
        return False
    mask = torch.arange(8, device=model.device) < torch.tensor([[8], [5], [2]], device=model.device)
    ids = torch.arange(24, device=model.device).view(3, 8) % (model.config.vocab_size - 1) + 1
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    whole = model(**inputs).logits
    with only_first_row(model):
        found = model(**inputs).logits
    return found.shape == whole.shape and torch.allclose(found, whole, atol=1e-4)


def _last_attention(model: PreTrainedModel) -> nn.Module | None:
    """The attention of the last layer where the encoder is built as BERT's."""
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    return getattr(layers[-1], "attention", None) if layers else None


def _attend_from_first(
    attention: nn.Module, hidden: Tensor, attention_mask: Tensor | None = None, **_: object
) -> tuple[Tensor, None]:
    """BERT's self-attention of the first token to all: hidden [B, L, width] -> [B, 1, width]."""
    heads = lambda x: x.unflatten(-1, (attention.num_attention_heads, -1)).transpose(1, 2)
    query, key, value = attention.query(hidden[:, :1]), attention.key(hidden), attention.value(hidden)
    seen = None if attention_mask is None else attention_mask[..., :1, :]
    out = scaled_dot_product_attention(*map(heads, (query, key, value)), attn_mask=seen, scale=attention.scaling)
    return out.transpose(1, 2).flatten(2), None
