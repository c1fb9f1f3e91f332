"""Near-duplicates: copies with small changes are found, other documents are not."""

import numpy as np
import pytest

from corpora.cleaning import near as near_module
from corpora.cleaning.near import Met, bands, near

ALPHABET = [chr(code) for code in range(0x4E00, 0x4E00 + 400)]


def document(draw: np.random.Generator, size: int = 120) -> str:
    return "".join(draw.choice(ALPHABET, size))


def changed(draw: np.random.Generator, text: str, places: int) -> str:
    chars = list(text)
    for place in draw.choice(len(text), places, replace=False):
        chars[place] = "换"
    return "".join(chars)


def kept(texts: list[str], language: str = "zh") -> tuple[list[str], list[tuple[str, str]]]:
    rows, pairs = [{"text": text, "id": f"id of {text}", "place": ""} for text in texts], []
    return [row["text"] for row in near(rows, Met.of(language), lambda *_: None, pairs)], pairs


@pytest.mark.parametrize(("places", "least", "most"), [(1, 0.99, 1.0), (3, 0.85, 1.0), (20, 0.0, 0.02)])
def test_planted_copies_are_found_by_how_much_they_share(places, least, most):
    """One changed character touches five runs: 1 of 116 leaves J = 0.92, 3 about 0.77, 20 about 0.26."""
    draw = np.random.default_rng(0)
    originals = [document(draw) for _ in range(300)]
    copies = [changed(draw, text, places) for text in originals]
    found, _ = kept(originals + copies)
    assert found[:300] == originals
    assert least <= 1 - (len(found) - 300) / 300 <= most


def test_documents_of_one_template_stay_apart_where_half_of_them_differs():
    draw = np.random.default_rng(1)
    head = document(draw, 60)
    texts = [head + document(draw, 60) for _ in range(1000)]
    assert len(kept(texts)[0]) == 1000


def test_figures_alone_make_documents_differ():
    texts = [
        f"第{n}号公告 编号{n * 7919} 金额{n * 104729}元 日期{n * 31}日 电话{n * 15485863}" for n in range(100, 200)
    ]
    assert len(kept(texts)[0]) > 90


def test_the_first_is_kept_and_the_pair_is_told_whatever_the_batch():
    draw = np.random.default_rng(2)
    first, others = document(draw), [document(draw) for _ in range(600)]
    copy = changed(draw, first, 1)
    for texts in ([first, copy, *others], [first, *others, copy]):
        found, pairs = kept(texts)
        assert found == [first, *others] and pairs == [(copy, f"id of {first}")]


def test_short_texts_are_nobody_s_duplicates_and_words_count_in_english():
    assert kept(["好", "好", "很好"])[0] == ["好", "好", "很好"]
    text = " ".join(f"w{i}" for i in range(60))
    assert kept([text, text.upper() + "!", text + " again"], "en")[0] == [text]
    assert kept([], "zh") == ([], [])


@pytest.mark.parametrize(("block", "merged", "most"), [(near_module.BLOCK, near_module.MERGED, 10), (64, 2000, 30)])
def test_layers_and_blocks_hold_everything_and_are_few(block, merged, most, monkeypatch):
    monkeypatch.setattr(near_module, "BLOCK", block)
    monkeypatch.setattr(near_module, "MERGED", merged)
    draw, met = np.random.default_rng(3), Met.of("zh")
    signatures = met.signatures([document(draw, 40) for _ in range(2500)])
    for i in range(0, 2500, 25):
        met.add(signatures[i : i + 25], [str(j) for j in range(i, i + 25)])
    assert (
        met.twins(signatures).tolist() == list(range(2500))
        and met.ids == [str(i) for i in range(2500)]
        and len(met.layers) <= most
    )
    assert (met.twins(met.signatures([document(draw, 40) for _ in range(50)])) == -1).all()
    assert sum(map(len, met.blocks)) < 2500 + block and max(len(one) for one, _ in met.layers) < 3 * merged
    assert not met.signatures(["", "好"]).any() and bands(signatures).all()
