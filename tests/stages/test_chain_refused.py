"""What a stage cannot use is refused in one line that says what to do, and nothing is made."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.run.artifact import open_draft, seal


@pytest.fixture
def refused(kitchen, tmp_path, capsys):
    """Run a stage that must be refused: code 2 and one line, which is returned."""

    def run(stage: str, out: str, *more: str, **folders: Path) -> str:
        code = kitchen.make(stage, tmp_path / "runs" / "r" / out, *more, **folders)
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith(("▸", "  ", "! "))]
        assert code == 2 and len(lines) == 1 and not (tmp_path / "runs" / "r" / out).exists()
        return lines[0]

    return run


@pytest.fixture
def other_base(checkpoints, tmp_path) -> Path:
    """A finished base with another tokenizer."""
    out = tmp_path / "other" / "base"
    shutil.copytree(checkpoints["bert"], open_draft(out, "k", {}), dirs_exist_ok=True)
    seal(open_draft(out, "k", {}), out, {"stage": "toy", "key": "k"})
    return out


def test_selective_masking_without_a_tagger_is_refused(kitchen, refused):
    told = refused("mask", "masked", init=kitchen["base"], corpus=kitchen["corpus"])
    assert told == "mask: policy = selective needs a tagger: run make tagger, or set masked.policy = whole_word"


def test_a_tagger_with_another_tokenizer_is_refused(kitchen, refused, other_base):
    told = refused("mask", "masked", init=other_base, corpus=kitchen["corpus"], tagger=kitchen["tagger"])
    assert "have different tokenizers: train the tagger again from this base" in told


def test_a_checkpoint_with_another_tokenizer_is_refused(kitchen, refused, other_base):
    told = refused("pretrain", "dapt", init=other_base, masked=kitchen["masked"] / "domain")
    assert "was made with another tokenizer" in told and told.endswith("run make masked with this base")


def test_sequences_longer_than_the_model_takes_are_refused(kitchen, refused):
    folders = {name: kitchen[name] for name in ("corpus", "tagger")}
    told = refused("mask", "masked", "--set", "masked.max_length=25", init=kitchen["base"], **folders)
    assert "max_length = 25" in told and "24" in told


def test_a_base_without_mask_token_is_refused(kitchen, refused, checkpoints, tmp_path):
    folder = shutil.copytree(checkpoints["bert"], tmp_path / "model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["mask_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    told = refused("start", "base", "--set", f"base.model={folder}", general=kitchen["corpus"] / "general")
    assert "has no mask token: choose a model made for masked language modelling" in told


def test_a_base_for_another_language_is_refused(kitchen, refused, checkpoints):
    told = refused(
        "start", "base", "--set", f"base.model={checkpoints['bert']}", general=kitchen["corpus"] / "general"
    )
    assert "are unknown to the tokenizer" in told and "the base is for another language" in told


def test_a_base_that_is_not_there_is_refused(refused):
    assert refused("start", "base", "--set", "base.model=/no/such").startswith("start: no folder /no/such: BASE is")


def test_neither_base_nor_general_text_is_refused(refused):
    assert refused("start", "base") == (
        "start: no base: give BASE=<folder or hub name>, or name general text in [corpus] to build one from"
    )


def test_a_recipe_that_does_not_exist_is_refused(kitchen, refused):
    told = refused("score", "scores", "--recipe", "dmeo", classifier=kitchen["base"], task=kitchen["corpus"] / "task")
    assert told.startswith("score: no recipe dmeo: known are ") and "did you mean demo?" in told


def test_every_input_that_is_not_finished_is_named(kitchen, refused, tmp_path):
    told = refused("train_tagger", "tagger", init=tmp_path / "base", scores=tmp_path / "scores")
    assert told == (
        f"train_tagger: no finished artifact in {tmp_path / 'base'}: run make base; "
        f"no finished artifact in {tmp_path / 'scores'}: run make scores"
    )


def test_a_corpus_without_a_task_says_to_add_one(kitchen, refused):
    told = refused("finetune", "finetuned-base", init=kitchen["base"], task=kitchen["corpus"] / "tsak")
    assert "corpus has no tsak: add it to the recipe and run make corpus" in told


def test_a_scorer_without_what_it_needs_is_refused(kitchen, refused):
    base, corpus, task = kitchen["base"], kitchen["corpus"], kitchen["corpus"] / "task"
    told = refused("score", "scores", init=base, task=task)
    assert told.startswith("score: scorer = buffer needs a classifier: run make finetuned-base")
    told = refused("score", "scores", "--set", "scores.scorer=tfidf", init=base, task=task)
    assert told == "score: scorer = tfidf needs domain text: name some as domain in [corpus]"
    told = refused("score", "scores", "--set", "scores.scorer=random", task=task)
    assert told.startswith("score: scorer = random needs a tokenizer: run make base")
    told = refused("mask", "masked", "--set", "masked.scorer=excess_loss", init=base, corpus=corpus)
    assert "scorer = excess_loss needs a reference model: set REFERENCE=" in told
    told = refused("mask", "masked", "--set", "masked.scorer=buffer", init=base, corpus=corpus)
    assert 'masked.scorer = "buffer" must be one of tagger, prefix, ' in told


def test_a_share_outside_its_bounds_is_refused(kitchen, refused):
    folders = {"init": kitchen["base"], "task": kitchen["corpus"] / "task"}
    told = refused("score", "scores", "--set", "scores.keyword_share=1.5", **folders)
    assert told == "score: scores: keyword_share = 1.5 must lie between 0 and 1"
    told = refused(
        "mask", "masked", "--set", "masked.important_share=0", init=kitchen["base"], corpus=kitchen["corpus"]
    )
    assert told.startswith("mask: masked: important_share = 0")


def test_a_scorer_that_needs_no_word_says_what_to_raise(kitchen, refused):
    folders = {"classifier": kitchen["finetuned-base"], "task": kitchen["corpus"] / "task"}
    told = refused("score", "scores", "--set", "scores.buffer.delta=-2.0", **folders)
    assert told.endswith("raise scores.buffer.delta")


def test_a_report_of_nothing_says_what_to_make(refused, tmp_path):
    assert refused("report", "report", runs=tmp_path).endswith("run make dapt or make tapt")
