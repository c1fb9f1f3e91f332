"""The importance of words of sequences, 1 to 255, by whatever weighs them; 0 where no word is."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.masking.config import IMPORTANT
from pipeline.run.errors import InputError
from pipeline.scoring.documents import Document
from pipeline.scoring.importance import Scale
from pipeline.scoring.scorers import Score
from pipeline.tagging import Tagger, word_importance
from pipeline.tokens import Frame, Spans, fingerprint, sequence_rows, texts_of

Words = Mapping[str, Sequence[str]]
"""Document id -> its words as written, numbered as in `sequence_rows`."""

Weigh = Callable[[list[dict], Words], list[np.ndarray]]
"""(rows of sequences, words of their documents) -> importance uint8 [L] of each sequence."""


@dataclass(frozen=True)
class Cutter:
    """How documents become what is weighed: sequences of at most `max_length` ids, and the words of each document."""

    tokenizer: PreTrainedTokenizerBase
    spans: Spans
    max_length: int

    def __call__(self, batch: dict[str, list]) -> tuple[list[dict], Words]:
        """Of a batch of documents: `id`, `text`, `text_pair`."""
        sequences = list(sequence_rows(batch, self.tokenizer, self.spans, self.max_length))
        words = lambda text: [text[start:end] for start, end in self.spans(text).tolist()]
        return sequences, dict(zip(batch["id"], map(words, texts_of(batch)), strict=True))


def alike(sequences: list[dict], words: Words) -> list[np.ndarray]:
    """No word is more important than another."""
    return [(row["word_ids"] >= 0).astype(np.uint8) for row in sequences]


def by_tagger(folder: Path | None, tokenizer: PreTrainedTokenizerBase) -> Weigh:
    """The probability that a word is a keyword."""
    if folder is None:
        raise InputError("policy = selective needs a tagger: run make tagger, or set masked.policy = whole_word")
    tag = Tagger(folder)
    if fingerprint(tag.tokenizer) != fingerprint(tokenizer):
        raise InputError(f"{folder} and the base have different tokenizers: train the tagger again from this base")

    def weigh(sequences: list[dict], words: Words) -> list[np.ndarray]:
        found = tag.probabilities([row["input_ids"] for row in sequences])
        return [word_importance(row["word_ids"], p) for row, p in zip(sequences, found, strict=True)]

    return weigh


def by_scorer(score: Score, scale: Scale, frame: Frame) -> Weigh:
    """The rank of a word's score."""

    def weigh(sequences: list[dict], words: Words) -> list[np.ndarray]:
        documents = documents_of(sequences, words, frame)
        inside = [d.to_tokens(scale(scores)) for d, scores in zip(documents, score(documents), strict=True)]
        return [np.pad(row, (len(frame.before), len(frame.after))) for row in inside]

    return weigh


def scale_of(
    score: Score, parts: Iterable[tuple[list[dict], Words]], frame: Frame, share: float, scorer: str
) -> Scale:
    """The scale of a scorer on which the top `share` of the words of a sample is important.

    `parts` of the sample are as a Cutter makes them. InputError where more words than that share the highest score.
    """
    found = []
    for sequences, words in parts:
        documents = documents_of(sequences, words, frame)
        found += [scores[d.known] for d, scores in zip(documents, score(documents), strict=True)]
    scores = np.concatenate(found)
    scale = Scale.of(scores, share)
    if len(scores) and scale(scores).max() < IMPORTANT:
        raise InputError(
            f"scorer = {scorer} gives {np.mean(scores == scores.max()):.0%} of the words its highest score: raise "
            "masked.important_share above that, or choose another scorer"
        )
    return scale


def documents_of(sequences: list[dict], words: Words, frame: Frame) -> list[Document]:
    """Sequences as scorers see them."""
    inside = lambda row, name: row[name][len(frame.before) : len(row[name]) - len(frame.after)]
    return [Document.of(r["id"], inside(r, "input_ids"), inside(r, "word_ids"), of(words, r["id"])) for r in sequences]


def of(words: Words, sequence: str) -> Sequence[str]:
    """The words of the document of a sequence: those of `id` for `id#3`."""
    return words[sequence] if sequence in words else words[sequence.rpartition("#")[0]]
