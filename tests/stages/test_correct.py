"""Correcting files as a user meets it: any format, long texts, offsets of the text as it was, thresholds."""

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import wordpiece

from corpora.parquet import read_rows, write_corpus
from corpora.schemas import CORRECTED, DOCUMENTS
from pipeline.finetuning.classifier import open_task
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig
from stages.correct import CorrectConfig, correct
from stages.finetune import FinetuneConfig, finetune
from stages.predict import PredictConfig, predict

TRAINER = TrainerConfig(steps=150, batch_size=16, learning_rate=2e-2, adam_betas=(0.9, 0.999), evaluations=1)
CONFIG = FinetuneConfig(max_length=14, seeds=(1,), trainer=TRAINER)
WRONG = str.maketrans("吃道错", "差菜爱")
"""How each character is always misspelt."""


def pair(number: int) -> dict[str, str]:
    draw = np.random.default_rng(number)
    tail = draw.choice(["", "，", "！龘", "e", " good"])  # right as they are, in the vocabulary or not
    target = "".join(draw.choice(["好吃", "味道", "不错"], draw.integers(1, 5))) + tail
    wrong = draw.random(len(target)) < 0.3
    source = "".join(char.translate(WRONG) if x else char for char, x in zip(target, wrong, strict=True))
    return {"id": f"toy-{number}", "text": source, "origin": "toy", "source": source, "target": target}


@pytest.fixture(scope="module")
def corrector(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("corrector")
    for part, numbers in (("train", range(150)), ("dev", range(150, 170)), ("test", range(170, 190))):
        write_corpus(folder / "task" / part, DOCUMENTS, map(pair, numbers))
    found = finetune(CONFIG, checkpoints["bert"], folder / "task", folder / "finetuned-base")
    assert found["f1"] > 90 and wordpiece().get_vocab()["菜"]
    return folder / "finetuned-base"


TEXTS = ["好差味道", "好吃 good\tfilm，不爱！", "", "\u200b味菜e\u0301龘"]
RIGHT = ["好吃味道", "好吃 good\tfilm，不错！", "", "\u200b味道e\u0301龘"]


def write(folder: Path, kind: str) -> Path:
    path = folder / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"text": TEXTS}), path)
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress("\n".join(json.dumps({"text": text}) for text in TEXTS).encode()))
    elif kind == "csv":
        path.write_text("text\n" + "\n".join(f'"{text}"' for text in TEXTS), encoding="utf-8")
    else:
        path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz", "csv", "txt"])
def test_files_of_every_format_are_corrected_alike_and_say_what_was_changed_where(corrector, tmp_path, kind):
    assert correct(CorrectConfig(), corrector, write(tmp_path, kind), tmp_path / "out") == {"rows": 4}
    table = pq.read_table(tmp_path / "out")
    assert table.schema.equals(CORRECTED)
    assert (table["text"].to_pylist(), table["corrected"].to_pylist()) == (TEXTS, RIGHT)
    for text, right, changes in zip(TEXTS, RIGHT, table["changes"].to_pylist(), strict=True):
        made = list(text)
        for change in changes:
            assert text[change["offset"]] == change["written"] and min(change["wrong"], change["likely"]) >= 0.5
            made[change["offset"]] = change["corrected"]
        assert "".join(made) == right


def test_traditional_text_is_read_by_a_model_of_simplified_text_and_only_what_is_wrong_changes(
    corrector, tmp_path, capsys
):
    told = json.loads((corrector / "task.json").read_text(encoding="utf-8"))
    shutil.copytree(corrector, knowing := tmp_path / "knowing")
    (knowing / "task.json").write_text(json.dumps(told | {"rewritten": ["private", "simplified"]}), encoding="utf-8")
    (tmp_path / "in.txt").write_text("不錯味道好差\n不愛好吃", encoding="utf-8")
    correct(CorrectConfig(), knowing, tmp_path / "in.txt", tmp_path / "out")
    said = capsys.readouterr().err
    assert "learned from: simplified" in said and "rewritten text (private), and this is read as it stands" in said
    first, second = read_rows(tmp_path / "out")
    assert (first["corrected"], second["corrected"]) == ("不錯味道好吃", "不错好吃")  # 錯 stays, as 错 is right
    assert [(one["offset"], one["written"]) for one in first["changes"] + second["changes"]] == [(5, "差"), (1, "愛")]


