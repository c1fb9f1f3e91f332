"""A corpus on disk, in shards and as flat arrays: every row as it was written."""

import errno
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import parquet
from corpora.parquet import flat_columns, metadata_of, read_rows, write_corpus, write_shard
from corpora.schemas import DOCUMENTS, MASKED, InputError

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


DOCUMENT = [
    {"id": f"toy-{i}", "text": f"text {i} 好的", "label": str(i % 2), "origin": "toy:train"} for i in range(40)
]


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    path = tmp_path_factory.mktemp("shard") / "part-00000.parquet"
    write_shard(path, DOCUMENTS, DOCUMENT, {"counts": "40"})
    return path, path.read_bytes(), list(read_rows(path))


@given(place=st.integers(0), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=300)
def test_a_shard_with_a_flipped_bit_or_cut_short_is_named_or_read_as_it_was(shard, place, bit, cut):
    path, whole, rows = shard
    damaged = bytearray(whole)
    damaged[place % len(whole)] ^= 1 << bit
    path.write_bytes(whole[: place % len(whole)] if cut else damaged)
    try:
        assert list(read_rows(path)) == rows
    except InputError as refused:
        assert str(path) in str(refused) and "\n" not in str(refused)


@pytest.mark.parametrize("place", [b"label", b"id", b"toy:train"])
def test_a_footer_with_a_flipped_bit_is_never_read(shard, place):
    """Without a checksum of its own a column would have another name, and its rows none of its values."""
    path, whole, _ = shard
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    damaged = bytearray(whole)
    damaged[whole.index(place, footer)] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"is not a whole Parquet file \(its footer is not as it was written\): make"):
        list(read_rows(path))
    path.write_bytes(whole)
    assert metadata_of(path) == {"counts": "40"}


def test_a_column_that_a_shard_does_not_have_is_refused(tmp_path):
    write_corpus(tmp_path, NUMBERS, [{"number": 1}])
    with pytest.raises(InputError, match="has no weight: it is of another version, make it again"):
        list(read_rows(tmp_path, ("number", "weight")))


def test_a_row_group_is_full_after_so_many_rows_or_so_many_characters(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 4)
    monkeypatch.setattr(parquet, "ITEMS_A_GROUP", 100)
    texts = ["x" * size for size in (1, 1, 1, 1, 1, 60, 60, 200, 1)]
    write_corpus(tmp_path, pa.schema([("text", pa.string())]), ({"text": text} for text in texts))
    file = parquet.open_shard(tmp_path / "part-00000.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [4, 3, 1, 1]
    assert [row["text"] for row in read_rows(tmp_path)] == texts


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
