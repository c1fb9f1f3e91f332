"""The whole chain on a corpus of a few hundred sentences: from raw text to a report, and what others make of it."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import load_dataset
from safetensors.torch import load_file
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

import stages.agree as agree_stage
import stages.finetune as finetune_stage
import stages.mask as mask_stage
import stages.pretrain as pretrain_stage
import stages.score as score_stage
import stages.show as show_stage
import stages.train_tagger as tagger_stage
from corpora.parquet import count_rows, flat_columns, metadata_of, read_rows, shards
from corpora.schemas import DOCUMENTS, MASKED, PREDICTIONS, SCORES, STATIC
from pipeline.batches import MaskedBatches, Sequences
from pipeline.calibration import Calibration
from pipeline.finetuning.classifier import ModelConfig
from pipeline.finetuning.task import Task
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import FATES, Vocabulary
from pipeline.models import load_tokenizer
from pipeline.run.artifact import file_digest, open_draft, read_manifest, seal
from pipeline.run.recipe import build, load_recipe
from pipeline.scoring.scorers import SCORERS, Recipe
from pipeline.tagging import Tagger
from pipeline.tokens import fingerprint, replaceable_ids

ROOT = Path(__file__).parent.parent.parent
LAUNCH = ["accelerate.commands.launch", "--num_processes", "2", "--mixed_precision", "no", "--config_file"]

WHEN = ["今天", "昨天", "中午", "晚上", "上次", "这次"]
WHAT = ["菜", "面", "汤", "鱼", "饭", "茶", "肉", "酒", "牛肉", "老板"]
HOW = {"好吃": "good", "美味": "good", "热情": "good", "难吃": "bad", "糟糕": "bad", "冷淡": "bad"}
END = ["。", "，下次再来。", "，大家都这样说。"]

CARD = """
name = "{name}"
language = "zh"
[fields]
text = "text"
{more}
[files]
"""

RECIPE = """
[corpus]
general = ["general.toml"]
domain = ["domain.toml"]
task = "task.toml"
shard_rows = 60
dev_share = 0.1

[base]
vocab_size = 120
hidden_size = 32
layers = 1
max_length = 24

[base.trainer]
steps = 60
batch_size = 32
learning_rate = 5e-3
evaluations = 1

[finetuned]
max_length = 24
seeds = [13, 43]

[finetuned.trainer]
epochs = 6          # a classifier that is sure of everything tells no word from another
batch_size = 16
learning_rate = 3e-3
evaluations = 1

[scores]
max_length = 24
buffer.min_gain = 0.2

[tagger.trainer]
epochs = 8
batch_size = 16
learning_rate = 5e-3
evaluations = 3

[masked]
max_length = 24
mask_rate = 0.4
selective_share = 0.5

[dapt.trainer]
steps = 60
batch_size = 16
learning_rate = 3e-3
evaluations = 3
save_steps = 5

