"""Words hidden in sentences, and what a masked language model would put there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import padded
from pipeline.masking.pages import text_of
from pipeline.prediction import evaluating
from pipeline.run.processes import processes

LONGEST = 4
"""Tokens of a word that is hidden, at most."""
AROUND = 40
"""Tokens shown on either side of it."""


@dataclass(frozen=True)
class Hole:
    """A word of a sentence, hidden."""

    id: str
    input_ids: np.ndarray  # int [L], as written
    places: np.ndarray  # int [T]: the word's tokens, side by side

    def around(self, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str, str]:
        """Text before it, the word as written, text after it."""
        first, last = int(self.places[0]), int(self.places[-1]) + 1
        inside = ~np.isin(self.input_ids, tokenizer.all_special_ids) | (self.input_ids == tokenizer.unk_token_id)
        shown = lambda start, end: text_of(self.input_ids[start:end][inside[start:end]], tokenizer)
        return shown(max(first - AROUND, 0), first), shown(first, last), shown(last, last + AROUND)


def holes(rows: Iterable[Mapping[str, object]], tokenizer: PreTrainedTokenizerBase, count: int) -> list[Hole]:
    """The most telling word of each of the first so many sequences of a masked corpus that a training would hide.

    The most important one; of words alike one that is more than a character, of the fewest tokens, the longest.
    Sequences that hide nothing at visit 0 are passed over.
    """
    return list(islice(_holes(rows, tokenizer), count))


def _holes(rows: Iterable[Mapping[str, object]], tokenizer: PreTrainedTokenizerBase) -> Iterator[Hole]:
    for row in rows:
        ids, words, importance, masked = (
            np.array(row[name]) for name in ("input_ids", "word_ids", "importance", "masked")
        )
        found = [np.flatnonzero(words == word) for word in dict.fromkeys(words[masked & (words >= 0)].tolist())]
        found = [places for places in found if len(places) <= LONGEST and (np.diff(places) == 1).all()]
        if found:
            letters = [len(text_of(ids[places], tokenizer)) for places in found]
            telling = lambda i: (importance[found[i][0]], letters[i] > 1, -len(found[i]), letters[i], -i)  # noqa: B023
            yield Hole(str(row["id"]), ids, found[max(range(len(found)), key=telling)])


@dataclass(frozen=True)
class Filling:
    """What a model says of a hole."""

    written: float
    """Probability of the word that stands there."""
    best: list[tuple[str, float]]
    """The most probable words of as many tokens, each with its probability."""


def fillings(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, some: Sequence[Hole], best: int
) -> list[Filling]:
    """Of each hole, its tokens all hidden: a word is as probable as the product of its tokens, which such a model
    predicts apart from each other."""
    ids, device = padded([hole.input_ids for hole in some], tokenizer.pad_token_id), processes().device
    inside = np.arange(ids.shape[1]) < np.array([len(hole.input_ids) for hole in some])[:, None]
    for row, hole in zip(ids, some, strict=True):
        row[hole.places] = tokenizer.mask_token_id
    tensor = lambda array: torch.from_numpy(array.astype(np.int64)).to(device)
    with evaluating(model), torch.inference_mode():
        logits = model(input_ids=tensor(ids), attention_mask=tensor(inside)).logits
        found = [row[hole.places].float().softmax(-1).cpu().numpy() for row, hole in zip(logits, some, strict=True)]
    return [_filling(tokenizer, hole, rows, best) for hole, rows in zip(some, found, strict=True)]


def _filling(tokenizer: PreTrainedTokenizerBase, hole: Hole, probabilities: np.ndarray, best: int) -> Filling:
    """probabilities float32 [T, V]."""
    written = probabilities[np.arange(len(hole.places)), hole.input_ids[hole.places]].prod()
    words = [(text_of(np.array(ids), tokenizer), p) for ids, p in most_probable(probabilities, best)]
    return Filling(float(written), words)


def most_probable(probabilities: np.ndarray, count: int) -> list[tuple[tuple[int, ...], float]]:
    """The most probable rows of ids with their products; probabilities [T, V], the best first.

    Exact: one of the best of all places is made of one of the best of those before it.
    """
    found: list[tuple[tuple[int, ...], float]] = [((), 1.0)]
    for row in probabilities:
        top = np.argsort(-row, kind="stable")[:count].tolist()
        longer = [((*ids, i), p * float(row[i])) for ids, p in found for i in top]
        found = sorted(longer, key=lambda one: (-one[1], one[0]))[:count]
    return found
