"""Documents -> the rows of a masked corpus: cut into sequences, weighed, marked, and chosen among.

A row keeps what was decided, not the damage: the ids as written, the words, their importance, and the choice at visit
0, from which every other visit is a draw away (`batches.py`).
"""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from pipeline.batches import padded
from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.counting import count
from pipeline.masking.marks import Marks
from pipeline.masking.selection import choose
from pipeline.scoring.weighing import Cutter, Weigh, Words, alike, of
from pipeline.training.loading import in_background


@dataclass(frozen=True)
class Masker:
    """All that decides which words of a document are predicted."""

    config: MaskingConfig
    cut: Cutter
    weigh: Weigh
    marks: Marks

    def at_random(self) -> "Masker":
        """The same for text whose words nobody scored."""
        return replace(self, config=self.config.at_random(), weigh=alike)

    def rows(self, batches: Iterable[dict[str, list]], counts: dict[str, float]) -> Iterator[dict[str, object]]:
        """`id`, `input_ids`, `word_ids`, `importance` and `masked` of each sequence, in the order of the documents.

        batches have `id`, `text`, `text_pair` and `keywords`; one is cut while that before it is weighed. What is
        counted of them is added to `counts`.
        """
        with closing(in_background((batch, *self.cut(batch)) for batch in batches)) as parts:
            for batch, sequences, words in parts:
                self._weigh(sequences, words)
                self._choose(sequences)
                count(counts, sequences, batch, self.cut.spans)
                yield from sequences

    def _weigh(self, sequences: list[dict], words: Words) -> None:
        """Add `importance`; `word_ids` and it as marked."""
        for row, importance in zip(sequences, self.weigh(sequences, words), strict=True):
            row["word_ids"], row["importance"] = self.marks.put(row["word_ids"], importance, of(words, row["id"]))

    def _choose(self, sequences: list[dict]) -> None:
        """Add `masked`, the choice at visit 0."""
        keys, visit = document_keys([row["id"] for row in sequences]), np.zeros(len(sequences), dtype=np.int64)
        words = padded([row["word_ids"] for row in sequences], -1)
        importance = padded([row["importance"] for row in sequences], 0)
        masked = choose(self.config, words, importance, keys, visit)
        for row, chosen in zip(sequences, masked, strict=True):
            row["masked"] = chosen[: len(row["word_ids"])]
