"""Misspelt text: how much of it, of which kind, and always the same."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from corpora.cards import parse_source
from corpora.cleaning.dedup import fingerprint
from corpora.demo import planted as demo
from corpora.keeping import in_silence
from corpora.reading.sources import documents
from corpora.spelling.confusions import Confusions, read_confusions
from corpora.spelling.noise import NoiseConfig, misspelt, sentences, training_pairs

RECIPES = Path(__file__).parents[3] / "stages" / "recipes"
CONFUSIONS = Confusions(sound={"门": ("们", "闷"), "未": ("为",)}, shape={"未": ("末",)}, any=("一", "门", "未"))
CONFIG = NoiseConfig(text=("demo_zh_domain",), clean=0.0, rate=1.0)
DOMAIN = [parse_source("demo_zh_domain:unlabeled")]


def made(text: str, count: int, **settings) -> list[dict]:
    rows = [{"id": f"doc-{i}", "text": text} for i in range(count)]
    return list(misspelt(rows, replace(CONFIG, **settings), CONFUSIONS))


def read(card, split, reject):
    return documents(card, split, Path(), reject)


def pairs(held_out=(), told=lambda origin: in_silence, **settings) -> list[dict]:
    return list(training_pairs(replace(CONFIG, **settings), DOMAIN, Path(), set(held_out), told, read))


def test_a_document_is_cut_after_the_ends_of_its_sentences():
    text = "我们都很好，你呢？“他也很好！”他说。\n短。last line without Chinese\n" + "长" * 130 + "。没有句号也可以"
    found = [row["text"] for row in sentences([{"text": text, "place": "a:1"}], CONFIG)]
    assert found == ["我们都很好，你呢？", "“他也很好！”", "没有句号也可以"]


def test_replacements_are_of_their_kinds_in_their_shares():
    kinds = {"sound": "为", "shape": "末", "any": "一门"}
    found = [row["source"] for row in made("未", 4000, sound=0.5, shape=0.3, any=0.2)]
    assert "未" not in found
    shares = {kind: np.mean([char in chars for char in found]) for kind, chars in kinds.items()}
    assert shares == pytest.approx({"sound": 0.5, "shape": 0.3, "any": 0.2}, abs=0.03)


def test_a_character_without_look_alikes_is_mistaken_by_sound_and_one_without_either_stays():
    assert {row["source"] for row in made("门", 50, sound=0.1, shape=0.9, any=0.0)} == {"们", "闷"}
    assert {row["source"] for row in made("人a，", 50, any=0.0)} == {"人a，"}


def test_every_replaced_character_is_another_one_and_the_rest_stays():
    for row in made("门x未，人", 200, rate=0.5):
        assert row["target"] == "门x未，人" and len(row["source"]) == 5 and row["text"] == row["source"]
        assert (row["source"][1], row["source"][3]) == ("x", "，")


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_as_many_are_replaced_as_asked_for_and_as_many_sentences_left_alone(rate):
    rows = made("门" * 20, 1000, rate=rate, clean=0.4, any=0.0)
    wrong = np.array([[a != b for a, b in zip(row["source"], row["target"], strict=True)] for row in rows])
    untouched = ~wrong.any(1)
    assert untouched.mean() == pytest.approx(0.4 + 0.6 * (1 - rate) ** 20, abs=0.05)
    assert wrong.mean() == pytest.approx(0.6 * rate, abs=0.02)


def test_what_becomes_of_a_sentence_depends_on_its_id_and_the_seed_alone():
    whole = {row["id"]: row["source"] for row in made("门未门未门", 60, rate=0.5)}
    some = list(misspelt([{"id": "doc-7", "text": "门未门未门"}], replace(CONFIG, rate=0.5), CONFUSIONS))
    assert some[0]["source"] == whole["doc-7"]
    other = {row["id"]: row["source"] for row in made("门未门未门", 60, rate=0.5, seed=1)}
    assert sum(whole[name] != other[name] for name in whole) > 30


def test_a_sample_is_contained_in_a_larger_one_and_each_sentence_is_there_once():
    few, more = pairs(pairs=50), pairs(pairs=200)
    assert (len(few), len(more)) == (50, 200)
    assert {row["id"] for row in few} < {row["id"] for row in more}
    assert len({row["target"] for row in more}) == 200


def test_what_is_right_in_dev_or_test_is_left_out_and_told():
    right, told = pairs(pairs=5)[0]["target"], []
    kept = pairs(
        pairs=50,
        held_out=[fingerprint(right)],
        told=lambda origin: lambda place, reason, text: told.append((origin, reason, text)),
    )
    assert right not in {row["target"] for row in kept}
    assert ("demo_zh_domain:unlabeled", "in_dev_or_test", right) in told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"rate": 1.5}, "rate = 1.5 must lie between 0 and 1"),
        ({"sound": 0.0, "shape": 0.0, "any": 0.0}, "sound, shape and any are all 0"),
        ({"min_chars": 10, "max_chars": 5}, "min_chars at least 1 and at most max_chars"),
    ],
)
def test_settings_without_meaning_are_refused(settings, told):
    with pytest.raises(ValueError, match=told):
        NoiseConfig(**settings)


def test_the_demo_is_misspelt_by_characters_that_its_own_text_holds():
    confusions = read_confusions(RECIPES / "demo-confusions.tsv")
    rows = [row for corpus in ("zh_general", "zh_domain") for row in islice(demo.rows(corpus, "unlabeled"), 4000)]
    known = {char for row in rows for char in row["text"]}
    assert {char for pair in confusions.items() for group in pair for char in group} <= known
    text = "".join(row["text"] for row in islice(demo.rows("zh_domain", "unlabeled"), 500))
    ideographs = [char for char in text if "\u4e00" <= char <= "\u9fff"]
    assert np.mean([char in confusions for char in ideographs]) > 0.75
