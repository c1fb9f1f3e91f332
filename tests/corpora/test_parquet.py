"""A corpus as flat arrays on disk: every row as it was written, whatever the shards."""

import numpy as np
import pytest

from corpora.parquet import flat_columns, read_rows, write_corpus
from corpora.schemas import MASKED

COLUMNS = ("id", "input_ids", "word_ids", "importance")


@pytest.mark.parametrize("shard_rows", [3, 100])
def test_flat_columns_hold_the_rows_end_to_end(tmp_path, shard_rows):
    draw = np.random.default_rng(0)
    rows = [
        {
            "id": f"文-{i}" * (1 + i % 3),
            "input_ids": draw.integers(0, 60_000, n).tolist(),
            "word_ids": list(range(-1, n - 1)),
            "importance": bytes(draw.integers(0, 256, n, dtype=np.uint8)),
            "masked": [False] * n,
        }
        for i, n in enumerate([4, 1, 7, 2, 5, 9, 3])
    ]
    write_corpus(tmp_path / "corpus", MASKED, rows, shard_rows)
    flat = flat_columns(tmp_path / "corpus", COLUMNS, tmp_path / "flat")
    assert flat["offsets"].tolist() == [0, 4, 5, 12, 14, 19, 28, 31]
    assert [name.decode() for name in flat["id"]] == [row["id"] for row in rows]
    for i, row in enumerate(read_rows(tmp_path / "corpus", COLUMNS)):
        for name in COLUMNS[1:]:
            assert flat[name][flat["offsets"][i] : flat["offsets"][i + 1]].tolist() == list(row[name])


def test_flat_columns_are_written_once_and_mapped(tmp_path):
    row = {"id": "a", "input_ids": [2, 3], "word_ids": [-1, -1], "importance": b"\0\0", "masked": [False, False]}
    write_corpus(tmp_path / "corpus", MASKED, [row])
    first = flat_columns(tmp_path / "corpus", COLUMNS, tmp_path / "flat")
    written = (tmp_path / "flat" / "input_ids.npy").stat().st_mtime_ns
    again = flat_columns(tmp_path / "corpus", COLUMNS, tmp_path / "flat")
    assert isinstance(first["input_ids"], np.memmap) and again["input_ids"].tolist() == [2, 3]
    assert (tmp_path / "flat" / "input_ids.npy").stat().st_mtime_ns == written
