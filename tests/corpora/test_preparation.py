"""The documents of a recipe: whatever stands in a file, every row comes out or is counted."""

import json
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from corpora.cleaning.dedup import identified
from corpora.config import CorpusConfig
from corpora.keeping import Rejected
from corpora.parquet import Row
from corpora.preparation import Preparation
from corpora.reading import formats
from corpora.schemas import DOCUMENTS
from corpora.slices import remove_stale, slices_of, write_slice

CARD = 'name = "toy"\nlanguage = "zh"\n[fields]\ntext = "text"\ngroup = "by"\n[files]\nunlabeled = "text.jsonl"\n'
DEV = "这是一段只在开发集里出现的文字它比二十四个字要长一些所以会被找到"
BITS = st.sampled_from(
    [
        "好的。",
        "漢字",
        "<b>",
        "&amp;",
        "\n",
        "行\n行\n",
        "a ",
        "\0",
        "\ud800",
        "，",
        "\ufeff",
        "13812345678",
        "한국어 ",
        DEV,
    ]
)
TEXTS = st.one_of(st.lists(BITS, max_size=8).map("".join), BITS.map(lambda bit: bit * 90), st.text(max_size=20))
SWITCHES = (
    "strip_markup",
    "mask_private",
    "simplify",
    "quality_rules",
    "drop_other_languages",
    "drop_near_duplicates",
)


@given(texts=st.lists(TEXTS, max_size=12), asked=st.sets(st.sampled_from(SWITCHES)), numbers=st.booleans())
@settings(max_examples=40)
def test_every_row_of_any_text_comes_out_or_is_counted_whatever_is_asked_for(texts, asked, numbers, tmp_path_factory):
    data = tmp_path_factory.getbasetemp()
    (data / "toy.toml").write_text(CARD)
    rows = [json.dumps({"text": text, "by": len(text) % 3}) for text in texts]
    (data / "text.jsonl").write_text("\n".join(rows), encoding="utf-8")
    more = {"repeated_lines": 2, "max_chars": 100} if numbers else {}
    config = CorpusConfig(domain=("toy.toml",), **dict.fromkeys(asked, True), **more)
    work, found = prepared(config, data)
    more_pieces = work.repaired["pieces_of_these"] - work.repaired["documents_cut"]
    assert len(found) + work.rejected.reasons().total() == len(texts) + more_pieces
    assert all(DEV not in row["text"] for row in found) and len({row["id"] for row in found}) == len(found)
    with patch.object(formats, "PART_BYTES", 400):
        for one in slices_of(config, data):
            write_slice(one, data / "slices" / one.name(config), config, data)
        by_slices, same = prepared(config, data, data / "slices")
        remove_stale(CorpusConfig(), data, data / "slices")
    assert [documents(row) for row in same] == [documents(row) for row in found]
    assert (by_slices.rejected.counts, +by_slices.repaired) == (work.rejected.counts, +work.repaired)


def prepared(config: CorpusConfig, data: Path, slices: Path | None = None) -> tuple[Preparation, list[Row]]:
    """The domain, where dev is held out."""
    work = Preparation(config, data, data / "out", Rejected(data / "rejected"), slices=slices)
    list(work.held(identified([{"text": DEV}], "toy", "toy:dev")))
    return work, list(work.text("domain"))


def documents(row: Row) -> list[object]:
    """What is written of a row, and what decides where."""
    return [row.get(name) for name in (*DOCUMENTS.names, "place", "group", "fingerprint")]
