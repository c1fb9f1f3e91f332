"""Data sets of the hub: streamed by the library's own call, here from a folder that stands for one."""

import json

import datasets
import pytest

from corpora.cards import Card, Hub
from corpora.reading.sources import documents
from corpora.schemas import InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"review": {"body": f"text {n}", "by": "Li"}, "stars": n % 2, "picture": "x"} for n in range(120)]


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Hub:
    folder = tmp_path_factory.mktemp("hub")
    for split, rows in (("train", [*ROWS, {"review": {}, "stars": 0}]), ("test", ROWS[:2])):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Hub(str(folder), COMMIT, {"dev": "test", "unlabeled": "train"})


def card(hub: Hub, text: str = "review.body", **more) -> Card:
    return Card("toy", "Toy", "en", "none", "nowhere", {"text": text, "label": "stars"}, {}, hub=hub, **more)


def test_a_data_set_is_streamed_row_by_row_and_what_is_missing_counted(hub, tmp_path):
    told = []
    rows = list(documents(card(hub), "unlabeled", tmp_path, lambda *what: told.append(what[:2])))
    assert [(row["text"], row["label"]) for row in rows] == [(f"text {n}", str(n % 2)) for n in range(120)]
    assert rows[0]["place"] == f"{hub.name}@0123456/train:1"
    assert told == [(f"{hub.name}@0123456/train:121", "no_text")]


def test_a_split_is_the_one_its_card_names(hub, tmp_path):
    assert [row["text"] for row in documents(card(hub), "dev", tmp_path, print)] == ["text 0", "text 1"]


def test_a_wrong_column_is_refused_with_all_there_are(hub, tmp_path):
    with pytest.raises(
        InputError, match=r"no column 'review.boddy' for text in .*@0123456 \(did you mean review.body"
    ):
        list(documents(card(hub, "review.boddy"), "dev", tmp_path, print))


def test_the_library_is_asked_for_the_commit_and_to_stream(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **how: asked.update(how, args=args) or 1 / 0)
    with pytest.raises(InputError, match=r"cannot read split train of a/b@0123456 from the hub \(division by zero\)"):
        list(documents(card(Hub("a/b", COMMIT, {"train": "train"}, "zh")), "train", tmp_path, print))
    assert asked == {"args": ("a/b", "zh"), "split": "train", "revision": COMMIT, "streaming": True}


def test_a_connection_that_breaks_is_one_line(monkeypatch, tmp_path):
    def broken():
        yield {"review": {"body": "one"}, "stars": 1}
        raise ConnectionError("lost\nat once")

    class Stream:
        column_names = None
        __iter__ = staticmethod(broken)

    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **how: Stream())
    with pytest.raises(InputError, match=r"from the hub \(lost at once\): look at"):
        list(documents(card(Hub("a/b", COMMIT, {"train": "train"})), "train", tmp_path, print))
