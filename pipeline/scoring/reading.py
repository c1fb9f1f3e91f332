"""Rows of a task as scorers see them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.scoring.documents import Document
from pipeline.tokens import Frame, Spans, Tokens, encode, planted_words

COLUMNS = ("id", "text", "text_pair", "label", "keywords")


@dataclass(frozen=True)
class Read:
    """A task document as it is written, and as tokenizer, segmenter and scorer see it."""

    row: dict[str, object]
    text: str
    spans: np.ndarray  # int [words, 2]
    tokens: Tokens  # without special tokens, cut to the room there is
    document: Document

    @property
    def planted(self) -> np.ndarray:
        """bool [words of the text]: where the corpus says that a word is a keyword."""
        return planted_words(self.text, self.spans, self.row["keywords"] or [])


def read(
    rows: Sequence[dict[str, object]],
    tokenizer: PreTrainedTokenizerBase,
    cut: Spans,
    max_length: int,
    classes: Mapping[str, int] | None,
) -> Iterator[Read]:
    """Rows of `COLUMNS`, with their class. Without a classifier there are no classes: labels are names."""
    texts = [row["text"] if row["text_pair"] is None else f"{row['text']}\n{row['text_pair']}" for row in rows]
    spans = [cut(text) for text in texts]
    known, room = dict(zip(texts, spans, strict=True)), Frame.of(tokenizer).room(max_length)
    for row, text, places, whole in zip(rows, texts, spans, encode(tokenizer, texts, known.get), strict=True):
        tokens = Tokens(whole.input_ids[:room], whole.word_ids[:room])
        words = [text[start:end] for start, end in places.tolist()]
        label = classes[row["label"]] if classes else -1
        yield Read(row, text, places, tokens, Document.of(row["id"], tokens.input_ids, tokens.word_ids, words, label))
