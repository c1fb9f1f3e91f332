"""Words of the domain added to a base, by command line: chosen, measured, masked, warmed up, reported."""

import json

import pytest
from kitchen import Kitchen, rows
from transformers import AutoModelForMaskedLM, AutoTokenizer

from pipeline.run.artifact import read_manifest
from pipeline.run.key import keyed
from stages.pretrain import PretrainConfig
from stages.start import BaseConfig

WORDS = ("base.vocabulary.words=3", "base.vocabulary.min_count=5")


@pytest.fixture(scope="module")
def other(kitchen, tmp_path_factory) -> Kitchen:
    """Domain and task of which every text names a `wonderful ramen`, and those held out a `sake` too."""
    it = Kitchen(tmp_path_factory.mktemp("vocabulary"))
    for name in ("domain", "train", "dev", "test"):
        path, more = it.data / f"{name}.jsonl", " sake" if name in ("dev", "test") else ""
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        lines = [line | {"text": f"{line['text']} wonderful ramen{more} 2026"} for line in lines]
        path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines), encoding="utf-8")
    assert it.make("prepare", "corpus", data=it.data) == 0
    model = f"base.model={kitchen['base']}"
    folders = {name: it["corpus"] / name for name in ("general", "domain", "task")}
    assert it.make("start", "base", "--set", model, *WORDS, **folders) == 0
    return it


def test_words_come_from_training_text_and_are_measured_on_text_held_out(other, kitchen):
    found, old = (AutoTokenizer.from_pretrained(one["base"]) for one in (other, kitchen))
    assert {"wonderful", "ramen"} <= found.get_vocab().keys() - old.get_vocab().keys()
    assert "sake" not in found.get_vocab()
    metrics = read_manifest(other["base"])["metrics"]
    assert metrics["words_added"] == metrics["entries_added"] == 2  # 2026 is a number, and no third was found
    for name in ("domain", "task"):
        assert metrics[f"{name}/unknown_rate"] < metrics[f"{name}/unknown_rate_before"]
    assert metrics["general/unknown_rate"] == metrics["general/unknown_rate_before"]
    page = (other["base"] / "vocabulary.md").read_text(encoding="utf-8")
    assert "2 words were found where 3 were asked for" in page and "| `ramen` |" in page


def test_the_model_has_a_row_for_each_and_the_rest_as_it_was(other, kitchen):
    found, old = (AutoModelForMaskedLM.from_pretrained(one["base"]) for one in (other, kitchen))
    size = old.config.vocab_size
    assert found.config.vocab_size == size + 2
    now, before = found.get_input_embeddings().weight, old.get_input_embeddings().weight
    unknown = AutoTokenizer.from_pretrained(kitchen["base"]).unk_token_id
    assert now[:size].equal(before) and now[size].equal(before[unknown]) and now[size + 1].equal(before[unknown])


def test_new_words_are_masked_learned_with_embeddings_first_and_reported(other):
    short = ("--set", "masked.policy=whole_word", "dapt.trainer.steps=4", "dapt.warm_embeddings=0.5",
             "finetuned.seeds=[13]", "finetuned.trainer.epochs=1")  # fmt: skip
    assert other.make("mask", "masked", *short, init=other["base"], corpus=other["corpus"]) == 0
    new = AutoTokenizer.from_pretrained(other["base"]).get_vocab()["ramen"]
    assert all(new in row["input_ids"] for row in rows(other["masked"] / "domain" / "train").values())
    assert other.make("pretrain", "dapt", *short, init=other["base"], masked=other["masked"] / "domain") == 0
    for arm in ("base", "dapt"):
        tuned = other.make("finetune", f"finetuned-{arm}", *short, init=other[arm], task=other["corpus"] / "task")
        assert tuned == 0
    assert other.make("report", "report", runs=other.runs / "toy") == 0
    page = (other["report"] / "report.md").read_text(encoding="utf-8")
    assert "## Vocabulary" in page and "2 words (2 entries) were added to the vocabulary; tokens a word" in page


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (("base.vocabulary.words=3",), "added to a base that is there"),
        (("base.vocabulary.min_count=3",), "vocabulary.words = 0"),
        (("base.model=x", "base.vocabulary.words=3", "base.objective=rtd"), "rtd makes two"),
        (("base.model={base}", "base.vocabulary.words=3"), "no text to take words from"),
    ],
)
def test_what_cannot_be_given_words_is_refused_in_a_line(kitchen, tmp_path, capsys, settings, told):
    settings = [each.format(base=kitchen["base"]) for each in settings]
    assert kitchen.make("start", tmp_path / "base", "--set", *settings, general=kitchen["corpus"] / "general") == 2
    assert told in capsys.readouterr().err


def test_warm_embeddings_of_two_models_are_refused():
    with pytest.raises(ValueError, match="objective = rtd trains two"):
        PretrainConfig(objective="rtd", warm_embeddings=0.1)


def test_a_base_and_a_training_made_before_there_were_new_words_stay_fresh():
    for config in (BaseConfig(), PretrainConfig()):
        settings = keyed(config)
        assert "vocabulary" not in settings and "warm_embeddings" not in settings
