"""`prepare` as a user meets it: a few files in, clean and separate documents out."""

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from corpora.parquet import metadata_of, read_rows
from corpora.schemas import DOCUMENTS, InputError
from corpora.spelling.noise import NoiseConfig
from pipeline.run.progress import Progress
from stages.prepare import CorpusConfig, prepare, sources, write_dependencies

TASK = """
name = "toy_task"
language = "en"
[fields]
text = "text"
label = "label"
[files]
"""

TEXT = """
name = "toy_text"
language = "en"
[fields]
text = "text"
[files]
unlabeled = "text.txt"
"""


class Workshop:
    """A data folder one can fill in a line, and prepare."""

    def __init__(self, folder: Path) -> None:
        self.data, self.out = folder / "data", folder / "out"
        self.data.mkdir()

    def task(self, **splits: list[tuple[str, object]]) -> str:
        for split, rows in splits.items():
            lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
            (self.data / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        files = "".join(f'{split} = "{split}.jsonl"\n' for split in splits)
        (self.data / "task.toml").write_text(TASK + files)
        return "task.toml"

    def card(self, name: str, **splits: list[tuple[str, object]]) -> str:
        """Another labelled corpus."""
        for split, rows in splits.items():
            lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
            (self.data / f"{name}-{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        files = "".join(f'{split} = "{name}-{split}.jsonl"\n' for split in splits)
        (self.data / f"{name}.toml").write_text(TASK.replace("toy_task", name) + files)
        return f"{name}.toml"

    def text(self, *lines: str) -> tuple[str]:
        (self.data / "text.txt").write_text("\n".join(lines), encoding="utf-8")
        (self.data / "text.toml").write_text(TEXT)
        return ("text.toml",)

    def prepare(self, **settings) -> dict[str, float]:
        return prepare(CorpusConfig(language="en", **settings), self.data, self.out)

    def texts(self, corpus: str) -> set[str]:
        return {row["text"] for row in read_rows(self.out / corpus)}

    def rejected(self) -> set[tuple[str, str]]:
        return {(row["reason"], row["text"]) for row in read_rows(self.out / "rejected")}


@pytest.fixture
def shop(tmp_path):
    return Workshop(tmp_path)


DEV = [("fine dev", "1"), ("poor dev", "0")]
TEST = [("fine test", "1"), ("poor test", "0")]
TRAIN = [("fine one", "1"), ("poor two", "0"), ("fine three", "1")]


def test_each_split_goes_where_it_belongs(shop):
    counts = shop.prepare(task=shop.task(train=TRAIN, dev=DEV, test=TEST))
    assert counts == {"task/train": 3, "task/dev": 2, "task/test": 2, "task/classes": 2}
    assert shop.texts("task/dev") == {"fine dev", "poor dev"} and shop.texts("task/test") == {"fine test", "poor test"}


def test_a_document_has_all_columns_and_says_where_it_came_from(shop):
    shop.prepare(task=shop.task(train=TRAIN, dev=DEV, test=TEST))
    row = next(read_rows(shop.out / "task/train"))
    assert list(row) == DOCUMENTS.names
    assert (row["origin"], row["label"], row["id"][:9]) == ("toy_task:train", "1", "toy_task-")


def test_training_text_that_is_in_dev_or_test_is_dropped(shop):
    task = shop.task(train=[*TRAIN, ("Fine, TEST!", "1"), ("poor dev", "0")], dev=DEV, test=TEST)
    assert shop.prepare(task=task)["rejected/in_dev_or_test"] == 2
    assert shop.rejected() == {("in_dev_or_test", "Fine, TEST!"), ("in_dev_or_test", "poor dev")}


def test_one_text_with_two_labels_is_dropped_and_a_repeated_one_kept_once(shop):
    train = [*TRAIN, ("so so", "1"), ("So so.", "0"), ("fine one", "1")]
    counts = shop.prepare(task=shop.task(train=train, dev=DEV, test=TEST))
    assert (counts["rejected/conflicting_label"], counts["rejected/duplicate"], counts["task/train"]) == (2, 1, 3)


def test_official_dev_and_test_are_kept_whole_but_for_what_cannot_be_used(shop):
    counts = shop.prepare(task=shop.task(train=TRAIN, dev=[*DEV, DEV[0], ("...", "1"), ("none", None)], test=TEST))
    assert (counts["task/dev"], counts["rejected/only_punctuation"], counts["rejected/no_label"]) == (3, 1, 1)
    ids = [row["id"] for row in read_rows(shop.out / "task/dev")]
    assert len(set(ids)) == 3


def test_domain_and_general_hold_no_text_of_dev_or_test(shop):
    text = shop.text("Fine dev.", "poor test", "fine one", "other", "another")
    counts = shop.prepare(task=shop.task(train=TRAIN, dev=DEV, test=TEST), domain=text, general=text)
    assert counts["rejected/contaminated"] == 4
    assert shop.texts("domain") == shop.texts("general") == {"fine one", "other", "another"}


def test_a_corpus_holds_each_text_once_over_all_its_cards(shop):
    counts = shop.prepare(domain=shop.text("one thing", "other thing", "One thing!") * 2)
    assert shop.texts("domain") == {"one thing", "other thing"} and counts["rejected/duplicate"] == 4


def test_a_file_of_another_encoding_is_read_and_said(shop, capsys):
    text = shop.text("one thing", "other thing and more of it than that")
    (shop.data / "text.txt").write_text((shop.data / "text.txt").read_text(), encoding="utf-16")
    shop.prepare(domain=text)
    assert shop.texts("domain") == {"one thing", "other thing and more of it than that"}
    assert "toy_text: text.txt read as utf-16-le\n" in capsys.readouterr().err
    assert "- toy_text: text.txt read as utf-16-le\n" in (shop.out / "preview.md").read_text()


def test_a_part_of_the_text_is_held_back_and_belongs_to_one_side(shop):
    counts = shop.prepare(
        domain=shop.text(*(f"line {number}" for number in range(500))), dev_documents=7, dev_share=0.1
    )
    assert (counts["domain/train"], counts["domain/dev"]) == (493, 7)
    assert not shop.texts("domain/train") & shop.texts("domain/dev")


def test_dev_and_test_are_cut_from_train_where_the_card_has_none(shop):
    train = [(f"line {number}", str(number % 2)) for number in range(300)]
    counts = shop.prepare(task=shop.task(train=[*train, train[0], ("...", "0")]))
    assert counts["task/train"] + counts["task/dev"] + counts["task/test"] == 300
    assert 40 < counts["task/test"] < 80 and 15 < counts["task/dev"] < 45
    assert (counts["rejected/duplicate"], counts["rejected/only_punctuation"]) == (1, 1)


def test_a_smaller_sample_is_part_of_a_larger_one(shop):
    task = shop.task(train=[(f"line {number}", str(number % 2)) for number in range(100)], dev=DEV, test=TEST)
    assert shop.prepare(task=task, task_train_rows=10)["task/not_sampled"] == 90
    small = shop.texts("task/train")
    shop.prepare(task=task, task_train_rows=20)
    assert len(small) == 10 and small < shop.texts("task/train")


def test_preparing_again_writes_the_same_bytes(shop, tmp_path):
    config = CorpusConfig(
        task=shop.task(train=TRAIN, dev=DEV, test=TEST), domain=shop.text("one", "two"), language="en"
    )
    prepare(config, shop.data, tmp_path / "first")
    prepare(config, shop.data, tmp_path / "second")
    files = sorted(path.relative_to(tmp_path / "first") for path in (tmp_path / "first").rglob("*") if path.is_file())
    assert files and all(
        (tmp_path / "first" / f).read_bytes() == (tmp_path / "second" / f).read_bytes() for f in files
    )


def test_as_many_bytes_are_read_as_were_announced_however_often_a_file_is_read(shop, monkeypatch):
    lines = []
    monkeypatch.setattr("stages.prepare.Progress", lambda *a, **more: lines.append(Progress(*a, **more)) or lines[-1])
    task = shop.task(train=[(f"Hello. line {number}", str(number % 2)) for number in range(50)], test=TEST)
    away, other = shop.card("away", test=TEST), shop.card("other", train=TRAIN, dev=DEV, test=TEST)
    text, noise = shop.text("one", "two", "three"), {"repeated_lines": 2, "task_templates": 0.5}
    shop.prepare(task=task, beside=(other,), elsewhere=(away,), domain=text, general=text, **noise)
    shop.prepare(noise=noisy(shop, 200))
    shop.prepare(task=spelt(shop, test=OF_TEST), noise=noisy(shop, 200))
    assert len(lines) == 3 and all(line.done == line.count > 0 for line in lines)


def test_a_corpus_the_recipe_leaves_out_is_not_there(shop):
    shop.prepare(domain=shop.text("one", "two"))
    assert not (shop.out / "task").exists() and not (shop.out / "general").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["...", "！", " "], "0 of 3 documents left for domain; top reason: only_punctuation \\(2\\)"),
        ([], "0 of 0 documents left for domain; top reason: the files are empty"),
    ],
)
def test_nothing_left_is_an_error_with_the_top_reason(shop, lines, message):
    with pytest.raises(InputError, match=message):
        shop.prepare(domain=shop.text(*lines))


