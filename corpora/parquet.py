"""Read and write a corpus: shards, batches, one schema, checked, atomic.

A shard is written beside its final name, synced and renamed: a file that is there is whole. Every page and the footer
have a checksum, which is verified when they are read: damage is named, never read. Reading streams one row group at a
time, so memory does not grow with the corpus.

Rows stand in the order in which they were read, which is that of their sources: sorted by id, a hash, a shard would be
a shuffle of it. What a shard was made from is in the manifest of its artifact and not in its footer, where it would
make text that did not change look changed to all that is made from it.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpora.footer import BLANK, KEY, is_sound, sign
from corpora.schemas import InputError

Row = dict[str, object]
ROWS_A_GROUP = 4096
"""Rows of a row group: small enough that one decoded group of 512-token sequences stays under 20 MB."""
ITEMS_A_GROUP = 1 << 24
"""Characters, or numbers of lists, from which on a row group is full before that: 16 to 64 MB of long rows."""


def shard_name(number: int) -> str:
    """Name of the n-th shard of a folder."""
    return f"part-{number:05d}.parquet"


def shards(folder: Path) -> list[Path]:
    """The finished shards of a corpus folder, in order, of all its sub-folders too."""
    found = sorted(Path(folder).rglob("part-*.parquet"))
    if not found:
        raise InputError(f"no Parquet shard in {folder}: make the artifact again")
    return found


def open_shard(path: Path) -> pq.ParquetFile:
    """A Parquet file, page checksums verified while reading (a flipped bit is otherwise read as data)."""
    with _sound(path, "is not a whole Parquet file"):
        if not is_sound(path):
            raise pa.ArrowInvalid("its footer is not as it was written")
        return pq.ParquetFile(path, page_checksum_verification=True)


@contextmanager
def _sound(path: Path, fact: str) -> Iterator[None]:
    """What fails in a Parquet file, told with its name."""
    try:
        yield
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{path} {fact} ({why}): make it again or take it away") from error


def write_shard(path: Path, schema: pa.Schema, rows: Iterable[Row], metadata: dict[str, str] | None = None) -> int:
    """Write one shard; the number of rows.

    `metadata` goes into the file's footer, readable without reading rows. It is looked at after the last row, so that
    counts made on the way can be in it. What a killed run left half written is written over.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    with pq.ParquetWriter(
        draft, schema, compression="zstd", write_page_checksum=True, use_dictionary=_repetitive(schema)
    ) as writer:
        count = _write_groups(writer, schema, rows)
        writer.add_key_value_metadata({KEY: BLANK} | (metadata or {}))
    sign(draft)
    _publish(draft, path)
    return count


def _write_groups(writer: pq.ParquetWriter, schema: pa.Schema, rows: Iterable[Row]) -> int:
    """A thread writes a group of rows while the next ones are made; the number of rows.

    One group waits at most: memory does not grow. An error of the thread is raised here.
    """
    count, written = 0, None
    with ThreadPoolExecutor(1) as thread:
        for group in _groups(rows):
            table = pa.Table.from_pylist(group, schema)
            if written:
                written.result()
            written = thread.submit(writer.write_table, table)
            count += len(group)
        if written:
            written.result()
    return count


def write_corpus(
    folder: Path,
    schema: pa.Schema,
    rows: Iterable[Row],
    shard_rows: int = 20_000,
    metadata: dict[str, str] | None = None,
) -> int:
    """Write rows as `part-00000.parquet`, `part-00001.parquet`, … of `shard_rows` rows; the number of rows.

    `metadata` goes into the footer of each. No file is written for no rows.
    """
    rows, total = iter(rows), 0
    for number in range(10**5):
        first = list(islice(rows, 1))
        if not first:
            return total
        chunk = _chain(first, islice(rows, shard_rows - 1))
        total += write_shard(folder / shard_name(number), schema, chunk, metadata)
    raise InputError(f"more than {10**5} shards in {folder}: raise shard_rows")


def read_batches(path: Path, columns: Sequence[str] | None = None, rows: int = 1024) -> Iterator[dict[str, list]]:
    """Batches of at most `rows` rows of a shard or a corpus folder: column name -> list of Python values."""
    for table in _row_groups(path, columns):
        for start in range(0, table.num_rows, rows):
            yield table.slice(start, rows).to_pydict()


