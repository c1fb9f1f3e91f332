"""A part of a file: all parts together are the file, wherever it is cut."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.cards import Card
from corpora.keeping import in_silence
from corpora.reading.lines import lines
from corpora.reading.raw import Part, Raw
from corpora.reading.sources import documents_of
from corpora.reading.values import Labels

COUNTS = (1, 2, 3, 7, 50)


@pytest.mark.parametrize("seed", range(3))
def test_the_lines_of_all_parts_are_those_of_the_file_each_with_its_number(tmp_path, seed):
    path, draw = tmp_path / "text.txt", random.Random(seed)
    bits = ["\n", "\n", "好", "a", "\r", "\ufeff", "行" * 70000 if seed else "行" * 7]
    path.write_bytes("".join(draw.choices(bits, k=200)).encode() + b"\xff\n\xe4")
    whole = list(lines(Raw(path), "utf-8"))
    for count in COUNTS:
        found, size, last = [], 0, 0
        for number in range(count):
            raw = Raw(path, Part(number, count), before=last)
            found += lines(raw, "utf-8")
            last, size = raw.last, size + raw.size
        assert (found, size, last) == (whole, path.stat().st_size, len(whole))


@pytest.mark.parametrize("rows_a_group", [1, 4, 100])
def test_the_rows_of_all_parts_are_those_of_the_file_each_with_its_place(tmp_path, rows_a_group):
    path = tmp_path / "text.parquet"
    pq.write_table(pa.table({"text": [f"{n}" for n in range(23)]}), path, row_group_size=rows_a_group)
    card = Card("toy", "", "zh", "", "", {"text": "text"}, {"unlabeled": (path.name,)}, path=tmp_path / "toy.toml")
    for count in COUNTS:
        found, last, told = [], 0, 0
        for number in range(count):
            seen: list[int] = []
            raw = Raw(path, Part(number, count), before=last)
            found += documents_of(card, "unlabeled", Path(tmp_path), raw, Labels(), in_silence, seen.append)
            last, told = raw.last, told + sum(seen)
        assert [row["place"] for row in found] == [f"text.parquet:{n + 1}" for n in range(23)]
        assert [row["text"] for row in found] == [f"{n}" for n in range(23)] and told == path.stat().st_size
