"""Every selector and replacer in the place of the default one, and the look at what they do."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from kitchen import Kitchen

import stages.mask as mask_stage
import stages.pretrain as pretrain_stage
import stages.show as show_stage
from corpora.parquet import count_rows, read_rows
from pipeline.masking.replacement import FATES
from pipeline.models import load_tokenizer


def mask_with(kitchen: Kitchen, out: Path, *settings: str) -> dict[str, float]:
    """The masked corpus with other settings, and what pretraining on it says of its masks."""
    config = kitchen.config(mask_stage.MaskConfig, "masked", *(f"masked.{one}" for one in settings))
    folders = {name: kitchen[name] for name in ("corpus", "tagger")} | {"classifier": None, "reference": None}
    found = mask_stage.mask(config, init=kitchen["base"], **folders, out=out)
    short = kitchen.config(pretrain_stage.PretrainConfig, "dapt", "dapt.trainer.steps=2", "dapt.trainer.batch_size=8")
    return found | pretrain_stage.pretrain(short, kitchen["base"], out / "domain", out / "dapt")


@pytest.mark.parametrize(
    "settings",
    [
        ("select=sample",),
        ("select=sample", "control=true"),
        ("select=threshold", "fill=none", "selective_share=1.0"),
        ("unit=ngram",),
        ("unit=span", "policy=whole_word"),
        ("unit=token",),
        ("policy=random",),
        ("selective_share_schedule=linear", "final_selective_share=0.0"),
        ("mask_rate_schedule=steps",),
        ("replacement=similar", "unit=ngram", "policy=whole_word"),
        ("replacement=confusion", "substitutes=alike.tsv"),
        ("mask_share=0.0", "random_share=1.0"),
        ("mask_share=0.0", "random_share=0.0"),
    ],
    ids=" ".join,
)
def test_every_selector_and_replacer_masks_and_pretrains(kitchen, tmp_path, settings):
    (kitchen.recipe.parent / "alike.tsv").write_text("菜\t汤\t面\n鱼\t肉\n", encoding="utf-8")
    found = mask_with(kitchen, tmp_path, *settings)
    assert found["dev_loss"] > 0
    if "fill=none" in settings:
        assert found["realised_chosen"] < 0.35
    else:  # a span may be longer than the budget of so short a sequence
        assert found["realised_chosen"] == pytest.approx(0.4, abs=0.2 if "unit=span" in settings else 0.05)
    fates = {fate: found[f"realised_{fate}"] for fate in FATES}
    assert sum(fates.values()) == pytest.approx(1)
    if "mask_share=0.0" in settings:
        assert fates["random" if "random_share=1.0" in settings else "kept"] == pytest.approx(1)
    if "replacement=similar" in settings:
        assert fates["replaced"] > 0.4 and found["substitutes_domain"] > 10
    if "replacement=confusion" in settings:
        assert found["substitutes_domain"] == 2


def test_function_words_and_punctuation_may_be_left_out(kitchen, tmp_path):
    mask_with(kitchen, tmp_path, "skip_stop_words=true", "skip_punctuation=true")
    tokenizer = load_tokenizer(kitchen["base"])
    chosen = Counter()
    for row in read_rows(tmp_path / "domain"):
        ids = np.array(row["input_ids"])
        chosen.update(tokenizer.convert_ids_to_tokens(ids[np.array(row["masked"])].tolist()))
    assert not {"，", "。", "的", "都"} & chosen.keys() and "真" in chosen


def test_terms_come_first_and_whole(kitchen, tmp_path):
    terms = kitchen.recipe.parent / "terms.txt"
    terms.write_text("吃的\n", encoding="utf-8")
    mask_with(kitchen, tmp_path, "terms=terms.txt", "selective_share=1.0", "mask_rate=0.3")
    tokenizer, seen = load_tokenizer(kitchen["base"]), 0
    wanted = tokenizer.convert_tokens_to_ids(["吃", "的"])
    for row in read_rows(tmp_path / "domain"):
        place = row["input_ids"].index(wanted[0])
        assert row["input_ids"][place : place + 2] == wanted
        assert row["word_ids"][place] == row["word_ids"][place + 1] and row["importance"][place] == 255
        seen += all(row["masked"][place : place + 2])
    assert seen > 0.9 * count_rows(tmp_path / "domain")


def test_a_users_dictionary_decides_what_a_word_is(kitchen, tmp_path):
    (kitchen.recipe.parent / "words.txt").write_text("吃的菜 100000\n", encoding="utf-8")
    mask_with(kitchen, tmp_path, "user_dictionary=words.txt")
    tokenizer = load_tokenizer(kitchen["base"])
    dish = tokenizer.convert_tokens_to_ids(list("吃的菜"))
    found = [row for row in read_rows(tmp_path / "domain") if dish[2] in row["input_ids"]]
    places = [row["input_ids"].index(dish[0]) for row in found if row["input_ids"].count(dish[0])]
    assert any(len(set(row["word_ids"][i : i + 3])) == 1 for row, i in zip(found, places, strict=False))


def test_what_masking_does_is_shown(kitchen, tmp_path):
    folders = {"init": kitchen["base"], "masked": kitchen["masked"], "corpus": kitchen["corpus"]}
    show_stage.show(show_stage.ShowConfig(sequences=2), **folders, out=tmp_path)
    html, text = ((tmp_path / name).read_text(encoding="utf-8") for name in ("index.html", "shown.txt"))
    assert "macbert 3" in text and "selective 1" in text and html.count("<h3>") == 4
    assert "\x1b[" in (tmp_path / "shown.ansi").read_text(encoding="utf-8")


def test_a_recipes_own_substitutes_are_shown(kitchen, tmp_path):
    (kitchen.recipe.parent / "alike.tsv").write_text("菜\t汤\t面\n", encoding="utf-8")
    own = ("policy=whole_word", "replacement=confusion", "substitutes=alike.tsv", "mask_share=1.0", "random_share=0.0")
    mask_with(kitchen, tmp_path, *own)
    (tmp_path / "manifest.json").write_text('{"config": {"language": "zh"}}')
    folders = {"init": kitchen["base"], "masked": tmp_path, "corpus": tmp_path}
    show_stage.show(show_stage.ShowConfig(sequences=60), **folders, out=tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    lines = re.findall(r"<th><span[^>]*>whole_word \d</span>.*?</th><td>(.*?)</td>", page)
    found = set(re.findall(r'class="t new"><s>(.*?)</s>(.*?)</span>', "".join(lines)))
    assert found == {("菜", "汤"), ("菜", "面")}
