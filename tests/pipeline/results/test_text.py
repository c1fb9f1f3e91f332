"""What a report shows of the text of runs, and of several runs side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from corpora.parquet import read_rows, write_corpus
from corpora.schemas import DOCUMENTS, MASKED, SCORES
from pipeline.pages.parts import Masks, Said, Table
from pipeline.results.text import cleaning, masks, speaking

SENTENCES = {"one": ["好", "吃"], "two": ["film", "is", "good"]}


@pytest.fixture
def made(tmp_path, tokenizer):
    """`made("run", {"one": [9, 200]})`: a run that weighs the words of sentences so; above 127 they are keywords."""

    def artifact(folder: Path, **config: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        found = {"digest": str(sorted(config.items())) + folder.parent.name, "config": config, "metrics": {}}
        (folder / "manifest.json").write_text(json.dumps(found))

    def make(name: str, weights: dict[str, list[int]], scorer: str = "", sentences=SENTENCES) -> Path:
        run, rows = tmp_path / name, []
        for sentence, words in sentences.items():
            ids, mine = tokenizer.convert_tokens_to_ids(words), weights.get(sentence, [1] * len(words))
            row = {"id": sentence, "input_ids": ids, "word_ids": list(range(len(ids)))}
            rows.append(row | {"importance": mine, "masked": [False] * len(ids), "keyword": np.array(mine) > 127})
        only = lambda schema: ({name: row[name] for name in schema.names} for row in rows)
        write_corpus(run / "masked" / "domain" / "train", MASKED, only(MASKED))
        tokenizer.save_pretrained(run / "masked" / "tokenizer")
        artifact(run / "masked", policy="whole_word")
        if scorer:
            write_corpus(run / "scores" / "task", SCORES, only(SCORES))
            labelled = [dict.fromkeys(DOCUMENTS.names) | {"id": name, "label": name} for name in sentences]
            write_corpus(run / "corpus" / "task" / "train", DOCUMENTS, labelled)
            tokenizer.save_pretrained(run / "base")
            artifact(run / "scores", scorer=scorer)
        return run

    return make


def heats(runs: list[Path]) -> dict[str, dict[str, list[int]]]:
    """Of each sequence who weighed it, and how."""
    (shown,) = (part for part in masks(runs, read_rows).parts if isinstance(part, Masks))
    return {one.name: {who: [p.importance for p in line] for who, line in one.heats} for one in shown.sequences}


def test_sequences_are_shown_as_every_run_weighs_them(made):
    runs = [made("a", {"one": [9, 200], "two": [3, 4, 5]}), made("b", {"one": [130, 2], "two": [7, 8, 9]})]
    assert heats(runs) == {"one": {"a": [9, 200], "b": [130, 2]}, "two": {"a": [3, 4, 5], "b": [7, 8, 9]}}
    assert heats(runs[:1]) == {"one": {"importance": [9, 200]}, "two": {"importance": [3, 4, 5]}}


def test_of_runs_that_weigh_all_words_alike_only_the_first_is_shown_and_it_hides_no_other(made):
    even, further, weighing = made("even", {}), made("further", {}), made("a", {"one": [9, 200]})
    assert heats([even, further, weighing])["one"] == {"even": [1, 1], "a": [9, 200]}
    assert heats([even, further])["one"] == {"importance": [1, 1]}


def test_runs_of_other_sequences_are_left_out(made):
    runs = [made("a", {"one": [9, 200]}), made("b", {"one": [9, 2]}, sentences={"one": ["吃", "好"]})]
    assert heats(runs)["one"] == {"importance": [9, 200]}


def test_keywords_are_shown_of_every_scorer(made):
    runs = [
        made("a", {"one": [9, 200], "two": [1, 200, 1]}, "buffer"),
        made("b", {"one": [200, 1], "two": [1, 1, 200]}, "loss"),
    ]
    (table,) = (part for part in speaking(runs, read_rows).parts if isinstance(part, Table))
    assert [row[:3] for row in table.rows] == [
        ["a: buffer", "one", "吃"],
        ["a: buffer", "two", "is"],
        ["b: loss", "one", "好"],
        ["b: loss", "two", "good"],
    ]
    (alone,) = (part for part in speaking(runs[:1], read_rows).parts if isinstance(part, Table))
    assert [row[:2] for row in alone.rows] == [["one", "吃"], ["two", "is"]]


def test_without_masks_or_scores_there_is_nothing_to_show(tmp_path):
    assert not masks([tmp_path], read_rows).parts and not speaking([tmp_path], read_rows).parts


def test_cleaning_is_shown_of_every_corpus_once(tmp_path):
    def run(name: str, digest: str, **metrics: int) -> Path:
        corpus = tmp_path / name / "corpus"
        corpus.mkdir(parents=True)
        (corpus / "manifest.json").write_text(json.dumps({"digest": digest, "metrics": metrics}))
        return tmp_path / name

    first, same = (run(name, "x", **{"domain/train": 9, "rejected/empty": 2}) for name in ("first", "same"))
    other = run("other", "y", **{"domain/train": 7, "domain/dev": 1})
    sizes, dropped = cleaning([first, same], read_rows).parts
    assert sizes.rows == [["domain", "9", "", ""]] and dropped.rows == [[Said("empty", "为空"), "2"]]
    named, *tables, again, last = cleaning([first, same, other], read_rows).parts
    assert named.en == "**first**" and tables == [sizes, dropped] and again.en == "**other**"
    assert last.rows == [["domain", "7", "1", ""]] and not cleaning([tmp_path], read_rows).parts