def test_one_class_only_is_refused(shop):
    with pytest.raises(InputError, match=r"only one class in task train of card toy_task \(1\)"):
        shop.prepare(task=shop.task(train=[("one", "1"), ("two", "1")], dev=DEV[:1], test=TEST[:1]))


def test_a_label_train_never_saw_is_named_with_its_place(shop):
    with pytest.raises(InputError, match=r"label '7' of task dev \(dev.jsonl:3\) never occurs in task train: correct"):
        shop.prepare(task=shop.task(train=TRAIN, dev=[*DEV, ("odd", "7")], test=TEST))


def test_a_sample_too_small_for_a_class_says_to_raise_it(shop):
    train = [(f"line {number}", str(number)) for number in range(20)]
    with pytest.raises(InputError, match="raise corpus"):
        shop.prepare(
            task=shop.task(train=train, dev=[("a1", "3")], test=[("b1", str(n)) for n in range(20)]), task_train_rows=5
        )


def test_a_card_without_labels_is_no_task(shop):
    with pytest.raises(InputError, match="card toy_text cannot be a task"):
        shop.prepare(task=shop.text("one", "two")[0])


def test_a_card_of_another_language_is_refused(shop):
    with pytest.raises(InputError, match=r"corpus.language is zh, but not that of toy_text \(en\)"):
        prepare(CorpusConfig(domain=shop.text("one", "two")), shop.data, shop.out)


