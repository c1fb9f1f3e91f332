"""Cards: what a card may say, and what happens when it says something else."""

from pathlib import Path

import pytest

from corpora.cards import CARDS, Hub, known_cards, load_card, parse_source
from corpora.config import CorpusConfig
from corpora.schemas import InputError
from corpora.segment import WordsConfig

GOOD = """
name = "toy"
language = "en"
[fields]
text = "body"
label = "stars"
[files]
train = "toy.csv"
dev = ["a.csv", "b.csv"]
"""


def card_file(folder: Path, text: str) -> str:
    path = folder / "toy.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_card(card_file(folder, text))
    return str(caught.value)


@pytest.mark.parametrize("name", known_cards())
def test_every_card_we_ship_is_valid_and_named_like_its_file(name):
    card = load_card(name)
    assert card.name == name and card.title and card.licence and card.origin and card.splits


def test_a_card_says_which_column_is_the_text_and_which_files_a_split_has(tmp_path):
    card = load_card(card_file(tmp_path, GOOD))
    assert card.fields == {"text": "body", "label": "stars"}
    assert card.files == {"train": ("toy.csv",), "dev": ("a.csv", "b.csv")}
    assert card.target == "label"


def test_a_card_is_found_under_data(tmp_path):
    card_file(tmp_path, GOOD)
    assert load_card("toy.toml", tmp_path).name == "toy"


def test_an_unknown_card_is_refused_with_the_nearest_known_name():
    with pytest.raises(InputError, match=r"no card imbd \(did you mean imdb\?\)"):
        load_card("imbd")


def test_all_that_is_wrong_with_a_card_is_said_at_once(tmp_path):
    said = refusal(tmp_path, GOOD.replace("label =", "lable =").replace("dev =", "devv =").replace("name", "nane"))
    assert "field lable (did you mean label?)" in said
    assert "split devv (did you mean dev?)" in said
    assert "key nane (did you mean name?)" in said
    assert "name is missing" in said


def test_a_card_without_a_text_column_is_refused(tmp_path):
    assert "field text is missing" in refusal(tmp_path, GOOD.replace('text = "body"', ""))


def test_a_language_is_one_and_no_list_of_a_desktop(tmp_path):
    said = refusal(tmp_path, GOOD.replace('language = "en"', 'language = "zh_CN:zh"'))
    assert "language = 'zh_CN:zh' is no tag of one language" in said
    for config in (CorpusConfig, WordsConfig):
        with pytest.raises(InputError, match="language = 'zh_CN:zh' is no tag of one language"):
            config(language="zh_CN:zh")


def test_a_card_with_neither_files_nor_generator_is_refused(tmp_path):
    assert "needs either [files], [hub] or [generated]" in refusal(tmp_path, GOOD.partition("[files]")[0])


def test_a_card_says_how_its_text_files_are_read(tmp_path):
    assert (load_card(card_file(tmp_path, GOOD)).encoding, load_card(card_file(tmp_path, GOOD)).documents) == (
        "",
        "lines",
    )
    card = load_card(card_file(tmp_path, 'encoding = "gbk"\ndocuments = "blocks"' + GOOD))
    assert (card.encoding, card.documents) == ("gbk", "blocks")
    said = refusal(tmp_path, 'encoding = "gbk18030"\ndocuments = "pages"' + GOOD)
    assert "unknown encoding gbk18030 (did you mean gb18030?)" in said and "unknown documents pages" in said


def test_only_texts_may_be_templates(tmp_path):
    card = load_card(card_file(tmp_path, GOOD.replace('"body"', '["{title}：{body}", "more"]')))
    assert card.columns("text") == ("title", "body", "more") and card.parts("text") == ("{title}：{body}", "more")
    assert "field label must name a column" in refusal(tmp_path, GOOD.replace('"stars"', '"{stars}"'))


def test_tags_need_tokens(tmp_path):
    assert "field tags needs field tokens" in refusal(tmp_path, GOOD.replace("label =", "tags ="))


def test_two_targets_are_refused(tmp_path):
    assert "both targets" in refusal(tmp_path, GOOD.replace("[files]", 'labels = "topics"\n[files]'))


def test_a_checksum_that_is_no_sha256_is_refused(tmp_path):
    assert "not a sha256" in refusal(tmp_path, GOOD + '[checksums]\n"toy.csv" = "abc"')


def test_broken_toml_is_refused_with_its_path(tmp_path):
    assert "toy.toml is not valid TOML" in refusal(tmp_path, "name = ")


def test_a_source_names_a_card_and_its_splits():
    card, splits = parse_source("imdb:train+dev")
    assert (card.name, splits) == ("imdb", ("train", "dev"))


def test_a_source_may_name_no_split():
    assert parse_source("imdb")[1] == ()


def test_a_split_the_card_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(InputError, match="no split unlabeled: take of train, dev, test"):
        parse_source("imdb:train+unlabeled")


def test_plain_text_is_the_unlabeled_split_or_else_all():
    assert load_card("eprstmt").text_splits == ("unlabeled",)
    assert load_card("imdb").text_splits == ("train", "dev", "test")


def test_a_generated_card_has_splits_and_no_files():
    card = load_card("demo_zh_task")
    assert (card.generated, card.splits, card.files) == ("zh_task", ("train", "dev", "test"), {})


def test_cards_lie_beside_the_code():
    assert CARDS.is_dir()


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def on_hub(folder, **changes: str) -> str:
    said = {"name": '"a/b"', "revision": f'"{COMMIT}"', "splits": '{ train = "train", unlabeled = "raw" }'} | changes
    table = "".join(f"{key} = {value}\n" for key, value in said.items() if value)
    return card_file(folder, GOOD.partition("[files]")[0] + "[hub]\n" + table)


def test_a_card_names_data_set_commit_and_splits(tmp_path):
    found = load_card(on_hub(tmp_path, config='"zh"'))
    assert found.hub == Hub("a/b", COMMIT, {"train": "train", "unlabeled": "raw"}, "zh")
    assert (found.splits, found.files) == (("train", "unlabeled"), {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"revision": ""}, "hub.revision must be a commit of 40 hex digits"),
        ({"revision": '"main"'}, "hub.revision must be a commit of 40 hex digits"),
        ({"name": '"../a/b"'}, 'hub.name must be as "owner/name"'),
        ({"splits": '"train"'}, "hub.splits must say which is which"),
        ({"splits": '{ trian = "train" }'}, "unknown split trian (did you mean train?)"),
        ({"config": "3"}, "hub.config must be a string"),
        ({"code": "true"}, "unknown key of [hub] code"),
    ],
)
def test_a_card_that_leaves_open_what_is_read_is_refused(tmp_path, changes, said):
    with pytest.raises(InputError) as caught:
        load_card(on_hub(tmp_path, **changes))
    assert said in str(caught.value)


def test_a_folder_is_never_taken_for_a_data_set_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = on_hub(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    with pytest.raises(InputError, match=r"hub\.name a/b is a folder here"):
        load_card(path)
