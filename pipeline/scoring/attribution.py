"""Importance of words by one look into the classifier: gradients at its embeddings, or its attention.

What is explained is P(label | text), so that all of these have the unit of `occlusion`. The text to compare with has a
mask in place of every known token: masked language models have seen it, unlike a zero vector.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline.batches import by_length, padded
from pipeline.prediction import PADDING, TOKEN_BUDGET
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document, Importances

Part = tuple[np.ndarray, Tensor]
"""Indices [B] of some documents, and a value of each of their tokens, special ones and padding among them [B, L]."""

STEPS = 20
"""Points of the path of integrated gradients: the fewest its authors advise (20 to 300)."""


def gradient(classifier: Classifier, documents: Sequence[Document]) -> Importances:
    """Gradient times (input - mask), summed over the word's tokens: positive where the word speaks for the label.

    The first-order estimate of `occlusion`: equal to it where P is linear in the embeddings. Gradient x input
    (Shrikumar et al. 2017) with the mask as its zero. One forward and backward a document.
    """
    return _to_words(classifier, documents, _along(classifier, documents, [1.0]))


def integrated_gradients(classifier: Classifier, documents: Sequence[Document]) -> Importances:
    """The same, with the gradient averaged over `STEPS` points between mask and input (Sundararajan et al. 2017).

    Complete: the importances of a text add up to P(label | text) - P(label | masks), but for the steps being finite.
    The points are the middles of equal stretches. `STEPS` forwards and backwards a document.
    """
    points = [(step + 0.5) / STEPS for step in range(STEPS)]
    return _to_words(classifier, documents, _along(classifier, documents, points))


def _along(classifier: Classifier, documents: Sequence[Document], points: Sequence[float]) -> Iterator[Part]:
    """(input - mask) times the mean gradient at points of the line from mask (0) to input (1)."""
    embed = classifier.model.get_input_embeddings()
    for indices, ids, inside in _batches(classifier, documents, TOKEN_BUDGET):
        labels = torch.tensor([documents[i].label for i in indices], device=ids.device)
        with torch.no_grad():
            start = embed(_masked(classifier, documents, indices, ids))
            way = embed(ids) - start
        slope = sum(_slope(classifier, start + point * way, inside, labels) for point in points) / len(points)
        yield indices, (way * slope).sum(-1)


def _slope(classifier: Classifier, embeddings: Tensor, inside: Tensor, labels: Tensor) -> Tensor:
    """[B, L, width]: the gradient of P(label) by the embeddings of the tokens."""
    embeddings.requires_grad_()
    with torch.enable_grad(), classifier.shortened():
        p = classifier.model(inputs_embeds=embeddings, attention_mask=inside).logits.float().softmax(-1)
        [slope] = torch.autograd.grad(p.gather(1, labels[:, None]).sum(), embeddings)
    return slope


def attention(classifier: Classifier, documents: Sequence[Document]) -> Importances:
    """What the first token ([CLS]) attends to in the last layer, mean over heads, summed over the word's tokens.

    To a word goes what goes to its pieces (Clark et al. 2019). Attention says where a model looks, not why: it has no
    sign and knows no label (Jain and Wallace 2019). One forward a document.
    """
    return _to_words(classifier, documents, _looked_at(classifier, documents))


def _looked_at(classifier: Classifier, documents: Sequence[Document]) -> Iterator[Part]:
    with torch.inference_mode(), _eager(classifier.model):
        for indices, ids, inside in _batches(
            classifier, documents, TOKEN_BUDGET // 4
        ):  # each layer keeps [B, H, L, L]
            layers = classifier.model(input_ids=ids, attention_mask=inside, output_attentions=True).attentions
            yield indices, layers[-1][:, :, 0].mean(1)


@contextmanager
def _eager(model: PreTrainedModel) -> Iterator[None]:
    """Within, attention is computed step by step, as it must be to be looked at."""
    before, model.config._attn_implementation = model.config._attn_implementation, "eager"
    try:
        yield
    finally:
        model.config._attn_implementation = before


def _batches(
    classifier: Classifier, documents: Sequence[Document], budget: int
) -> Iterator[tuple[np.ndarray, Tensor, Tensor]]:
    """(indices [B], ids with special tokens [B, L], attention mask [B, L]) in batches of like length."""
    rows = [classifier.framed(document.ids) for document in documents]
    device = classifier.model.device
    for indices in by_length(np.array([len(row) for row in rows]), budget, PADDING):
        ids = padded([rows[i] for i in indices], classifier.pad_id)
        inside = padded([np.ones_like(rows[i]) for i in indices], 0)
        yield indices, torch.from_numpy(ids).to(device), torch.from_numpy(inside).to(device)


def _masked(classifier: Classifier, documents: Sequence[Document], indices: np.ndarray, ids: Tensor) -> Tensor:
    """[B, L]: a mask in place of every token of a word."""
    known, before = torch.zeros_like(ids, dtype=torch.bool), len(classifier.frame.before)
    for row, i in enumerate(indices):
        known[row, before : before + len(documents[i].ids)] = torch.from_numpy(documents[i].word_ids >= 0)
    return ids.masked_fill(known, classifier.mask_id)


def _to_words(classifier: Classifier, documents: Sequence[Document], parts: Iterator[Part]) -> Importances:
    """Values of tokens, added up over the tokens of each word."""
    found, before = {}, len(classifier.frame.before)
    for indices, values in parts:
        for i, row in zip(indices, values.float().cpu().numpy(), strict=True):
            found[i] = documents[i].sum_of_words(row[before : before + len(documents[i].ids)])
    return [found[i] for i in range(len(documents))]