def test_a_recipe_without_a_corpus_is_refused(shop):
    with pytest.raises(InputError, match="names no corpus"):
        shop.prepare()


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="dev_share = 1"):
        CorpusConfig(dev_share=1)
    with pytest.raises(ValueError, match="shard_rows"):
        CorpusConfig(shard_rows=0)


def test_the_preview_shows_counts_reasons_and_harmless_text(shop):
    shop.prepare(domain=shop.text("<script>alert(1)</script> \u202egnp | \x1b[31m", "two", "two", "three"))
    page = (shop.out / "preview.md").read_text(encoding="utf-8")
    assert "| domain/train | 2 |" in page and "| domain | duplicate | 1 |" in page
    assert "&lt;script&gt;" in page and "<script>" not in page
    assert "\\u202e" in page and "\u202e" not in page and "\x1b" not in page


def test_the_sources_are_the_cards_and_the_files_that_are_read(shop):
    config = CorpusConfig(domain=shop.text("one"), task=shop.task(train=TRAIN, dev=DEV), language="en")
    names = ["text.toml", "task.toml", "text.txt", "train.jsonl", "dev.jsonl"]
    assert sources(config, shop.data) == [shop.data / name for name in names]


def test_a_file_elsewhere_is_read_and_its_card_alone_is_watched(shop):
    system = fsspec.filesystem("memory")
    system.pipe("/toy/text.txt", content := b"one\ntwo")
    url, digest = "memory://toy/text.txt", hashlib.sha256(content).hexdigest()
    shop.text()
    (shop.data / "text.toml").write_text(f'{TEXT.replace("text.txt", url)}[checksums]\n"{url}" = "{digest}"\n')
    assert shop.prepare(domain=("text.toml",))["domain/train"] == 1 and shop.texts("domain") == {"one", "two"}
    config = CorpusConfig(domain=("text.toml",), language="en")
    assert sources(config, shop.data) == [shop.data / "text.toml"]


MAKEFILE = """
RUN := runs/toy
$(RUN)/corpus/manifest.json: ; @echo made; touch $@
include $(RUN)/corpus/sources.mk
"""