[tapt.trainer]
steps = 5
batch_size = 16
"""


pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules after import:RuntimeWarning")


def write_corpus_files(data: Path) -> None:
    """About 1080 sentences of one pattern, each in one corpus only; what is written of a dish is its label."""
    texts = [(f"{when}吃的{what}真{how}{end}", how) for when, what, how, end in product(WHEN, WHAT, HOW, END)]
    order = np.random.default_rng(0).permutation(len(texts))
    parts = dict(
        zip(("train", "dev", "test", "domain", "general"), np.split(order, [100, 140, 200, 500]), strict=True)
    )
    for name, places in parts.items():
        rows = [{"text": texts[i][0], "label": HOW[texts[i][1]], "keywords": [texts[i][1]]} for i in places]
        lines = (json.dumps(row, ensure_ascii=False) for row in rows)
        (data / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    known = 'keywords = "keywords"'
    for name in ("domain", "general"):
        (data / f"{name}.toml").write_text(CARD.format(name=name, more=known) + f'unlabeled = "{name}.jsonl"')
    files = "\n".join(f'{split} = "{split}.jsonl"' for split in ("train", "dev", "test"))
    (data / "task.toml").write_text(CARD.format(name="task", more=f'label = "label"\n{known}') + files)


class Kitchen:
    """A folder with data, a recipe and runs; `make` runs a stage in this process as its command line would."""

    def __init__(self, folder: Path) -> None:
        self.data, self.runs, self.recipe = folder / "data", folder / "runs", folder / "toy.toml"
        self.data.mkdir()
        write_corpus_files(self.data)
        self.recipe.write_text(RECIPE)

    def __getitem__(self, artifact: str) -> Path:
        return self.runs / "toy" / artifact

    def command(self, stage: str, out: Path, *more: str, **folders: Path) -> list[str]:
        named = [str(part) for name, path in folders.items() for part in (f"--{name}", path)]
        return [f"stages.{stage}", "--recipe", str(self.recipe), "--out", str(out), *named, *more]

    def make(self, stage: str, out: str | Path, *more: str, **folders: Path) -> int:
        """The exit code."""
        module, *arguments = self.command(stage, self[out] if isinstance(out, str) else out, *more, **folders)
        before, sys.argv = sys.argv, [module, *arguments]
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as left:
            return left.code
        finally:
            sys.argv = before
        return 0

    def launch(
        self, processes: int, stage: str, out: Path, *more: str, file: str = "cpu2.yaml", **folders: Path
    ) -> subprocess.Popen:
        """The stage as a process of its own, or as two that share its work."""
        launcher = [*LAUNCH, f"stages/launch/{file}", "-m"] if processes == 2 else []
        command = [sys.executable, "-m", *launcher, *self.command(stage, out, *more, **folders)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)

    def made_from(self, artifact: str) -> tuple[str, dict[str, Path]]:
        """The stage that makes an artifact, and its inputs."""
        arm, task = artifact.removeprefix("finetuned-"), self["corpus"] / "task"
        if arm != artifact:
            return "finetune", {"init": self[arm], "task": task}
        masked = {part: self["masked"] / part for part in ("domain", "task")}
        return {
            "corpus": ("prepare", {"data": self.data}),
            "base": ("start", {"general": self["corpus"] / "general"}),
            "scores": ("score", {"classifier": self["finetuned-base"], "task": task}),
            "tagger": ("train_tagger", {"init": self["base"], "scores": self["scores"]}),
            "masked": ("mask", {"init": self["base"], "corpus": self["corpus"], "tagger": self["tagger"]}),
            "dapt": ("pretrain", {"init": self["base"], "masked": masked["domain"]}),
            "dapt-tapt": ("pretrain", {"init": self["dapt"], "masked": masked["task"]}),
            "static": ("export", {"init": self["base"], "masked": self["masked"]}),
            "report": ("report", {"runs": self.runs / "toy"}),
        }[artifact]


ARTIFACTS = ["corpus", "base", "finetuned-base", "scores", "tagger", "masked", "dapt", "dapt-tapt", "finetuned-dapt",
             "finetuned-dapt-tapt", "static", "report"]  # fmt: skip


@pytest.fixture(scope="session")
def kitchen(tmp_path_factory) -> Kitchen:
    """Everything made once."""
    torch.set_num_threads(1)
    it = Kitchen(tmp_path_factory.mktemp("chain"))
    for artifact in ARTIFACTS:
        stage, folders = it.made_from(artifact)
        assert it.make(stage, artifact, **folders) == 0
    return it


CORPORA = [
    ("corpus/domain", DOCUMENTS),
    ("corpus/general", DOCUMENTS),
    ("corpus/task", DOCUMENTS),
    ("scores/task", SCORES),
    ("masked/domain", MASKED),
    ("masked/task", MASKED),
    ("static/domain", STATIC),
    ("static/task", STATIC),
    ("finetuned-base/predictions", PREDICTIONS),
]


def metrics(kitchen: Kitchen, artifact: str) -> dict[str, float]:
    return read_manifest(kitchen[artifact])["metrics"]


def rows(folder: Path) -> dict[str, dict]:
    """The rows of a corpus by their id."""
    found = list(read_rows(folder))
    assert len({row["id"] for row in found}) == len(found)
    return {row["id"]: row for row in found}


# ---- what the chain makes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARTIFACTS)
def test_every_artifact_is_what_its_manifest_says(kitchen, name):
    files = read_manifest(kitchen[name])["files"]
    there = {p.relative_to(kitchen[name]).as_posix() for p in kitchen[name].rglob("*") if p.is_file()}
    assert there == {*files, "manifest.json"}
    assert all(file_digest(kitchen[name] / path) == entry["sha256"] for path, entry in files.items())


def test_nothing_half_made_is_left(kitchen):
    assert {path.name for path in (kitchen.runs / "toy").iterdir() if not path.name.startswith(".")} == set(ARTIFACTS)


def test_a_classifier_learns_what_a_word_decides(kitchen):
    assert metrics(kitchen, "finetuned-base")["accuracy"] > 90


def test_scorer_and_tagger_find_the_words_that_decide(kitchen):
    """One token in six decides: guessing would find that many."""
    assert metrics(kitchen, "scores")["truth_precision"] > 60
    assert metrics(kitchen, "tagger")["f1"] > 60
    assert metrics(kitchen, "masked")["truth_precision"] > 60


def test_masks_fall_on_the_words_that_decide_more_often_than_by_chance(kitchen):
    found = metrics(kitchen, "masked")
    assert abs(found["mask_rate"] - 0.4) < 0.03
    assert found["masked_on_truth"] > 100 / 6 + 5


def test_pretraining_lowers_the_loss_on_text_held_back(kitchen):
    found = metrics(kitchen, "dapt")
    assert found["dev_loss"] < found["dev_loss_before"] and found["steps"] == 60


def test_the_report_shows_every_arm_with_its_numbers(kitchen):
    page = (kitchen["report"] / "report.md").read_text()
    table = [line for line in page.splitlines() if line.startswith("| ")]
    assert [line.split()[1] for line in table[2:5]] == ["base", "dapt", "dapt-tapt"]
    for line, name in zip(table[2:5], ("base", "dapt", "dapt-tapt"), strict=True):
        assert f"{metrics(kitchen, f'finetuned-{name}')['accuracy']:.1f} ±" in line
    assert "left out" not in page


def test_the_report_says_how_far_the_tagger_can_be_believed(kitchen):
    found, page = metrics(kitchen, "tagger"), (kitchen["report"] / "report.md").read_text()
    assert f"| toy | {found['precision']:.1f} | {found['recall']:.1f} | {found['f1']:.1f} |" in page
    bins = json.loads((kitchen["tagger"] / "reliability.json").read_text())
    assert "reliability.svg" in page and 0 <= found["calibration_error"] <= 100 and len(bins) <= 10


def test_a_tagger_learns_importances_and_is_calibrated(kitchen, tmp_path):
    settings = ["tagger.target=importance", "tagger.calibrate=true"]
    config = build(tagger_stage.TaggerConfig, load_recipe(str(kitchen.recipe), settings)["tagger"], "tagger")
    found = tagger_stage.train_tagger(config, kitchen["base"], kitchen["scores"], tmp_path)
    assert found["f1"] > 60 and found["calibration_error"] < 20
    assert Calibration.load(tmp_path) == Tagger(tmp_path).calibration is not None


def test_test_text_of_the_task_is_never_masked(kitchen):
    test = {row["text"] for row in read_rows(kitchen["corpus"] / "task" / "test")}
    tokenizer = load_tokenizer(kitchen["base"])
    seen = {tokenizer.decode(row["input_ids"], skip_special_tokens=True) for row in read_rows(kitchen["masked"])}
    assert not {tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in test} & seen


def test_whatever_holds_ids_carries_its_tokenizer(kitchen):
    wanted = fingerprint(load_tokenizer(kitchen["base"]))
    for place in ("tagger", "masked/tokenizer", "static/tokenizer", "dapt", "finetuned-dapt"):
        assert fingerprint(load_tokenizer(kitchen[place])) == wanted
    assert {metadata_of(shard)["tokenizer"] for shard in shards(kitchen["masked"])} == {wanted}


def test_masked_ids_are_those_of_the_text_and_its_masks_whole_words(kitchen):
    tokenizer, found = load_tokenizer(kitchen["base"]), rows(kitchen["masked"] / "domain")
    for row in read_rows(kitchen["corpus"] / "domain"):
        sequence = found[row["id"]]
        assert sequence["input_ids"] == tokenizer(row["text"])["input_ids"]
        words, chosen = np.array(sequence["word_ids"]), np.array(sequence["masked"])
        assert (
            all(len(set(chosen[words == word])) == 1 for word in set(words.tolist())) and not chosen[words < 0].any()
        )


def test_the_export_is_what_pretraining_sees_at_its_first_visit(kitchen, tmp_path):
    folder, tokenizer = kitchen["masked"] / "domain" / "train", load_tokenizer(kitchen["base"])
    sequences = Sequences(**flat_columns(folder, ("id", "input_ids", "word_ids", "importance"), tmp_path))
    masking = MaskingConfig(**json.loads(metadata_of(folder)["masking"]))
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
    batches = MaskedBatches(sequences, masking, vocabulary, tokenizer.pad_token_id)
    for i, row in enumerate(read_rows(kitchen["static"] / "domain" / "train")):
        batch = batches.batch(np.array([i]), np.array([0]))
        assert {name: batch[name][0].tolist() for name in batch} == row


# ---- every scorer in the place of the default one ------------------------------------------------------------------


def given_for(kitchen: Kitchen, scorer: str) -> dict[str, Path]:
    """The folders a scorer asks for."""
    have = {"classifier": kitchen["finetuned-base"], "reference": kitchen["dapt"]}
    return {need: have[need] for need in SCORERS[scorer].needs if need in have}


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_scores_the_task_text(kitchen, tmp_path, scorer):
    table = load_recipe(str(kitchen.recipe), [f"scores.scorer={scorer}"])["scores"]
    folders = {"classifier": None, "reference": None, **given_for(kitchen, scorer)}
    folders |= {"task": kitchen["corpus"] / "task", "corpus": kitchen["corpus"], "init": kitchen["base"]}
    found = score_stage.score(build(score_stage.ScoresConfig, table, "scores"), **folders, out=tmp_path)
    assert 0 < found["keyword_share"] <= 15 and f"to scorer = {scorer}." in (tmp_path / "preview.md").read_text()
    for row in read_rows(tmp_path):
        words, importance, keyword = (np.array(row[name]) for name in ("word_ids", "importance", "keyword"))
        assert len(words) == len(importance) == len(keyword) and not importance[words < 0].any()
        assert (importance[keyword] > 0).all() and not keyword[words < 0].any()
        assert all(len(set(importance[words == word])) == 1 for word in set(words.tolist()))


@pytest.mark.parametrize("scorer", ["gradient", "integrated_gradients", "occlusion", "prefix", "log_odds"])
def test_scorers_that_know_the_label_find_the_words_that_decide(kitchen, tmp_path, scorer):
    """One token in six decides: guessing would find that many."""
    test_every_scorer_scores_the_task_text(kitchen, tmp_path, scorer)
    truth = [set(row["keywords"]) for row in read_rows(kitchen["corpus"] / "task" / "train")]
    tokenizer, hits, marked = load_tokenizer(kitchen["base"]), 0, 0
    decides = {i for words in truth for word in words for i in tokenizer(word, add_special_tokens=False)["input_ids"]}
    for row in read_rows(tmp_path):
        ids = np.array(row["input_ids"])[np.array(row["keyword"])]
        hits, marked = hits + sum(i in decides for i in ids.tolist()), marked + len(ids)
    assert hits / marked > 2 / 6


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_masks_the_domain_without_a_tagger(kitchen, tmp_path, scorer):
    table = load_recipe(str(kitchen.recipe), [f"masked.scorer={scorer}"])["masked"]
    folders = {"tagger": None, "classifier": None, "reference": None, **given_for(kitchen, scorer)}
    folders |= {"init": kitchen["base"], "corpus": kitchen["corpus"]}
    found = mask_stage.mask(build(mask_stage.MaskConfig, table, "masked"), **folders, out=tmp_path)
    assert abs(found["mask_rate"] - 0.4) < 0.03 and 0 < found["important_rate"] < 0.25
    for row in read_rows(tmp_path):
        words, importance = np.array(row["word_ids"]), np.array(row["importance"])
        assert not importance[words < 0].any() and importance[words >= 0].all()


def test_a_classifier_that_reads_from_left_to_right_finds_the_words_that_decide(kitchen, tmp_path):
    settings = ["scores.scorer=causal_prefix", "scores.causal.learning_rate=3e-3", "scores.causal.steps=150"]
    table = load_recipe(str(kitchen.recipe), settings)["scores"]
    folders = {"task": kitchen["corpus"] / "task", "classifier": kitchen["finetuned-base"]}
    folders |= {"init": None, "corpus": None, "reference": None}
    found = score_stage.score(build(score_stage.ScoresConfig, table, "scores"), **folders, out=tmp_path)
    assert found["truth_precision"] > 2 * 100 / 6 and 0 < found["keyword_share"] <= 15


@pytest.mark.parametrize("scorer", ["buffer", "gradient", "log_odds"])
def test_two_processes_score_as_one(kitchen, scorer):
    folders = {"task": kitchen["corpus"] / "task", "classifier": kitchen["finetuned-base"]}
    settings = ["--set", f"scores.scorer={scorer}", "scores.keyword_share=0.1"]
    one, two = (kitchen.runs / "shared" / scorer / name / "r" / "scores" for name in ("one", "two"))
    done = kitchen.launch(2, "score", two, *settings, **folders)
    assert kitchen.make("score", one, *settings, **folders) == 0
    assert "✓" in done.communicate()[1] and done.returncode == 0
    assert read_manifest(one)["metrics"] == read_manifest(two)["metrics"]
    keywords = [{name: row["keyword"] for name, row in rows(folder / "task").items()} for folder in (one, two)]
    assert keywords[0] == keywords[1]


def test_scores_of_pieces_come_from_the_buffer_alone(kitchen, tmp_path):
    table = load_recipe(str(kitchen.recipe), ["scores.buffer.unit=piece"])["scores"]
    folders = {"task": kitchen["corpus"] / "task", "classifier": kitchen["finetuned-base"]}
    folders |= {"init": None, "corpus": None, "reference": None}
    score_stage.score(build(score_stage.ScoresConfig, table, "scores"), **folders, out=tmp_path)
    found, wanted = rows(tmp_path), rows(kitchen["scores"])
    assert all(found[name]["word_ids"] == wanted[name]["word_ids"] for name in wanted)
    split = lambda row: len(set(zip(row["word_ids"], row["importance"], strict=True))) > len(set(row["word_ids"]))
    assert any(map(split, found.values())) and not any(map(split, wanted.values()))


def test_two_processes_put_scores_on_one_scale(kitchen):
    settings = ["--set", "masked.scorer=loss"]
    folders = {name: kitchen[name] for name in ("corpus",)} | {"init": kitchen["base"]}
    one, two = (kitchen.runs / "scale" / f"runs-{name}" / "r" / "masked" for name in ("one", "two"))
    done = kitchen.launch(2, "mask", two, *settings, **folders)
    assert kitchen.make("mask", one, *settings, **folders) == 0
    assert "✓" in done.communicate()[1] and done.returncode == 0
    assert list(read_rows(one)) == list(read_rows(two)) and not (two / "scratch").exists()


def test_all_scorers_are_compared_over_every_seed_that_was_kept(kitchen, tmp_path):
    settings = ["finetuned.keep_seeds=true", "finetuned.trainer.steps=40", "agreement.causal.steps=5"]
    tables = load_recipe(str(kitchen.recipe), [*settings, "agreement.max_length=24"])
    config = build(finetune_stage.FinetuneConfig, tables["finetuned"], "finetuned")
    task, kept = kitchen["corpus"] / "task", tmp_path / "finetuned-base"
    finetune_stage.finetune(config, kitchen["base"], task, kept)
    assert sorted(path.name for path in (kept / "seeds").iterdir()) == ["13", "43"]
    digests = {file_digest(path) for path in kept.rglob("model.safetensors")}
    assert len(digests) == 2, "the best seed's model is one of them"
    config = build(agree_stage.AgreementConfig, tables["agreement"], "agreement")
    folders = {"corpus": kitchen["corpus"], "init": kitchen["base"], "classifier": kept}
    found = agree_stage.agree(config, **folders, reference=None, out=tmp_path)
    page = (tmp_path / "agreement.md").read_text()
    table = {line.split()[1]: line.split(" | ") for line in page.splitlines() if line.startswith("| ")}
    assert set(table) == {"scorer", "---", "buffer", "causal_prefix", *SCORERS} - {"excess_loss"}
    assert (
        found["seeds"] == 2
        and found["buffer/correlation"] == pytest.approx(1)
        and abs(found["random/correlation"]) < 0.2
    )
    assert "±" in table["gradient"][4] and table["gradient"][6] != "–" == table["random"][6]
    assert {"correlation.svg", "overlap.svg"} <= {path.name for path in tmp_path.iterdir()}


# ---- every selector and replacer in the place of the default one ----------------------------------------------------


def mask_with(kitchen: Kitchen, out: Path, *settings: str) -> dict[str, float]:
    """The masked corpus with other settings, and what pretraining on it says of its masks."""
    tables = load_recipe(str(kitchen.recipe), [f"masked.{one}" for one in settings])
    folders = {name: kitchen[name] for name in ("corpus", "tagger")} | {"classifier": None, "reference": None}
    config = build(mask_stage.MaskConfig, tables["masked"], "masked", kitchen.recipe.parent)
    found = mask_stage.mask(config, init=kitchen["base"], **folders, out=out)
    short = build(pretrain_stage.PretrainConfig, {"trainer": {"steps": 2, "batch_size": 8}}, "dapt")
    return found | pretrain_stage.pretrain(short, kitchen["base"], out / "domain", out / "dapt")


@pytest.mark.parametrize(
    "settings",
    [
        ("select=sample",),
        ("select=sample", "control=true"),
        ("select=threshold", "fill=none", "selective_share=1.0"),
        ("unit=ngram",),
        ("unit=span", "policy=whole_word"),
        ("unit=token",),
        ("policy=random",),
        ("selective_share_schedule=linear", "final_selective_share=0.0"),
        ("mask_rate_schedule=steps",),
        ("replacement=similar", "unit=ngram", "policy=whole_word"),
        ("replacement=confusion", "substitutes=alike.tsv"),
        ("mask_share=0.0", "random_share=1.0"),
        ("mask_share=0.0", "random_share=0.0"),
    ],
    ids=" ".join,
)
def test_every_selector_and_replacer_masks_and_pretrains(kitchen, tmp_path, settings):
    (kitchen.recipe.parent / "alike.tsv").write_text("菜\t汤\t面\n鱼\t肉\n", encoding="utf-8")
    found = mask_with(kitchen, tmp_path, *settings)
    assert found["dev_loss"] > 0
    if "fill=none" in settings:
        assert found["realised_chosen"] < 0.35
    else:  # a span may be longer than the budget of so short a sequence
        assert found["realised_chosen"] == pytest.approx(0.4, abs=0.2 if "unit=span" in settings else 0.05)
    fates = {fate: found[f"realised_{fate}"] for fate in FATES}
    assert sum(fates.values()) == pytest.approx(1)
    if "mask_share=0.0" in settings:
        assert fates["random" if "random_share=1.0" in settings else "kept"] == pytest.approx(1)
    if "replacement=similar" in settings:
        assert fates["replaced"] > 0.4 and found["substitutes_domain"] > 10
    if "replacement=confusion" in settings:
        assert found["substitutes_domain"] == 2


def test_function_words_and_punctuation_may_be_left_out(kitchen, tmp_path):
    mask_with(kitchen, tmp_path, "skip_stop_words=true", "skip_punctuation=true")
    tokenizer = load_tokenizer(kitchen["base"])
    chosen = Counter()
    for row in read_rows(tmp_path / "domain"):
        ids = np.array(row["input_ids"])
        chosen.update(tokenizer.convert_ids_to_tokens(ids[np.array(row["masked"])].tolist()))
    assert not {"，", "。", "的", "都"} & chosen.keys() and "真" in chosen


def test_terms_come_first_and_whole(kitchen, tmp_path):
    terms = kitchen.recipe.parent / "terms.txt"
    terms.write_text("吃的\n", encoding="utf-8")
    mask_with(kitchen, tmp_path, "terms=terms.txt", "selective_share=1.0", "mask_rate=0.3")
    tokenizer, seen = load_tokenizer(kitchen["base"]), 0
    wanted = tokenizer.convert_tokens_to_ids(["吃", "的"])
    for row in read_rows(tmp_path / "domain"):
        place = row["input_ids"].index(wanted[0])
        assert row["input_ids"][place : place + 2] == wanted
        assert row["word_ids"][place] == row["word_ids"][place + 1] and row["importance"][place] == 255
        seen += all(row["masked"][place : place + 2])
    assert seen > 0.9 * count_rows(tmp_path / "domain")


def test_a_users_dictionary_decides_what_a_word_is(kitchen, tmp_path):
    (kitchen.recipe.parent / "words.txt").write_text("吃的菜 100000\n", encoding="utf-8")
    mask_with(kitchen, tmp_path, "user_dictionary=words.txt")
    tokenizer = load_tokenizer(kitchen["base"])
    dish = tokenizer.convert_tokens_to_ids(list("吃的菜"))
    found = [row for row in read_rows(tmp_path / "domain") if dish[2] in row["input_ids"]]
    places = [row["input_ids"].index(dish[0]) for row in found if row["input_ids"].count(dish[0])]
    assert any(len(set(row["word_ids"][i : i + 3])) == 1 for row, i in zip(found, places, strict=False))


def test_what_masking_does_is_shown(kitchen, tmp_path):
    folders = {"init": kitchen["base"], "masked": kitchen["masked"], "corpus": kitchen["corpus"]}
    show_stage.show(show_stage.ShowConfig(sequences=2), **folders, out=tmp_path)
    html, text = ((tmp_path / name).read_text(encoding="utf-8") for name in ("index.html", "shown.txt"))
    assert "macbert 3" in text and "selective 1" in text and html.count("<h3>") == 4
    assert "\x1b[" in (tmp_path / "shown.ansi").read_text(encoding="utf-8")


def test_a_recipes_own_substitutes_are_shown(kitchen, tmp_path):
    (kitchen.recipe.parent / "alike.tsv").write_text("菜\t汤\t面\n", encoding="utf-8")
    own = ("policy=whole_word", "replacement=confusion", "substitutes=alike.tsv", "mask_share=1.0", "random_share=0.0")
    mask_with(kitchen, tmp_path, *own)
    folders = {"init": kitchen["base"], "masked": tmp_path, "corpus": tmp_path}
    show_stage.show(show_stage.ShowConfig(sequences=60), **folders, out=tmp_path)
    lines = re.findall(r"<th>whole_word \d</th><td>(.*?)</td>", (tmp_path / "index.html").read_text(encoding="utf-8"))
    found = set(re.findall(r'class="t new"><s>(.*?)</s>(.*?)</span>', "".join(lines)))
    assert found == {("菜", "汤"), ("菜", "面")}


# ---- what other people's programs make of it ----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "schema"), CORPORA)
def test_every_corpus_opens_with_pyarrow(kitchen, name, schema):
    table = pq.read_table(kitchen[name])
    assert table.column_names == schema.names and table.num_rows == count_rows(kitchen[name]) > 0


@pytest.mark.parametrize(("name", "schema"), CORPORA)
def test_every_corpus_opens_with_datasets(kitchen, name, schema, tmp_path):
    found = load_dataset("parquet", data_dir=str(kitchen[name]), cache_dir=str(tmp_path))
    assert sum(split.num_rows for split in found.values()) == count_rows(kitchen[name])
    assert all(split.column_names == schema.names for split in found.values())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("base", AutoModelForMaskedLM),
        ("dapt", AutoModelForMaskedLM),
        ("dapt-tapt", AutoModelForMaskedLM),
        ("tagger", AutoModelForTokenClassification),
        ("finetuned-dapt", AutoModelForSequenceClassification),
    ],
)
def test_every_checkpoint_opens_whole_with_its_auto_class(kitchen, name, kind):
    model, info = kind.from_pretrained(kitchen[name], output_loading_info=True)
    assert not (info["missing_keys"] or info["unexpected_keys"])
    tokenizer = AutoTokenizer.from_pretrained(kitchen[name])
    assert model(**tokenizer("今天吃的菜真好吃。", return_tensors="pt")).logits.isfinite().all()


def test_a_finished_classifier_classifies_with_the_library_alone(kitchen):
    model = AutoModelForSequenceClassification.from_pretrained(kitchen["finetuned-base"]).eval()
    tokenizer = AutoTokenizer.from_pretrained(kitchen["finetuned-base"])
    for text, label in (("今天吃的菜真好吃。", "good"), ("今天吃的菜真难吃。", "bad")):
        assert model.config.id2label[int(model(**tokenizer(text, return_tensors="pt")).logits.argmax())] == label


def test_the_trainer_of_the_library_trains_on_the_export(kitchen, tmp_path):
    data = load_dataset("parquet", data_dir=str(kitchen["static"] / "domain"), cache_dir=str(tmp_path / "cache"))
    model, tokenizer = (c.from_pretrained(kitchen["base"]) for c in (AutoModelForMaskedLM, AutoTokenizer))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    arguments = TrainingArguments(
        str(tmp_path / "out"), max_steps=1, use_cpu=True, report_to="none", disable_tqdm=True
    )
    collate = DataCollatorForTokenClassification(tokenizer)
    trained = Trainer(model, arguments, train_dataset=data["train"], data_collator=collate).train()
    assert np.isfinite(trained.training_loss)
    assert any(not torch.equal(p, before[name]) for name, p in model.named_parameters())


# ---- again, broken off, by two ------------------------------------------------------------------------------------


def test_made_again_everything_is_up_to_date(kitchen, capsys):
    kitchen.make("prepare", "corpus", data=kitchen.data)
    kitchen.make("mask", "masked", init=kitchen["base"], corpus=kitchen["corpus"], tagger=kitchen["tagger"])
    kitchen.make("report", "report", runs=kitchen.runs / "toy")
    marks = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert marks == ["·"] * 3


def test_another_recipe_with_the_same_settings_shares_what_is_made(kitchen):
    out = kitchen.runs / "twin" / "corpus"
    kitchen.make("prepare", out, data=kitchen.data)
    assert read_manifest(out)["linked_from"] == str(kitchen["corpus"])
    shutil.rmtree(out.parent)


def test_masking_broken_off_and_run_again_writes_the_same_rows(kitchen, tmp_path, monkeypatch):
    config = build(mask_stage.MaskConfig, load_recipe(str(kitchen.recipe))["masked"], "masked")
    folders = [*(kitchen[name] for name in ("base", "corpus", "tagger")), None, None]
    written = []

    def until_the_third(path: Path, *more: object) -> int:
        if len(written) == 2:
            raise RuntimeError("killed")
        written.append(path)
        return write_shard(path, *more)

    write_shard = mask_stage.write_shard
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(mask_stage, "write_shard", until_the_third)
        mask_stage.mask(config, *folders, tmp_path)
    times = [path.stat().st_mtime_ns for path in written]
    found = mask_stage.mask(config, *folders, tmp_path)
    assert [path.stat().st_mtime_ns for path in written] == times  # what was whole was kept
    assert found == metrics(kitchen, "masked")
    assert list(read_rows(tmp_path)) == list(read_rows(kitchen["masked"]))


@pytest.mark.parametrize("documents", [1, 7])
def test_masks_do_not_depend_on_what_is_tagged_together(kitchen, tmp_path, documents):
    table = load_recipe(str(kitchen.recipe), [f"masked.batch_documents={documents}"])["masked"]
    config = build(mask_stage.MaskConfig, table, "masked")
    mask_stage.mask(config, *(kitchen[name] for name in ("base", "corpus", "tagger")), None, None, tmp_path)
    found, wanted = rows(tmp_path), rows(kitchen["masked"])
    assert found.keys() == wanted.keys()
    assert all(found[name]["masked"] == wanted[name]["masked"] for name in wanted)
    gap = max(abs(np.array(found[n]["importance"]) - np.array(wanted[n]["importance"])).max() for n in wanted)
    assert gap <= 1  # the last bit of a sum may depend on the shape of a batch


def test_two_processes_mask_the_same_rows_as_one(kitchen):
    out = kitchen.runs / "two" / "masked"
    folders = {name: kitchen[name] for name in ("corpus", "tagger")}
    changed = ["--set", "masked.batch_documents=511"]  # or the finished one would be linked
    done = kitchen.launch(2, "mask", out, *changed, init=kitchen["base"], **folders)
    assert "✓" in done.communicate()[1] and done.returncode == 0
    assert read_manifest(out)["provenance"]["processes"] == 2
    assert read_manifest(out)["metrics"] == metrics(kitchen, "masked")
    assert list(read_rows(out)) == list(read_rows(kitchen["masked"]))


def without_dropout(kitchen: Kitchen, out: Path) -> Path:
    """The base as an artifact whose model has no dropout."""
    draft = open_draft(out, "no dropout", {})
    shutil.copytree(kitchen["base"], draft, dirs_exist_ok=True)
    (draft / "manifest.json").unlink()
    config = json.loads((draft / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (draft / "config.json").write_text(json.dumps(config))
    seal(draft, out, {"stage": "toy", "key": "no dropout"})
    return out


def losses(folder: Path) -> list[float]:
    lines = map(json.loads, (folder / "logs" / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


@pytest.mark.parametrize("file", ["cpu2.yaml", "fsdp2.yaml"])
def test_two_processes_learn_the_same_as_one(kitchen, file):
    still, masked = kitchen.runs / "still" / file, kitchen["masked"] / "domain"
    init, settings = without_dropout(kitchen, still / "base"), ["--set", "dapt.trainer.steps=12"]
    one, two = still / "dapt", kitchen.runs / "apart" / file / "runs" / "two" / "dapt"
    done = kitchen.launch(2, "pretrain", two, *settings, file=file, init=init, masked=masked)
    kitchen.make("pretrain", one, *settings, init=init, masked=masked)
    assert "✓" in done.communicate()[1] and done.returncode == 0
    assert read_manifest(two)["provenance"]["processes"] == 2
    np.testing.assert_allclose(losses(two), losses(one), atol=1e-4)
    weights = [load_file(path / "model.safetensors") for path in (two, one)]
    for name in weights[0]:  # a key's bias has no gradient but rounding errors, of which Adam makes steps
        close = 1e-4 if name.endswith("key.bias") else 1e-5
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=0, atol=close)
    found, wanted = read_manifest(two)["metrics"], read_manifest(one)["metrics"]
    assert found["tokens"] == wanted["tokens"] and found["dev_loss"] == pytest.approx(wanted["dev_loss"], abs=1e-4)


def pretrained_elsewhere(kitchen, name: str) -> tuple[Path, dict[str, Path]]:
    """Where to pretrain out of sight of the finished artifact, and from what."""
    out = kitchen.runs / "elsewhere" / name / "runs" / "r" / "dapt"
    return out, {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}


def ends_with_the_same_bits(kitchen, out: Path, folders: dict[str, Path]) -> None:
    """Run again what was broken off: it continues, and nothing shows that it was broken."""
    again = kitchen.launch(1, "pretrain", out, **folders)
    assert "continuing at step" in again.communicate()[1] and again.returncode == 0
    hashes = [file_digest(folder / "model.safetensors") for folder in (out, kitchen["dapt"])]
    assert hashes[0] == hashes[1] and read_manifest(out)["digest"] == read_manifest(kitchen["dapt"])["digest"]
    assert len(losses(out)) == 60 and not list(out.parent.glob("*.partial"))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 75)])
def test_pretraining_stopped_by_a_signal_and_run_again_ends_with_the_same_bits(kitchen, sent, code):
    out, folders = pretrained_elsewhere(kitchen, sent.name)
    checkpoints = out.with_name("dapt.partial") / "scratch" / "checkpoints"
    first = kitchen.launch(1, "pretrain", out, **folders)
    while not list(checkpoints.glob("step-*")) and first.poll() is None:
        time.sleep(0.002)
    first.send_signal(sent)
    said = first.communicate()[1]
    assert first.returncode == code and not out.exists()
    if sent == signal.SIGTERM:
        assert "stopped by SIGTERM" in said and "SIGTERM" in (out.with_name("dapt.partial") / "PREEMPTED").read_text()
    ends_with_the_same_bits(kitchen, out, folders)


def test_pretraining_that_dies_while_it_writes_a_checkpoint_continues_from_the_one_before(kitchen, monkeypatch):
    out, folders = pretrained_elsewhere(kitchen, "torn")
    with monkeypatch.context() as patch:
        patch.setenv("KEYMASK_FAULT", "checkpoint.rename@3:kill")
        first = kitchen.launch(1, "pretrain", out, **folders)
        first.communicate()
    left = sorted(path.name for path in (out.with_name("dapt.partial") / "scratch" / "checkpoints").iterdir())
    assert first.returncode == -signal.SIGKILL
    assert left[:3] == ["LATEST", "step-000005", "step-000010"] and left[3].startswith("tmp-000015")
    ends_with_the_same_bits(kitchen, out, folders)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["stage.begun", "stage.done", "seal.manifest", "seal.rename"])
@pytest.mark.parametrize("artifact", [name for name in ARTIFACTS if name != "dapt-tapt"])
def test_a_stage_killed_anywhere_and_run_again_makes_the_same_artifact(kitchen, monkeypatch, artifact, point):
    out = kitchen.runs / "elsewhere" / f"{artifact}-{point}" / "runs" / "toy" / artifact
    stage, folders = kitchen.made_from(artifact)
    with monkeypatch.context() as patch:
        patch.setenv("KEYMASK_FAULT", f"{point}:kill")
        first = kitchen.launch(1, stage, out, **folders)
        first.communicate()
    assert first.returncode == -signal.SIGKILL and not out.exists()
    again = kitchen.launch(1, stage, out, **folders)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert read_manifest(out)["digest"] == read_manifest(kitchen[artifact])["digest"]
    assert not list(out.parent.glob("*.partial"))


def test_fine_tuning_broken_off_between_seeds_ends_with_the_same_bits(kitchen, tmp_path, monkeypatch):
    config = build(finetune_stage.FinetuneConfig, load_recipe(str(kitchen.recipe))["finetuned"], "finetuned")
    folders = kitchen["base"], kitchen["corpus"] / "task"
    make, seeds = finetune_stage.new_model, []

    def once(init: Path, task: Task, config: ModelConfig, seed: int) -> torch.nn.Module:
        seeds.append(seed)
        if seeds == [13, 43]:
            raise RuntimeError("killed")
        return make(init, task, config, seed)

    monkeypatch.setattr(finetune_stage, "new_model", once)
    with pytest.raises(RuntimeError, match="killed"):
        finetune_stage.finetune(config, *folders, tmp_path)
    assert finetune_stage.finetune(config, *folders, tmp_path) == metrics(kitchen, "finetuned-base")
    assert seeds == [13, 43, 43]
    for name in ("model.safetensors", "predictions/part-00000.parquet"):
        assert file_digest(tmp_path / name) == file_digest(kitchen["finetuned-base"] / name)


# ---- what cannot be used ------------------------------------------------------------------------------------------


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


def test_a_scorer_to_which_all_words_are_alike_is_refused(kitchen, refused, monkeypatch):
    alike = lambda documents: [np.ones(len(one.words), dtype=np.float32) for one in documents]
    monkeypatch.setitem(SCORERS, "random", Recipe((), lambda: alike))
    folders = {"init": kitchen["base"], "corpus": kitchen["corpus"]}
    told = refused("mask", "masked", "--set", "masked.scorer=random", **folders)
    assert told.startswith("mask: scorer = random gives 100% of the words its highest score: raise masked.important")


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
