"""The same sequences under several policies, visit by visit, to be looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.pages import Drawn, Piece, pieces, pieces_as_written
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import FILE, Substitutes

Row = Mapping[str, object]
"""Of a masked corpus: `id`, `input_ids`, `word_ids`, `importance`."""
Policies = Mapping[str, tuple[MaskingConfig, Vocabulary]]
"""By the name they are shown under."""


def drawn(
    rows: Sequence[Row],
    policies: Policies,
    visits: int,
    tokenizer: PreTrainedTokenizerBase,
) -> list[Drawn]:
    """Each sequence with its importance, and so many visits of each policy: what a training would read."""
    sequences, every = sequences_of(rows), np.arange(len(rows))
    found = []
    for label, (masking, vocabulary) in policies.items():
        batches = MaskedBatches(sequences, masking, vocabulary, tokenizer.pad_token_id)
        found += [(f"{label} {n + 1}", batches.visit(every, np.full(len(rows), n))) for n in range(visits)]
    return [
        Drawn(
            str(row["id"]),
            [("importance", as_written(row, tokenizer))],
            [(name, pieces(v, i, tokenizer)) for name, v in found],
        )
        for i, row in enumerate(rows)
    ]


def beside(
    recipe: MaskingConfig, others: Mapping[str, MaskingConfig], vocabulary: Vocabulary, folder: Path
) -> Policies:
    """What is put side by side: first the recipe's own policy, with its substitutes in `folder` where it has any, then
    others at its rate and seed."""
    own = (
        replace(vocabulary, substitutes=Substitutes.load(folder / FILE))
        if recipe.replacement != "mask"
        else vocabulary
    )
    return {recipe.policy: (recipe, own)} | {
        name: (replace(masking, mask_rate=recipe.mask_rate, seed=recipe.seed), vocabulary)
        for name, masking in others.items()
        if name != recipe.policy
    }


def sequences_of(rows: Sequence[Row]) -> Sequences:
    """Rows of a masked corpus as flat arrays."""
    flat = lambda name, kind: np.concatenate([np.array(row[name], dtype=kind) for row in rows])
    return Sequences(
        id=np.array([str(row["id"]).encode() for row in rows]),
        offsets=np.cumsum([0, *(len(row["input_ids"]) for row in rows)]),
        input_ids=flat("input_ids", np.int32),
        word_ids=flat("word_ids", np.int32),
        importance=flat("importance", np.uint8),
    )


def as_written(row: Row, tokenizer: PreTrainedTokenizerBase) -> list[Piece]:
    """The pieces of a sequence with their importance, none masked."""
    return pieces_as_written(*(np.array(row[name]) for name in ("input_ids", "word_ids", "importance")), tokenizer)