def test_make_sees_a_changed_source_and_forgives_a_missing_one(tmp_path):
    def make() -> str:
        command = ["make", "-s", "-C", str(tmp_path), "runs/toy/corpus/manifest.json"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    corpus, odd = tmp_path / "runs/toy/corpus", tmp_path / "a file$ #1%:x.txt"
    corpus.mkdir(parents=True)
    odd.touch()
    (tmp_path / "Makefile").write_text(MAKEFILE)
    write_dependencies(corpus / "sources.mk", [odd])
    assert "made" in make() and "made" not in make()
    os.utime(odd, (2**31, 2**31))
    assert "made" in make()
    odd.unlink()
    assert "made" in make()


TAGGED = """
name = "toy_tags"
language = "en"
[fields]
text = "text"
tokens = "tokens"
tags = "tags"
[files]
"""


def tagged(shop: Workshop, **splits: list[str]) -> str:
    """A card whose rows are of two tokens; the tags of each row as "B-X O"."""
    (shop.data / "tags.toml").write_text(TAGGED + "".join(f'{split} = "{split}.jsonl"\n' for split in splits))
    for split, rows in splits.items():
        lines = [
            {"text": f"{split} {i}", "tokens": [split, str(i)], "tags": tags.split()} for i, tags in enumerate(rows)
        ]
        (shop.data / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "tags.toml"


def test_tokens_and_tags_reach_the_corpus_and_rows_where_they_differ_in_number_are_dropped(shop):
    task = tagged(shop, train=["B-X O", "B-X", "O B-Y"], dev=["B-X I-X"], test=["O O"])
    counts = shop.prepare(task=task)
    assert counts["rejected/tokens_without_tags"] == 1 and counts["task/classes"] == 2
    rows = list(read_rows(shop.out / "task" / "train", ("tokens", "tags")))
    assert rows == [{"tokens": ["train", i], "tags": tags} for i, tags in (("0", ["B-X", "O"]), ("2", ["O", "B-Y"]))]


def test_a_type_of_span_that_train_never_saw_is_named(shop):
    with pytest.raises(InputError, match=r"label 'Y' of task dev \(dev.jsonl:1\) never occurs in task train"):
        shop.prepare(task=tagged(shop, train=["B-X O"], dev=["B-Y O"], test=["O O"]))


def test_tags_that_are_all_o_are_refused(shop):
    with pytest.raises(InputError, match="every tag in task train of card toy_tags is O: correct the files"):
        shop.prepare(task=tagged(shop, train=["O O"], dev=["O O"], test=["O O"]))


def scored(shop: Workshop, *scores: object) -> str:
    card = TASK.replace("label", "score") + "".join(
        f'{split} = "{split}.jsonl"\n' for split in ("train", "dev", "test")
    )
    (shop.data / "scores.toml").write_text(card)
    for split in ("train", "dev", "test"):
        lines = [{"text": f"{split} {i}", "score": score} for i, score in enumerate(scores)]
        (shop.data / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return "scores.toml"


def test_a_score_is_a_number_however_it_is_written(shop):
    assert shop.prepare(task=scored(shop, 1, "2.5", None, -3.0))["rejected/no_label"] == 3
    assert [row["score"] for row in read_rows(shop.out / "task" / "train")] == [1, 2.5, -3]


@pytest.mark.parametrize("score", ["good", True, [1]])
def test_a_score_that_is_no_number_is_refused_with_its_place(shop, score):
    with pytest.raises(InputError, match=r"score .* at test.jsonl:2 is no number: correct it, or name .* as label"):
        shop.prepare(task=scored(shop, 1, score))


def test_a_fraction_as_a_label_says_how_a_number_is_predicted(shop):
    task = shop.task(train=[("one text", 0.5), ("other text", 1.5)], dev=DEV, test=TEST)
    with pytest.raises(InputError, match=r"label 0.5 .* is of type float: .* a number to predict is named score"):
        shop.prepare(task=task)


def test_a_text_may_be_made_of_several_columns_in_the_order_of_the_card_or_the_recipe(shop):
    card = TASK.replace('text = "text"', 'text = ["title", "body"]')
    (shop.data / "task.toml").write_text(card + "".join(f'{s} = "{s}.jsonl"\n' for s in ("train", "dev", "test")))
    for split in ("train", "dev", "test"):
        rows = [
            {"title": f"{split} {i}", "body": "" if i == 1 else "more", "place": "here", "label": i % 2}
            for i in range(4)
        ]
        (shop.data / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    shop.prepare(task="task.toml")
    assert shop.texts("task/train") == {"train 0\nmore", "train 1", "train 2\nmore", "train 3\nmore"}
    shop.prepare(task="task.toml", task_text=("place", "title"), task_text_pair=("body",))
    found = {(row["text"], row["text_pair"]) for row in read_rows(shop.out / "task/train")}
    assert found == {(f"here\ntrain {i}", "more") for i in (0, 2, 3)}  # a pair has two texts
    with pytest.raises(InputError, match=r"no column 'titel' for text .*did you mean title"):
        shop.prepare(task="task.toml", task_text=("titel",))


def test_other_labelled_corpora_are_kept_apart_and_no_train_row_is_in_anybodys_dev_or_test(shop):
    task = shop.task(train=[*TRAIN, ("fine there", "1"), ("poor beside", "0")], dev=DEV, test=TEST)
    away = shop.card("away", test=[("fine there", "1"), ("poor there", "0")])
    learned = [("a", "x"), ("ok", "x"), ("no", "y"), ("fine test", "x")]
    other = shop.card("other", train=learned, dev=[("poor beside", "x")], test=[("yes", "y")])
    counts = shop.prepare(
        task=task,
        beside=(other,),
        elsewhere=(away,),
        domain=shop.text("poor there", "free", "loose", "light"),
        min_chars=1,
    )
    assert shop.texts("elsewhere/away/test") == {"fine there", "poor there"}
    assert shop.texts("beside/other/train") == {"a", "ok", "no"}
    assert shop.texts("task/train") == {text for text, _ in TRAIN}
    assert shop.texts("domain/train") | shop.texts("domain/dev") == {"free", "loose", "light"}
    assert counts["beside/other/classes"] == 2 and counts["elsewhere/away/test"] == 2


def test_what_is_tested_elsewhere_has_the_labels_of_the_task(shop):
    away = shop.card("away", test=[("grand there", "2")])
    with pytest.raises(
        InputError, match=r"label '2' of elsewhere/away .*never occurs in task train: name another card"
    ):
        shop.prepare(task=shop.task(train=TRAIN, dev=DEV, test=TEST), elsewhere=(away,))
    with pytest.raises(InputError, match="card away cannot be tested on elsewhere: it needs a test split"):
        shop.prepare(task="task.toml", elsewhere=(shop.card("away", train=TRAIN),))
    with pytest.raises(InputError, match=r"corpus\.beside names toy_task again"):
        shop.prepare(task="task.toml", beside=("task.toml",))
    with pytest.raises(ValueError, match="are about a task: set task"):
        CorpusConfig(domain=("x",), beside=("y",))


def test_templates_are_found_in_train_and_taken_out_of_all_splits(shop):
    around = lambda rows: [(f"Bought here. {text}. Thanks!", label) for text, label in rows]
    task = shop.task(train=[*around(TRAIN), ("Bought here.", "1")], dev=around(DEV), test=TEST)
    counts = shop.prepare(task=task, task_templates=0.5)
    assert shop.texts("task/train") == {f"{text}." for text, _ in TRAIN}
    assert shop.texts("task/dev") == {f"{text}." for text, _ in DEV}
    assert counts["task/templates"] == 2 and ("only_template", "Bought here.") in shop.rejected()
    assert "- Bought here." in (shop.out / "preview.md").read_text()
    assert "task/templates" not in shop.prepare(task=task)


def test_templates_of_tagged_text_are_refused_and_so_is_what_would_rewrite_it(shop):
    with pytest.raises(InputError, match=r"mask_private would part text from tags in card toy_tags: leave it out"):
        shop.prepare(task=tagged(shop, train=["B-X O"], dev=["B-X O"], test=["B-X O"]), mask_private=True)
    with pytest.raises(InputError, match="task_templates would part text from tags"):
        shop.prepare(task=tagged(shop, train=["B-X O"], dev=["B-X O"], test=["B-X O"]), task_templates=0.1)


def test_text_that_quotes_dev_or_test_at_length_is_not_learned_from(shop):
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    task = shop.task(train=TRAIN, dev=DEV, test=[*TEST, (long, "1")])
    lines = (f"they say: {long.upper()}!", long[: long.index(" twelve")], "free", "loose", "light")
    counts = shop.prepare(task=task, domain=shop.text(*lines))
    assert counts["rejected/shares_text_with_dev_or_test"] == 1
    assert ("shares_text_with_dev_or_test", lines[0]) in shop.rejected()
    kept = shop.prepare(task=task, domain=shop.text(*lines), decontaminate=False)
    assert "rejected/shares_text_with_dev_or_test" not in kept and kept["domain/train"] == counts["domain/train"] + 1


def test_near_duplicates_are_dropped_where_that_is_asked_for_and_shown(shop):
    text = " ".join(f"word{i}" for i in range(50))
    lines = (text, f"{text} again", "quite another text of some words", "and one more of these, short")
    task = shop.task(train=TRAIN, dev=DEV, test=TEST)
    counts = shop.prepare(task=task, domain=shop.text(*lines), drop_near_duplicates=True)
    assert counts["rejected/near_duplicate"] == 1 and ("near_duplicate", lines[1]) in shop.rejected()
    page = (shop.out / "preview.md").read_text()
    assert (
        f"Near-duplicates dropped from domain, and what was kept:\n\n- {text[:150]}" in page
        and "‖ word0 word1" in page
    )
    assert "rejected/near_duplicate" not in shop.prepare(task=task, domain=shop.text(*lines))


def pages(shop: Workshop, *texts: str) -> tuple[str]:
    """Unlabelled text of several lines a document."""
    shop.text()
    card = TEXT.replace("text.txt", "pages.jsonl")
    (shop.data / "text.toml").write_text(card)
    lines = (json.dumps({"text": text}) for text in texts)
    (shop.data / "pages.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return ("text.toml",)


def test_lines_of_the_page_are_taken_out_of_domain_text_counted_and_shown(shop):
    articles = [f"an article about number {i}, at some length\nHome | News | Contact" for i in range(12)]
    counts = shop.prepare(domain=pages(shop, *articles, "Home | News | Contact"), repeated_lines=10)
    assert shop.texts("domain") == {
        *(f"an article about number {i}, at some length" for i in range(12)),
        "Home | News | Contact",  # of one line: a matter of duplicates
    }
    assert counts["repaired/lines_taken_out"] == 12
    page = (shop.out / "preview.md").read_text()
    assert (
        "Lines taken out of domain, and how many documents had them:\n\n- Home &#124; News &#124; Contact (12)" in page
    )
    assert "repaired/lines_taken_out" not in shop.prepare(domain=pages(shop, *articles))
    with pytest.raises(ValueError, match="repeated_lines = 1: 0 for none"):
        CorpusConfig(repeated_lines=1)


def test_text_that_repeats_itself_is_dropped_where_that_is_asked_for(shop):
    spam = "the best of all offers is here to stay " * 40
    lines = (spam, "an ordinary sentence of the usual kind", "and one more of these")
    counts = shop.prepare(domain=shop.text(*lines), quality_rules=True)
    assert counts["rejected/repeats_itself"] == 1 and shop.texts("domain") == set(lines[1:])
    assert "rejected/repeats_itself" not in shop.prepare(domain=shop.text(*lines))


def test_documents_in_another_language_are_dropped_where_that_is_asked_for_and_shown(shop):
    german = "Das Zimmer war sauber und die Angestellten waren freundlich, aber das Frühstück gab es zu spät."
    lines = (german, "the room was clean and the staff were friendly", "Gute Nacht")
    counts = shop.prepare(domain=shop.text(*lines), drop_other_languages=True)
    assert counts["rejected/other_language"] == 1 and shop.texts("domain") == set(lines[1:])
    page = (shop.out / "preview.md").read_text(encoding="utf-8")
    assert f"Documents in another language dropped from domain:\n\n- de: {german}" in page
    assert "rejected/other_language" not in shop.prepare(domain=shop.text(*lines))


def test_documents_that_are_too_long_are_cut_and_their_pieces_stay_in_one_split(shop):
    books = [" ".join(f"Sentence {i} of book {book}." for i in range(40)) for book in range(30)]
    counts = shop.prepare(domain=shop.text(*books, "short"), max_chars=200, dev_share=0.3)
    assert counts["repaired/documents_cut"] == 30
    assert counts["domain/train"] + counts["domain/dev"] == counts["repaired/pieces_of_these"] + 1
    rows = {part: list(read_rows(shop.out / "domain" / part, ("id", "text"))) for part in ("train", "dev")}
    whole = {part: {row["id"].partition("@")[0] for row in found} for part, found in rows.items()}
    assert not whole["train"] & whole["dev"] and len(whole["dev"]) > 2
    first = sorted((row for row in rows["dev"] if "@" in row["id"]), key=lambda row: row["id"])
    assert all(len(row["text"]) <= 200 for found in rows.values() for row in found)
    assert first[0]["id"].endswith("@0") and first[0]["text"].startswith("Sentence 0 of")
    with pytest.raises(ValueError, match="max_chars = 5: 0 for no limit"):
        CorpusConfig(max_chars=5)


def test_rows_of_one_group_go_to_one_split_and_stay_there_when_others_come(shop):
    card = TASK.replace('label = "label"', 'label = "label"\ngroup = "by"')
    (shop.data / "task.toml").write_text(card + 'train = "train.jsonl"\n')

    def splits(authors: int) -> dict[str, str]:
        """Text -> its split."""
        lines = [
            {"text": f"{by} writes {i}", "by": by, "label": str(i % 2)} for by in range(authors) for i in range(4)
        ]
        (shop.data / "train.jsonl").write_text("\n".join(map(json.dumps, lines)))
        shop.prepare(task="task.toml")
        return {text: split for split in ("train", "dev", "test") for text in shop.texts(f"task/{split}")}

    few, many = splits(40), splits(80)
    assert len({(text.split()[0], split) for text, split in many.items()}) == 80 and set(few.values()) == {
        *many.values()
    }
    assert few == {text: split for text, split in many.items() if text in few}


def test_markup_and_what_leads_to_a_person_are_rewritten_in_any_text(shop):
    marked = lambda rows: [(f"<p>{text} &amp; more</p>", label) for text, label in rows]
    domain = shop.text("<b>call</b> (415) 555-2671 &mdash; or write to me@example.org", "<br/>", "plain")
    task = shop.task(train=marked(TRAIN), dev=marked(DEV), test=marked(TEST))
    counts = shop.prepare(task=task, domain=domain, strip_markup=True, mask_private=True)
    assert shop.texts("domain") == {"call (000) 000-0000 — or write to name@example.com", "plain"}
    assert shop.texts("task/test") == {f"{text} & more" for text, _ in TEST}
    rows = len(TRAIN) + len(DEV) + len(TEST)
    assert counts["repaired/markup"] == rows + 2 and counts["repaired/private"] == 1
    assert metadata_of(shop.out / "task" / "test") == {"rewritten": "markup private"}
    assert counts["rejected/empty"] == 1


SPELLING = """
name = "toy_spelling"
language = "en"
[fields]
text = "source"
source = "source"
target = "target"
[files]
"""


def spelt(shop: Workshop, **splits: list[tuple[str, object]]) -> str:
    (shop.data / "spelling.toml").write_text(SPELLING + "".join(f'{split} = "{split}.jsonl"\n' for split in splits))
    for split, rows in splits.items():
        lines = [json.dumps({"source": source, "target": target}) for source, target in rows]
        (shop.data / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return "spelling.toml"


def pairs(shop: Workshop, split: str) -> list[tuple[str, str]]:
    return [(row["source"], row["target"]) for row in read_rows(shop.out / "task" / split)]


OF_DEV, OF_TEST = [("我门是dev", "我们是dev")], [("我门是test", "我们是test")]


def test_pairs_are_aligned_repaired_and_refused_each_with_its_count(shop):
    train = [
        ("我门很好。", "我们很好"),
        ("他，很好", "她,很好"),
        ("你很", "你很好"),
        ("很好很好", None),
        ("是dog", "是dog"),
    ]
    counts = shop.prepare(task=spelt(shop, train=train, dev=OF_DEV, test=OF_TEST))
    assert pairs(shop, "train") == [("我门很好。", "我们很好。"), ("他，很好", "她，很好"), ("是dog", "是dog")]
    assert (counts["repaired/layout"], counts["repaired/form"]) == (1, 1)
    assert (counts["rejected/unequal_length"], counts["rejected/no_label"]) == (1, 1)
    assert "我门很好。 → 我们很好。" in (shop.out / "preview.md").read_text()


def test_no_text_whose_correction_is_in_test_is_learned_from(shop):
    train = [("我们是test", "我们是test"), ("我们事test", "我们是test"), ("其他的", "其它的")]
    text = shop.text("我们是test", "其他的文章", "还有一篇")
    counts = shop.prepare(task=spelt(shop, train=train, dev=OF_DEV, test=OF_TEST), domain=text)
    assert pairs(shop, "train") == [("其他的", "其它的")] and counts["rejected/in_dev_or_test"] == 2
    assert shop.texts("domain") == {"其他的文章", "还有一篇"} and counts["rejected/contaminated"] == 1


def noisy(shop: Workshop, count: int = 60) -> NoiseConfig:
    """A corpus of as many sentences to misspell."""
    return NoiseConfig(text=shop.text(*(f"这是我们的文章之{number}。" for number in range(count))), rate=0.3)


def test_misspelt_text_is_added_to_train_and_says_where_it_came_from(shop):
    task = spelt(shop, train=[("其他的", "其它的")], dev=OF_DEV, test=[("这是我门的文章之7", "这是我们的文章之7")])
    counts = shop.prepare(task=task, noise=noisy(shop))
    rows = [row for row in read_rows(shop.out / "task/train") if row["origin"] == "toy_text:unlabeled:misspelt"]
    assert (counts["task/train"], len(rows), counts["rejected/in_dev_or_test"]) == (60, 59, 1)
    assert {row["target"] for row in rows} == {f"这是我们的文章之{number}。" for number in range(60) if number != 7}
    assert sum(row["source"] != row["target"] for row in rows) > 30


def test_misspelt_text_alone_is_a_task_and_a_set_to_test_on_lacks_nothing_but_train(shop):
    counts = shop.prepare(noise=noisy(shop, 200))
    assert sum(counts[f"task/{split}"] for split in ("train", "dev", "test")) == 200 and counts["task/test"] > 20
    right = [{target for _, target in pairs(shop, split)} for split in ("train", "dev", "test")]
    assert not right[0] & right[1] and not right[0] & right[2] and not right[1] & right[2]
    test_only = shop.prepare(task=spelt(shop, test=OF_TEST), noise=noisy(shop, 200))
    assert pairs(shop, "test") == OF_TEST and test_only["task/train"] + test_only["task/dev"] == 200


def test_all_text_is_simplified_where_that_is_asked_for(shop):
    noise = NoiseConfig(text=shop.text("這是我們的文章之一。", "这是他们的文章之二。"), rate=0.0)
    task = spelt(shop, train=OF_DEV, dev=OF_DEV, test=[("他門來", "他們來")])
    counts = shop.prepare(task=task, noise=noise, domain=noise.text, simplify=True)
    assert pairs(shop, "test") == [("他门来", "他们来")] and counts["repaired/simplified"] == 3
    right = {"这是我们的文章之一。", "这是他们的文章之二。"}
    assert {target for _, target in pairs(shop, "train")} == right == shop.texts("domain")


def test_confusions_under_data_are_read_and_count_as_sources(shop):
    (shop.data / "shapes.tsv").write_text("文\t攵\n章\t童\n", encoding="utf-8")
    noise = replace(noisy(shop), shape_file="shapes.tsv", sound=0.0, shape=1.0, any=0.0, rate=1.0, clean=0.0)
    shop.prepare(noise=noise)
    assert {source[:8] for source, _ in pairs(shop, "train")} == {"这是我们的攵童之"}
    assert shop.data / "shapes.tsv" in sources(CorpusConfig(language="en", noise=noise), shop.data)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"noise": NoiseConfig(text=("text.toml",), shape_file="none.tsv")}, "noise.shape_file: no file .*none.tsv"),
        ({"task_text": ("target",)}, "corpus.task_text is not for spelling correction"),
    ],
)
def test_what_noise_cannot_be_made_of_is_refused(shop, settings, told):
    noisy(shop)
    with pytest.raises(InputError, match=told):
        shop.prepare(task=spelt(shop, train=OF_DEV, dev=OF_DEV, test=OF_TEST), **settings)


def test_noise_beside_labels_is_refused_and_so_is_a_card_that_reads_another_text(shop):
    with pytest.raises(InputError, match="noise makes pairs of source and target, and card toy_task has label"):
        shop.prepare(task=shop.task(train=TRAIN, dev=DEV, test=TEST), noise=noisy(shop))
    task = spelt(shop, train=OF_DEV)
    (shop.data / task).write_text((shop.data / task).read_text().replace('text = "source"', 'text = "target"'))
    with pytest.raises(InputError, match="field text must be the column of field source"):
        shop.prepare(task=task)
