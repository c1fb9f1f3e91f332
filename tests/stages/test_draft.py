"""Cards and a recipe for files nobody has described: what is guessed can be used as it stands."""

import json
import re
from argparse import Namespace
from pathlib import Path

import pytest

from corpora.cards import load_card
from corpora.keeping import in_silence
from corpora.reading.sources import documents
from corpora.schemas import InputError
from stages.check import check
from stages.draft import draft

ROWS = [(f"第{i}次来，这家店的菜真是{word}，下次还会介绍朋友。", i, "好" if word == "好吃" else "差")
        for i, word in enumerate(["好吃", "难吃"] * 10)]  # fmt: skip


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = ["编号,评论,评分", *(f"{number},{text},{label}" for text, number, label in ROWS)]
    Path("reviews.csv").write_text("\n".join(lines), encoding="utf-8")
    Path("raw").mkdir()
    Path("raw/a.txt").write_text("\n".join(text for text, *_ in ROWS), encoding="utf-8")
    return tmp_path


def asked(**given: str) -> Namespace:
    usual = {"name": "shop", "task": "reviews.csv", "domain": "raw/*.txt", "base": "some/base"}
    return Namespace(**dict.fromkeys(("text", "label", "language", "base", "general"), "") | usual | given)


def test_text_label_and_language_are_found_and_the_cards_read_the_files(files):
    draft(asked())
    task, domain = load_card("shop/task.toml"), load_card("shop/domain.toml")
    rows = list(documents(task, "train", Path("data"), in_silence))
    assert [(row["text"], row["label"]) for row in rows] == [(text, label) for text, _, label in ROWS]
    assert task.language == domain.language == "zh"
    assert len(list(documents(domain, "unlabeled", Path("data"), in_silence))) == len(ROWS)


@pytest.mark.parametrize("given", [{}, {"base": "", "general": "raw"}])
def test_every_section_of_the_recipe_is_sound(files, given):
    recipe = draft(asked(**given))
    check(str(recipe), [], files / "settings")
    base = json.loads((files / "settings" / "base.json").read_text())
    assert base["model"] == ("" if given else "some/base")


def test_what_is_named_is_not_guessed(files):
    draft(asked(text="评论", label="编号", language="en"))
    card = load_card("shop/task.toml")
    assert (card.fields["label"], card.language) == ("编号", "en")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"text": "评论s"}, "no column '评论s' in reviews.csv (did you mean 评论?): it has 编号, 评论, 评分"),
        ({"domain": "nowhere/*.txt"}, "no file nowhere/*.txt that can be read"),
        ({"base": ""}, "no base: set BASE="),
        ({"task": "raw/a.txt"}, "looks like labels (it has one): set LABEL="),
        ({"task": ""}, "TASK= not set, as in make new NAME=shop"),
        ({"name": "raw"}, "raw is there already"),
        ({"name": "my 'shop'"}, """NAME=my 'shop' has " '" in it, which make and recipes read otherwise"""),
        ({"language": "zh_CN:zh"}, "language = 'zh_CN:zh' is no tag of one language: write zh, en, yue"),
    ],
)
def test_what_cannot_be_drafted_is_said_in_one_line_and_nothing_is_written(files, given, told):
    with pytest.raises(InputError, match=re.escape(told)):
        draft(asked(**given))
    assert not Path("shop").exists()
