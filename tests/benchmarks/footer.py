"""a flipped bit in the footer of a shard

Parquet has checksums of pages and none of the footer, where names of columns and places of pages stand. Of a shard of
200 documents single bits are flipped, evenly spread over the footer, one at a time, and the shard is read. *Other
rows* is the fault that matters: it is read without a word, and what is read is not what was written. *Keymask* looks
at the hash that our shards hold in their footer (`corpora/footer.py`), pyarrow alone does not.
"""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from corpora.parquet import read_rows, write_shard
from corpora.schemas import DOCUMENTS, InputError
from tests.benchmarks.text import prose
from tests.benchmarks.timing import Found

FLIPS = 12_500
OUTCOMES = ("refused", "as written", "other rows")


def measure(quick: bool) -> Found:
    """What becomes of every flipped bit, a row a way of reading."""
    rows = [
        {name: None for name in DOCUMENTS.names}
        | {"id": f"d{i}", "text": text, "label": str(i % 2), "origin": "bench"}
        for i, text in enumerate(prose("zh", 20 if quick else 200))
    ]
    with TemporaryDirectory() as name:
        path = Path(name) / "part-00000.parquet"
        write_shard(path, DOCUMENTS, rows)
        whole, length = path.read_bytes(), int.from_bytes(path.read_bytes()[-8:-4], "little")
        bits = 8 * length
        count = min(100 if quick else FLIPS, bits)
        found = {"Keymask": Counter(), "pyarrow, page checksums verified": Counter()}
        for number in range(count):
            place = number * bits // count
            damaged = bytearray(whole)
            damaged[len(whole) - 8 - length + place // 8] ^= 1 << place % 8
            path.write_bytes(damaged)
            for reader, counts in zip((ours, plainly), found.values(), strict=True):
                counts[outcome(reader, path, rows)] += 1
    table = [{"": name, **{one: f"{counts[one]:,}" for one in OUTCOMES}} for name, counts in found.items()]
    return [f"{count:,} of the {bits:,} bits of the footer.", table]


def outcome(reader: object, path: Path, rows: list[dict]) -> str:
    """What reading a damaged shard comes to."""
    try:
        read = reader(path)
    except (InputError, pa.ArrowException, OSError, ValueError, MemoryError, KeyError, TypeError, OverflowError):
        return "refused"
    return "as written" if read == rows else "other rows"


def ours(path: Path) -> list[dict]:
    """As our stages read it."""
    return list(read_rows(path))


def plainly(path: Path) -> list[dict]:
    """By the library alone, page checksums verified."""
    return pq.ParquetFile(path, page_checksum_verification=True).read().to_pylist()
