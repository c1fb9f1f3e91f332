"""The texts of a corpus as lists of words, for what is learned by counting."""

from collections.abc import Iterator
from pathlib import Path

from corpora.parquet import read_batches
from corpora.segment import Segmenter


def words_of(folder: Path, segmenter: Segmenter) -> Iterator[list[str]]:
    """The words of each text; of a pair those of both."""
    for batch in read_batches(folder, ("text", "text_pair")):
        for text, pair in zip(batch["text"], batch["text_pair"], strict=True):
            yield segmenter.words(text) + (segmenter.words(pair) if pair else [])


def labelled_words_of(folder: Path, segmenter: Segmenter) -> Iterator[tuple[list[str], str]]:
    """The words of each labelled text, and its label."""
    for batch in read_batches(folder, ("text", "text_pair", "label")):
        for text, pair, label in zip(batch["text"], batch["text_pair"], batch["label"], strict=True):
            if label is not None:
                yield segmenter.words(text) + (segmenter.words(pair) if pair else []), label


def training_words(corpus: Path, segmenter: Segmenter) -> dict[str, Iterator | None]:
    """The training text of each kind as words, where there is any; nothing is read before it is asked for."""
    readers = {"task": labelled_words_of, "domain": words_of, "general": words_of}
    folders = {kind: corpus / kind / "train" for kind in readers}
    return {kind: read(folders[kind], segmenter) if folders[kind].exists() else None for kind, read in readers.items()}
