"""The stage that looks for a learning rate, as a user meets it."""

import json
from xml.etree import ElementTree

import pytest

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS
from pipeline.finetuning import finder
from pipeline.finetuning.config import FinetuneConfig
from pipeline.training.config import TrainerConfig
from stages.find_rate import find_rate


@pytest.fixture
def task(tmp_path):
    texts = ["the film is good", "a bad film", "good play", "bad play !"] * 8
    rows = [
        {"id": str(i), "text": text, "label": "yes" if "good" in text else "no", "origin": "toy:train"}
        for i, text in enumerate(texts)
    ]
    write_corpus(tmp_path / "task" / "train", DOCUMENTS, rows)
    return tmp_path / "task"


def test_a_ramp_ends_with_a_suggestion_its_curve_and_its_plot(task, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(finder, "STEPS", 40)
    config = FinetuneConfig(max_length=16, trainer=TrainerConfig(batch_size=8, learning_rate=1e-3))
    out = tmp_path / "rate-base"
    metrics = find_rate(config, checkpoints["bert"], task, out)
    told = json.loads((out / "rate.json").read_text())
    assert len(told["rates"]) == len(told["losses"]) == 40 and told["suggested"] == metrics["suggested"]
    assert 1e-7 < metrics["suggested"] < metrics["lowest"] < 0.1
    ElementTree.parse(out / "rate.svg")
    assert f"suggested {metrics['suggested']:.1e}" in (out / "rate.txt").read_text()
