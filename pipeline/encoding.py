"""Texts as vectors: the mean of an encoder's last hidden states over its tokens (Reimers and Gurevych 2019)."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from pipeline.batches import by_length, padded
from pipeline.prediction import PADDING, TOKEN_BUDGET, evaluating
from pipeline.run.processes import processes


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
