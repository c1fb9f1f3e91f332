"""Importance of words by how much they mean what the document means."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from pipeline.batches import LabelledBatches, by_length
from pipeline.prediction import PADDING, TOKEN_BUDGET
from pipeline.run.processes import processes
from pipeline.scoring.documents import Document, Importances
from pipeline.scoring.language import LanguageModel


@torch.inference_mode()
def keyword(model: LanguageModel, documents: Sequence[Document]) -> Importances:
    """The cosine between a word's embedding and its document's, means over their tokens in the encoder's last layer.

    KeyBERT's measure, by which Golchin et al. (2023) choose what to mask. Theirs embeds each candidate alone with a
    sentence encoder; here words are embedded where they stand, by the base itself, in one forward a document.
    """
    rows = [np.concatenate([model.frame.before, d.ids, model.frame.after]) for d in documents]
    batches, found = LabelledBatches(rows, [0] * len(rows), model.pad_id), {}
    for indices in by_length(batches.lengths(np.arange(len(rows))), TOKEN_BUDGET, PADDING):
        inputs = {k: v.to(processes().device) for k, v in batches.batch(indices).items() if k != "labels"}
        hidden = model.objective.model.base_model(**inputs).last_hidden_state.float().cpu()
        for i, states in zip(indices, hidden, strict=True):
            before = len(model.frame.before)
            found[i] = _cosines(documents[i], states[before : before + len(documents[i].ids)])
    return [found[i] for i in range(len(documents))]


def _cosines(document: Document, states: torch.Tensor) -> np.ndarray:
    """float32 [words] of one document; states [L, width]."""
    inside = torch.from_numpy(document.word_ids >= 0)
    words = torch.zeros(len(document.words), states.shape[1])
    words.index_add_(
        0, torch.from_numpy(document.word_ids)[inside].long(), states[inside]
    )  # a sum has the mean's direction
    return cosine_similarity(words, states.mean(0, keepdim=True)).numpy() if len(words) else words[:, 0].numpy()