def test_lines_of_json_hold_the_same(corrector, tmp_path):
    correct(CorrectConfig(format="jsonl"), corrector, write(tmp_path, "txt"), tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "part-00000.jsonl").read_text().splitlines()]
    assert [line["corrected"] for line in lines] == RIGHT and lines[0]["place"].endswith("in.txt:1")
    [change] = lines[0]["changes"]
    assert (change["offset"], change["written"], change["corrected"]) == (1, "差", "吃")


def test_a_text_of_many_windows_is_corrected_to_its_end(corrector, tmp_path):
    rows = [pair(number) for number in range(500, 560)]
    source, target = ("".join(row[name] for row in rows) for name in ("source", "target"))
    (tmp_path / "in.txt").write_text(source, encoding="utf-8")
    correct(CorrectConfig(), corrector, tmp_path / "in.txt", tmp_path / "out")
    [row] = read_rows(tmp_path / "out")
    assert len(source) > 200 and row["text"] == source
    right = [a == b for a, b in zip(row["corrected"], target, strict=True)]
    assert np.mean(right) > 0.97 and np.mean([a == b for a, b in zip(source, target, strict=True)]) < 0.95
    assert [change["offset"] for change in row["changes"]] == [
        i for i, (a, b) in enumerate(zip(source, row["corrected"], strict=True)) if a != b
    ]


def test_a_higher_threshold_changes_less_and_none_is_above_one(corrector, tmp_path):
    (tmp_path / "in.txt").write_text("\n".join(pair(n)["source"] for n in range(600, 640)), encoding="utf-8")

    def changes(**settings) -> list[dict]:
        out = tmp_path / str(settings)
        correct(CorrectConfig(**settings), corrector, tmp_path / "in.txt", out)
        return [change for row in read_rows(out) for change in row["changes"]]

    usual, all_, few = changes(), changes(wrong=0.0, likely=0.0), changes(wrong=0.9, likely=0.9)
    assert len(all_) >= len(usual) >= len(few)
    assert all(change["wrong"] >= 0.9 and change["likely"] >= 0.9 for change in few)
    task, _ = open_task(corrector)
    assert len(usual) == sum(c["wrong"] >= 0.5 and c["likely"] >= 0.5 for c in all_) and task.thresholds == ()
    with pytest.raises(ValueError, match=r"likely = 1.5 must lie between 0 and 1, or be -1"):
        CorrectConfig(likely=1.5)


def test_rows_that_cannot_be_read_are_kept_with_their_places_and_the_rest_is_corrected(corrector, tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text(
        '{"text": "好差"}\n{"text": 3}\nno json\n{"text": "\\ud800"}\n', encoding="utf-8"
    )
    assert correct(CorrectConfig(), corrector, tmp_path / "in.jsonl", tmp_path / "out")["rows"] == 1
    assert "! 3 rows could not be read" in capsys.readouterr().err
    reasons = sorted(one["reason"] for one in read_rows(tmp_path / "out" / "rejected"))
    assert reasons == ["bad_json", "lone_surrogate", "text_not_a_string"]


def test_a_killed_correction_goes_on_with_the_shards_it_lacks(corrector, tmp_path):
    path, config = write(tmp_path, "txt"), CorrectConfig(shard_rows=2)
    correct(config, corrector, path, tmp_path / "out")
    first, second = sorted((tmp_path / "out").glob("part-*"))
    kept, before = second.read_bytes(), first.stat().st_mtime_ns
    second.unlink()
    correct(config, corrector, path, tmp_path / "out")
    assert first.stat().st_mtime_ns == before and second.read_bytes() == kept


def test_a_model_answers_what_it_was_made_for(corrector, checkpoints, tmp_path):
    path = write(tmp_path, "txt")
    with pytest.raises(InputError, match="corrects spelling: run make correct"):
        predict(PredictConfig(), corrector, path, tmp_path / "out")
    rows = [
        {"id": str(i), "text": "好吃" if i % 2 else "不错", "label": str(i % 2), "origin": "toy"} for i in range(8)
    ]
    for part in ("train", "dev", "test"):
        write_corpus(tmp_path / "task" / part, DOCUMENTS, rows)
    short = replace(CONFIG, trainer=replace(TRAINER, steps=1))
    finetune(short, checkpoints["bert"], tmp_path / "task", tmp_path / "finetuned-classes")
    with pytest.raises(InputError, match="answers with classes: run make predict"):
        correct(CorrectConfig(), tmp_path / "finetuned-classes", path, tmp_path / "out")
