"""A corpus on disk, in shards and as flat arrays: every row as it was written."""

import errno
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora import parquet
from corpora.parquet import flat_columns, read_rows, write_corpus, write_shard
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


NUMBERS = pa.schema([("number", pa.int64())])


@pytest.fixture
def writes(monkeypatch) -> Callable[[Callable[[], None]], None]:
    """Groups of two rows; what is to happen before each of them is written."""
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 2)
    write = pq.ParquetWriter.write_table

    def before(happens: Callable[[], None]) -> None:
        monkeypatch.setattr(pq.ParquetWriter, "write_table", lambda self, table: (happens(), write(self, table)))

    return before


def test_a_group_is_written_while_the_rows_of_the_next_are_made(tmp_path, writes):
    third_row = threading.Event()
    seen = []
    writes(lambda: seen.append(third_row.wait(60)))

    def rows() -> Iterator[dict[str, int]]:
        for number in range(7):
            if number == 2:
                third_row.set()
            yield {"number": number}

    assert write_shard(tmp_path / "part-00000.parquet", NUMBERS, rows()) == 7 and seen == [True] * 4
    assert [row["number"] for row in read_rows(tmp_path)] == list(range(7))


def test_one_group_waits_at_most_however_slow_the_disk_is(tmp_path, writes):
    made, ahead = [], []

    def slowly() -> None:
        time.sleep(0.05)
        ahead.append(len(made) - 2 * len(ahead))

    writes(slowly)
    write_shard(tmp_path / "part-00000.parquet", NUMBERS, (made.append(i) or {"number": i} for i in range(12)))
    assert len(ahead) == 6 and max(ahead) <= 4  # two rows being written, two in hand


def test_what_cannot_be_written_is_raised_and_leaves_no_shard(tmp_path, writes):
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writes(full)
    path = tmp_path / "part-00000.parquet"
    with pytest.raises(OSError, match="No space left"):
        write_shard(path, NUMBERS, ({"number": i} for i in range(5)))
    assert not path.exists()
