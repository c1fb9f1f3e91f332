"""Importance of a word by what the classifier says of altered texts: the text up to it, or the text without it.

Texts of like length go through the model together, and of its last layer [CLS] alone is computed (classifier.py). The
cost is a forward a word: of half the text for `prefix`, of the whole for `occlusion`.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document, Importances

BLOCK = 128
"""Documents whose altered texts are held at a time: enough of each length, whatever the size of the corpus."""


def prefix(classifier: Classifier, documents: Sequence[Document]) -> Importances:
    """p_i - p_(i-1), with p_i = P(label | the first i words): how much a word adds to all before it.

    The sequential buffer (Gu et al. 2020) without a buffer: no word is taken out, so that every prefix is known
    beforehand and a word whose point was made before it adds nothing.
    """
    return [_gains(d, p) for d, p in _asked(classifier, documents, _prefixes)]


def _prefixes(document: Document) -> list[np.ndarray]:
    """The known words up to each, none of them first."""
    lengths = [len(places) for places in document.pieces if len(places)]
    ids = document.ids[document.word_ids >= 0]
    return [ids[:end] for end in np.cumsum([0, *lengths])]


def _gains(document: Document, p: np.ndarray) -> np.ndarray:
    importance = np.zeros(len(document.words), dtype=np.float32)
    importance[document.known] = np.diff(p)
    return importance


def occlusion(classifier: Classifier, documents: Sequence[Document]) -> Importances:
    """P(label | text) - P(label | text with the word's tokens masked): leave one out (Li et al. 2016, erasure).

    Erasure takes the word out; a mask keeps the places of all others, and is what masked language models have seen.
    """
    alter = lambda document: _occluded(document, classifier.mask_id)
    return [(p[-1] - p[:-1]).astype(np.float32) for _, p in _asked(classifier, documents, alter)]


def _occluded(document: Document, mask_id: int) -> list[np.ndarray]:
    """The text with each word masked, and last as it is."""
    texts = np.tile(document.ids, (len(document.words) + 1, 1))
    texts[document.word_ids, np.arange(len(document.ids))] = mask_id  # unknown tokens, of word -1: in the last row
    texts[-1] = document.ids
    return list(texts)


def _asked(
    classifier: Classifier, documents: Sequence[Document], alter: Callable[[Document], list[np.ndarray]]
) -> Iterator[tuple[Document, np.ndarray]]:
    """Each document with P(its label | text) float32 [texts] of the texts that `alter` makes of it."""
    rest = iter(documents)
    while block := list(islice(rest, BLOCK)):
        texts = [alter(document) for document in block]
        counts = [len(of_one) for of_one in texts]
        classes = np.repeat([document.label for document in block], counts)
        p = classifier([text for of_one in texts for text in of_one], classes)
        yield from zip(block, np.split(p, np.cumsum(counts)[:-1]), strict=True)
