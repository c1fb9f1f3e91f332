"""Every scorer in the place of the default one, alone and in two processes."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from kitchen import HOW, Kitchen, rows

import stages.agree as agree_stage
import stages.finetune as finetune_stage
import stages.mask as mask_stage
import stages.score as score_stage
from corpora.parquet import read_rows
from pipeline.models import load_tokenizer
from pipeline.run.artifact import read_manifest
from pipeline.run.key import file_digest
from pipeline.scoring.deciding import NEEDS
from pipeline.scoring.scorers import SCORERS

CAUSAL = ["scores.causal.learning_rate=3e-3", "scores.causal.steps=100", "scores.causal.batch_size=32"]

Made = tuple[Path, dict[str, float]]
"""A folder, and what the stage that filled it says of it."""


def given_for(kitchen: Kitchen, scorer: str) -> dict[str, Path]:
    """The folders a scorer asks for."""
    have = {"classifier": kitchen["finetuned-base"], "reference": kitchen["dapt"]}
    return {need: have[need] for need in NEEDS[scorer] if need in have}


@pytest.fixture(scope="session")
def scored(kitchen, tmp_path_factory) -> Callable[[str], Made]:
    """The task text as a scorer sees it, asked once."""

    @lru_cache
    def by(scorer: str) -> Made:
        out = tmp_path_factory.mktemp(scorer)
        config = kitchen.config(score_stage.ScoresConfig, "scores", f"scores.scorer={scorer}", *CAUSAL)
        folders = {"classifier": None, "reference": None, **given_for(kitchen, scorer)}
        folders |= {"task": kitchen["corpus"] / "task", "corpus": kitchen["corpus"], "init": kitchen["base"]}
        return out, score_stage.score(config, **folders, out=out)

    return by


@pytest.fixture(scope="session")
def masked(kitchen, tmp_path_factory) -> Callable[[str], Made]:
    """The corpus masked by a scorer without a tagger, once."""

    @lru_cache
    def by(scorer: str) -> Made:
        out = tmp_path_factory.mktemp(scorer)
        config = kitchen.config(mask_stage.MaskConfig, "masked", f"masked.scorer={scorer}")
        folders = {"tagger": None, "classifier": None, "reference": None, **given_for(kitchen, scorer)}
        folders |= {"init": kitchen["base"], "corpus": kitchen["corpus"]}
        return out, mask_stage.mask(config, **folders, out=out)

    return by


@pytest.mark.parametrize("scorer", NEEDS)
def test_every_scorer_scores_the_task_text(scored, scorer):
    out, found = scored(scorer)
    assert 0 < found["keyword_share"] <= (100 if scorer == "buffer" else 15)
    assert f"to scorer = {scorer}." in (out / "preview.md").read_text()
    for row in read_rows(out):
        words, importance, keyword = (np.array(row[name]) for name in ("word_ids", "importance", "keyword"))
        assert len(words) == len(importance) == len(keyword) and not importance[words < 0].any()
        assert (importance[keyword] > 0).all() and not keyword[words < 0].any()
        assert all(len(set(importance[words == word])) == 1 for word in set(words.tolist()))


@pytest.mark.parametrize(
    "scorer", ["gradient", "integrated_gradients", "occlusion", "prefix", "causal_prefix", "log_odds"]
)
def test_scorers_that_know_the_label_find_the_words_that_decide(kitchen, scored, scorer):
    """One token in six decides: guessing would find that many."""
    tokenizer, hits, marked = load_tokenizer(kitchen["base"]), 0, 0
    decides = {i for word in HOW for i in tokenizer(word, add_special_tokens=False)["input_ids"]}
    for row in read_rows(scored(scorer)[0]):
        ids = np.array(row["input_ids"])[np.array(row["keyword"])]
        hits, marked = hits + sum(i in decides for i in ids.tolist()), marked + len(ids)
    assert hits / marked > 2 / 6


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_masks_the_domain_without_a_tagger(masked, scorer):
    out, found = masked(scorer)
    assert abs(found["mask_rate"] - 0.4) < 0.03 and 0 < found["important_rate"] < 0.25
    for row in read_rows(out):
        words, importance = np.array(row["word_ids"]), np.array(row["importance"])
        assert not importance[words < 0].any() and importance[words >= 0].all()


@pytest.mark.parametrize("scorer", ["buffer", "gradient", "log_odds"])
def test_two_processes_score_as_one(kitchen, scored, scorer):
    one, found = scored(scorer)
    two = kitchen.runs / "scored" / scorer / "r" / "scores"
    folders = {"task": kitchen["corpus"] / "task", "classifier": kitchen["finetuned-base"]}
    kitchen.by_two("score", two, "--set", f"scores.scorer={scorer}", **folders)
    assert read_manifest(two)["metrics"] == found
    keywords = [{name: row["keyword"] for name, row in rows(folder / "task").items()} for folder in (one, two)]
    assert keywords[0] == keywords[1]


def test_two_processes_put_scores_on_one_scale(kitchen, masked):
    two = kitchen.runs / "scale" / "two" / "r" / "masked"
    folders = {"corpus": kitchen["corpus"], "init": kitchen["base"]}
    kitchen.by_two("mask", two, "--set", "masked.scorer=loss", **folders)
    assert list(read_rows(masked("loss")[0])) == list(read_rows(two)) and not (two / "scratch").exists()


def test_scores_of_pieces_come_from_the_buffer_alone(kitchen, tmp_path):
    config = kitchen.config(score_stage.ScoresConfig, "scores", "scores.buffer.unit=piece")
    folders = {"task": kitchen["corpus"] / "task", "classifier": kitchen["finetuned-base"]}
    folders |= {"init": None, "corpus": None, "reference": None}
    score_stage.score(config, **folders, out=tmp_path)
    found, wanted = rows(tmp_path), rows(kitchen["scores"])
    assert all(found[name]["word_ids"] == wanted[name]["word_ids"] for name in wanted)
    split = lambda row: len(set(zip(row["word_ids"], row["importance"], strict=True))) > len(set(row["word_ids"]))
    assert any(map(split, found.values())) and not any(map(split, wanted.values()))


def test_all_scorers_are_compared_over_every_seed_that_was_kept(kitchen, tmp_path):
    settings = ["finetuned.keep_seeds=true", "finetuned.trainer.steps=40"]
    config = kitchen.config(finetune_stage.FinetuneConfig, "finetuned", *settings)
    task, kept = kitchen["corpus"] / "task", tmp_path / "finetuned-base"
    finetune_stage.finetune(config, kitchen["base"], task, kept)
    assert sorted(path.name for path in (kept / "seeds").iterdir()) == ["13", "43"]
    digests = {file_digest(path) for path in kept.rglob("model.safetensors")}
    assert len(digests) == 2, "the best seed's model is one of them"
    settings = ["agreement.causal.steps=5", "agreement.max_length=24"]
    config = kitchen.config(agree_stage.AgreementConfig, "agreement", *settings)
    folders = {"corpus": kitchen["corpus"], "init": kitchen["base"], "classifier": kept}
    found = agree_stage.agree(config, **folders, reference=None, out=tmp_path)
    page = (tmp_path / "agreement.md").read_text()
    table = {line.split()[1]: line.split(" | ") for line in page.splitlines() if line.startswith("| ")}
    assert set(table) == {"scorer", "---", *NEEDS} - {"excess_loss"}
    assert found["seeds"] == 2 and found["buffer/correlation"] == pytest.approx(1)
    assert abs(found["random/correlation"]) < 0.2
    assert "±" in table["gradient"][4] and table["gradient"][6] != "–" == table["random"][6]
    assert {"correlation.svg", "overlap.svg"} <= {path.name for path in tmp_path.iterdir()}
