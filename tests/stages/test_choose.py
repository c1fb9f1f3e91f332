"""Choosing from a domain as a user meets it."""

import pytest

from corpora.choosing import nearest_vectors
from corpora.parquet import read_rows, write_corpus
from corpora.schemas import DOCUMENTS
from pipeline.encoding import DocumentEncoder
from pipeline.run.errors import InputError
from stages.choose import ChosenConfig, choose

FILMS = [f"the film number {i} is a fine play with good actors" for i in range(30)]
COOKING = [f"cook rice {i} minutes and add some salt to the soup" for i in range(30)]


@pytest.fixture
def corpus(tmp_path):
    texts = {
        "task/train": ["a good film with fine actors", "the actors play in a bad film"],
        "domain/train": [text for pair in zip(COOKING, FILMS, strict=True) for text in pair],
        "domain/dev": ["soup"],
    }
    for name, lines in texts.items():
        rows = [{"id": f"{name}-{i}", "text": text, "origin": "x:train"} for i, text in enumerate(lines)]
        write_corpus(tmp_path / "corpus" / name, DOCUMENTS, rows)
    return tmp_path / "corpus"


def chosen(corpus, out, init=None, **settings) -> list[dict]:
    config = ChosenConfig(language="en", **settings)
    metrics = choose(config, corpus, init, out)
    rows = list(read_rows(out / "domain" / "train"))
    assert metrics == {"documents": len(rows), "of": 60, "share": len(rows) / 60}
    numbers = [int(row["id"].split("-")[1]) for row in rows]
    assert numbers == sorted(set(numbers))
    return rows


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "knn", "neighbours": 15},
        {"method": "moore_lewis", "documents": 20},
        {"method": "dsir", "documents": 20},
    ],
)
def test_every_method_takes_what_is_like_the_task(corpus, tmp_path, settings):
    rows = chosen(corpus, tmp_path / "out", **settings)
    assert len(rows) >= 15 and all("film" in row["text"] and row["weight"] is not None for row in rows)
    assert [row["weight"] for row in read_rows(tmp_path / "out" / "domain" / "dev")] == [None]
    assert "film" in (tmp_path / "out" / "preview.md").read_text()


def test_the_control_takes_as_many_at_random(corpus, tmp_path):
    rows = chosen(corpus, tmp_path / "a", method="knn", neighbours=15, control=True)
    again = chosen(corpus, tmp_path / "b", method="random", documents=len(rows))
    assert rows == again and {"film" in row["text"] for row in rows} == {True, False}
    assert chosen(corpus, tmp_path / "c", method="random", documents=len(rows), seed=1) != rows


def test_an_encoder_may_say_what_is_near_and_is_asked_once_for_each_document(
    corpus, tmp_path, checkpoints, monkeypatch
):
    settings = {"method": "knn", "neighbours": 3, "vectors": "encoder", "max_length": 30}
    rows = chosen(corpus, tmp_path / "a", checkpoints["bert"], **settings)
    texts = {kind: [row["text"] for row in read_rows(corpus / kind / "train")] for kind in ("task", "domain")}
    encoder = DocumentEncoder(checkpoints["bert"], 30)
    vectors = [encoder.vectors({"text": found, "text_pair": [None] * len(found)}) for found in texts.values()]
    numbers, scores = nearest_vectors(*vectors, 3)
    assert [row["text"] for row in rows] == [texts["domain"][i] for i in numbers]
    assert [row["weight"] for row in rows] == pytest.approx(scores, abs=1e-5)
    for path, kept in (("task", 100), ("domain", 1000)):  # a run that was killed over a block leaves it torn
        [whole] = (tmp_path / "a").rglob(f"{path}.vectors")
        (tmp_path / "b" / "scratch").mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / "scratch" / whole.name).write_bytes(whole.read_bytes()[:kept])
    assert chosen(corpus, tmp_path / "b", checkpoints["bert"], **settings) == rows
    monkeypatch.setattr(DocumentEncoder, "vectors", None)
    assert chosen(corpus, tmp_path / "b", checkpoints["bert"], **settings) == rows


def test_settings_that_choose_nothing_are_refused(corpus, tmp_path):
    with pytest.raises(ValueError, match="takes as many documents as you say: set documents"):
        ChosenConfig(method="dsir")
    with pytest.raises(ValueError, match="neighbours must be at least 1"):
        ChosenConfig(neighbours=0)
    with pytest.raises(ValueError, match="vectors = encoder is for method = knn, and method is dsir"):
        ChosenConfig(method="dsir", documents=3, vectors="encoder")
    with pytest.raises(InputError, match="compares what the base makes of a text: give --init"):
        choose(ChosenConfig(method="knn", vectors="encoder"), corpus, None, tmp_path / "out")
    with pytest.raises(InputError, match="none takes all of the domain"):
        choose(ChosenConfig(), corpus, None, tmp_path / "out")


def test_masking_reads_what_was_chosen_and_all_of_the_task(kitchen, tmp_path):
    made, out = tmp_path / "chosen", tmp_path / "masked"
    knn = ("chosen.method=knn", "chosen.neighbours=1", "chosen.vectors=encoder", "chosen.max_length=24")
    settings = ("--set", *knn, "masked.policy=random")
    folders = {"init": kitchen["base"], "corpus": kitchen["corpus"]}
    assert kitchen.make("choose", made, *settings, **folders) == 0
    assert kitchen.make("mask", out, *settings, chosen=made, **folders) == 0
    ids = lambda folder: {row["id"].partition("#")[0] for row in read_rows(folder, ("id",))}
    chosen = ids(made / "domain" / "train")
    assert ids(out / "domain" / "train") == chosen < ids(kitchen["corpus"] / "domain" / "train")
    assert ids(out / "task" / "train") == ids(kitchen["corpus"] / "task" / "train")
    assert 0 < len(chosen) <= 100 and not (made / "scratch").exists()
