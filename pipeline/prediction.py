"""A model's probabilities for many sequences, in batches of like length."""

from collections.abc import Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.batches import LabelledBatches, by_length
from pipeline.run.processes import processes

TOKEN_BUDGET = 8192
"""Padded tokens of a batch: bounds the memory, whatever the lengths."""


@torch.inference_mode()
def predicted_batches(model: PreTrainedModel, batches: LabelledBatches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(indices [B], probabilities float32 [B, classes] or [B, L, classes]) of all sequences, longest first."""
    device, training = processes().device, model.training
    model.eval()
    for indices in by_length(batches.lengths(np.arange(len(batches))), TOKEN_BUDGET):
        inputs = {k: v.to(device) for k, v in batches.batch(indices).items() if k != "labels"}
        yield indices, model(**inputs).logits.float().softmax(-1).cpu().numpy()
    model.train(training)


def predict(model: PreTrainedModel, batches: LabelledBatches) -> np.ndarray:
    """float32 [N, classes]: one row a sequence, in the order of `batches`."""
    parts = list(predicted_batches(model, batches))
    result = np.empty((len(batches), parts[0][1].shape[-1]), dtype=np.float32)
    for indices, probabilities in parts:
        result[indices] = probabilities
    return result