def read_rows(path: Path, columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Row by row, for the small corpora (a task) and for tests."""
    for table in _row_groups(path, columns):
        yield from table.to_pylist()


def count_rows(path: Path) -> int:
    """Rows of a shard or a folder, from the footers alone."""
    return sum(open_shard(shard).metadata.num_rows for shard in _files(path))


def metadata_of(path: Path) -> dict[str, str]:
    """The metadata in the footer of a shard, or of the first shard of a folder."""
    found = open_shard(_files(path)[0]).metadata.metadata or {}
    ours = {key.decode(): value.decode() for key, value in found.items() if not key.startswith(b"ARROW")}
    return {key: value for key, value in ours.items() if key != KEY}


def flat_columns(folder: Path, columns: Sequence[str], cache: Path) -> dict[str, np.ndarray]:
    """Columns of a corpus as flat arrays on disk, memory-mapped: any row in O(1), whatever the corpus size.

    A list column becomes its values end to end; `offsets` [N + 1] says where each row begins (all list columns of a
    corpus have equal lengths). A string column becomes fixed-width bytes in UTF-8.
    The files are written to `cache` once and used again when they are there.
    """
    if not (cache / "done").exists():
        _write_flat(folder, columns, cache)
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(cache.glob("*.npy"))}


def _write_flat(folder: Path, columns: Sequence[str], cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    rows = count_rows(folder)
    _write_array(cache / "offsets.npy", np.int64, rows + 1, _offsets(folder, columns[-1]))
    tokens = int(np.load(cache / "offsets.npy", mmap_mode="r")[-1])
    for name in columns:
        _write_flat_column(folder, name, cache / f"{name}.npy", rows, tokens)
    (cache / "done").touch()


def _offsets(folder: Path, column: str) -> Iterator[np.ndarray]:
    """0, and where each row of a list column ends when all stand end to end."""
    end = np.zeros(1, dtype=np.int64)
    yield end
    for table in _row_groups(folder, [column]):
        ends = end[-1] + np.cumsum(pc.list_value_length(table[column]).to_numpy(), dtype=np.int64)
        yield ends
        end = ends if len(ends) else end


def _write_flat_column(folder: Path, name: str, path: Path, rows: int, tokens: int) -> None:
    kind, tables = open_shard(_files(folder)[0]).schema_arrow.field(name).type, _row_groups(folder, [name])
    if pa.types.is_string(kind):
        width = max(pc.max(pc.binary_length(t[name])).as_py() or 1 for t in _row_groups(folder, [name]))
        _write_array(path, f"S{width}", rows, (t[name].cast(pa.binary()).to_numpy() for t in tables))
    else:
        values = (t[name].combine_chunks().flatten().to_numpy(zero_copy_only=False) for t in tables)
        _write_array(path, kind.value_type.to_pandas_dtype(), tokens, values)


def _write_array(path: Path, dtype: object, size: int, blocks: Iterable[np.ndarray]) -> None:
    """A .npy file of `size` values from blocks of them: one row group in memory, whatever the size of the corpus."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": (size,)})
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=dtype).data)


def _row_groups(path: Path, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    for shard in _files(path):
        file = open_shard(shard)
        if missing := set(columns or ()) - set(file.schema_arrow.names):
            raise InputError(f"{shard} has no {', '.join(sorted(missing))}: it is of another version, make it again")
        for number in range(file.num_row_groups):
            with _sound(shard, "is damaged"):
                table = file.read_row_group(number, columns=list(columns) if columns else None)
            yield table


def _files(path: Path) -> list[Path]:
    path = Path(path)
    return [path] if path.is_file() else shards(path)


def _repetitive(schema: pa.Schema) -> list[str]:
    """Columns worth a dictionary: few different values. Text and ids are smaller and faster without."""
    return [name for name in ("label", "origin", "reason", "predicted") if name in schema.names]


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in groups of so many, or fewer that are long."""
    group, items = [], 0
    for row in rows:
        group.append(row)
        items += sum(len(value) for value in row.values() if hasattr(value, "__len__"))
        if len(group) == ROWS_A_GROUP or items >= ITEMS_A_GROUP:
            yield group
            group, items = [], 0
    if group:
        yield group


def _chain(first: list[Row], rest: Iterable[Row]) -> Iterator[Row]:
    yield from first
    yield from rest


def _publish(draft: Path, path: Path) -> None:
    """Sync, then rename: what stands at `path` is whole, or is not there."""
    with open(draft, "rb") as file:
        os.fsync(file.fileno())
    os.replace(draft, path)
