"""Write the masked corpus with its corruption frozen, for other people's trainers.

    make export

reads   masked/  sequences and which words visit 0 predicts
        base/    the tokenizer
writes  static/  domain/ and task/: `input_ids` corrupted, `attention_mask`, `labels` (-100 where nothing is predicted)
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corpora.parquet import metadata_of, read_batches, shards, write_shard
from corpora.schemas import STATIC
from pipeline.batches import IGNORE, padded
from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary, corrupt
from pipeline.masking.substitutes import FILE as SUBSTITUTES
from pipeline.masking.substitutes import Substitutes
from pipeline.models import load_tokenizer
from pipeline.run.stage import run
from pipeline.tokens import replaceable_ids


@dataclass(frozen=True)
class StaticConfig:
    """Nothing to set: what is masked was decided in masked/."""


def export(config: StaticConfig, init: Path, masked: Path, out: Path) -> dict[str, float]:
    """Every shard of masked/, corrupted; metrics with the number of sequences."""
    tokenizer = load_tokenizer(init)
    vocabulary, count = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer)), 0
    for path in shards(masked):
        masking = MaskingConfig(**json.loads(metadata_of(path)["masking"]))
        if masking.replacement != "mask":
            table = Substitutes.load(masked / path.relative_to(masked).parts[0] / SUBSTITUTES)
            vocabulary = replace(vocabulary, substitutes=table)
        rows = _rows(path, masking, vocabulary)
        count += write_shard(out / path.relative_to(masked), STATIC, rows)
    tokenizer.save_pretrained(out / "tokenizer")
    return {"sequences": count}


def _rows(path: Path, masking: MaskingConfig, vocabulary: Vocabulary) -> Iterator[dict[str, object]]:
    for batch in read_batches(path, ("id", "input_ids", "word_ids", "masked")):
        ids, words, masked = (
            padded([np.array(row) for row in batch[name]], fill)
            for name, fill in (("input_ids", 0), ("word_ids", -1), ("masked", False))
        )
        keys, visit = document_keys(batch["id"]), np.zeros(len(ids), dtype=int)
        corrupted = corrupt(masking, vocabulary, ids, words, masked, keys, visit)
        labels = np.where(masked, ids, IGNORE)
        for row, label, written in zip(corrupted, labels, batch["input_ids"], strict=True):
            length = len(written)
            yield {"input_ids": row[:length], "attention_mask": [1] * length, "labels": label[:length]}


if __name__ == "__main__":
    run(export)
