"""The whole chain on a corpus of a few hundred sentences: from raw text to a report, and what others make of it."""

import json
import re

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from datasets import get_dataset_config_names, load_dataset
from huggingface_hub import ModelCard
from kitchen import ARTIFACTS, metrics, rows
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    DataCollatorForTokenClassification,
    Trainer,
    TrainingArguments,
)

import stages.train_tagger as tagger_stage
from corpora.parquet import count_rows, flat_columns, metadata_of, read_rows, shards
from corpora.schemas import DOCUMENTS, MASKED, PREDICTIONS, SCORES, STATIC
from pipeline.batches import MaskedBatches, Sequences
from pipeline.calibration import Calibration
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.models import load_tokenizer
from pipeline.run.artifact import read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import file_digest
from pipeline.tagging import Tagger
from pipeline.tokens import fingerprint, replaceable_ids
from stages.diagnose import DiagnosisConfig, diagnose
from stages.fill import FillConfig, fill
from stages.publish import PublishConfig, publish
from stages.publish import sources as publish_sources
from stages.report import ReportConfig
from stages.report import sources as report_sources

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


def test_the_page_has_every_section_that_has_something_to_show_and_no_other(kitchen):
    page = (kitchen["report"] / "report.html").read_text(encoding="utf-8")
    titles = re.findall(r'<h2><span class="en" lang="en">(.*?)</span>', page)
    assert titles == [
        "Verdict", "Every seed", "Statistics", "While pretraining", "What is masked", "Keywords by class",
        "Keywords against planted truth", "Can the tagger be believed?", "The text, and what cleaning dropped",
        "Classes", "All measures", "Cost", "How to read it", "How to repeat it",
    ]  # fmt: skip  # both arms are right on every row, and nothing was filled in
    assert (
        "selective 2" in page
        and "whole_word 1" in page
        and f"{metrics(kitchen, 'finetuned-dapt')['accuracy']:.1f} ±" in page
    )


def test_words_are_hidden_in_held_out_sentences_and_both_checkpoints_are_asked(kitchen, tmp_path):
    folders = {"init": kitchen["base"], "adapted": kitchen["dapt"], "masked": kitchen["masked"] / "domain"}
    found = fill(FillConfig(sentences=3), **folders, out=tmp_path)
    told = json.loads((tmp_path / "fills.json").read_text(encoding="utf-8"))
    assert found["sentences"] == len(told) == 3 and all(list(one["fills"]) == ["base", "dapt"] for one in told)
    dev = {row["text"] for row in read_rows(kitchen["corpus"] / "domain" / "dev")}
    assert all(one["before"] + one["written"] + one["after"] in dev for one in told)
    assert found["written"] > found["written_before"]  # it has learned on text like this


def test_a_checkpoint_that_has_no_head_for_masked_words_is_asked_nothing(kitchen, tmp_path):
    (tmp_path / "manifest.json").write_text('{"config": {"objective": "rtd"}}')
    folders = {"init": kitchen["base"], "adapted": tmp_path, "masked": kitchen["masked"] / "domain"}
    assert fill(FillConfig(), **folders, out=tmp_path) == {"sentences": 0}
    assert (tmp_path / "fills.json").read_text() == "[]"


def test_the_report_says_how_far_the_tagger_can_be_believed(kitchen):
    found, page = metrics(kitchen, "tagger"), (kitchen["report"] / "report.md").read_text()
    assert f"| toy | {found['precision']:.1f} | {found['recall']:.1f} | {found['f1']:.1f} |" in page
    bins = json.loads((kitchen["tagger"] / "reliability.json").read_text())
    assert "reliability.svg" in page and 0 <= found["calibration_error"] <= 100 and len(bins) <= 10


def test_a_tagger_learns_importances_and_is_calibrated(kitchen, tmp_path):
    settings = ["tagger.target=importance", "tagger.calibrate=true"]
    config = kitchen.config(tagger_stage.TaggerConfig, "tagger", *settings)
    found = tagger_stage.train_tagger(config, kitchen["base"], kitchen["scores"], tmp_path)
    assert found["f1"] > 60 and found["calibration_error"] < 20
    assert Calibration.load(tmp_path) == Tagger(tmp_path).calibration is not None


def test_the_tagger_is_of_the_first_seed_and_its_figures_of_all(kitchen, tmp_path):
    one = metrics(kitchen, "tagger")
    config = kitchen.config(tagger_stage.TaggerConfig, "tagger", "tagger.trainer.seed=1")
    other = tagger_stage.train_tagger(config, kitchen["base"], kitchen["scores"], tmp_path / "other")
    config = kitchen.config(tagger_stage.TaggerConfig, "tagger", "tagger.seeds=2")
    both = tagger_stage.train_tagger(config, kitchen["base"], kitchen["scores"], tmp_path / "both")
    kept = [file_digest(folder / "model.safetensors") for folder in (tmp_path / "both", kitchen["tagger"])]
    assert kept[0] == kept[1] and not {name for name in one if name.endswith("_sd")}
    for name in ("precision", "recall", "f1", "average_precision", "calibration_error"):
        assert both[name] == pytest.approx((one[name] + other[name]) / 2)
        assert both[f"{name}_sd"] == pytest.approx(abs(one[name] - other[name]) / 2**0.5)


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


def test_a_corpus_opens_by_its_dataset_card_with_datasets(kitchen, tmp_path):
    found = load_dataset(str(kitchen["corpus"]), "task", cache_dir=str(tmp_path))
    assert {split: len(rows) for split, rows in found.items()} == {
        split: count_rows(kitchen["corpus"] / "task" / split) for split in ("train", "dev", "test")
    }
    assert get_dataset_config_names(str(kitchen["corpus"])) == ["task", "domain", "general"]


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


def test_a_diagnosis_says_what_it_rests_on(kitchen, tmp_path, capsys):
    config = kitchen.config(DiagnosisConfig, "diagnosed", "diagnosed.documents=60", "diagnosed.max_length=24")
    facts = diagnose(config, kitchen["base"], kitchen["corpus"], tmp_path)
    page = (tmp_path / "diagnosis.md").read_text()
    assert facts["task/documents"] == 100 and 0 < facts["domain/loss"] < facts["blind"] * 1.2
    assert f"| domain | {facts['domain/loss']:.2f} |" in page and "![overlap](overlap.svg)" in page
    assert page.splitlines()[2].removeprefix("- ") in capsys.readouterr().out
    assert all((tmp_path / name).read_text().startswith("<svg") for name in ("overlap.svg", "losses.svg"))


def test_without_text_to_adapt_to_there_is_nothing_to_diagnose(kitchen, tmp_path):
    with pytest.raises(InputError, match=r"name cards in corpus\.domain"):
        diagnose(DiagnosisConfig(), kitchen["base"], tmp_path, tmp_path)


def test_a_report_depends_on_what_it_shows_and_on_nothing_else_in_the_run(kitchen):
    """Not on static/, or on settings that are tried."""
    found = {path.parent.name for path in report_sources(ReportConfig(), [kitchen.runs / "toy"])}
    arms = {"base", "dapt", "dapt-tapt"}
    assert found == arms | {f"finetuned-{arm}" for arm in arms} | {"corpus", "scores", "tagger", "masked"}


# ---- what strangers get -------------------------------------------------------------------------------------------


def published(kitchen, folder, artifact, **settings):
    """The card of an artifact that was published."""
    folder.mkdir()
    (folder / "defaults.json").write_text("{}")
    given = (kitchen[artifact], kitchen.runs / "toy", kitchen.data, folder / "defaults.json")
    publish(PublishConfig(**settings), *given, folder / "out")
    return ModelCard.load(folder / "out" / "README.md")


def test_a_published_checkpoint_opens_and_its_card_leads_back_to_the_texts(kitchen, tmp_path):
    card = published(kitchen, tmp_path / "a", "dapt", licence="mit")
    out = tmp_path / "a" / "out"
    model, told = AutoModelForMaskedLM.from_pretrained(out, output_loading_info=True)
    assert not told["missing_keys"] and len(AutoTokenizer.from_pretrained(out)) == model.config.vocab_size
    assert (
        not list(out.rglob("*.jsonl")) + list(out.rglob("events*")) and (out / "model.safetensors").stat().st_nlink > 1
    )
    assert card.data.to_dict() == {
        "license": "mit",
        "language": ["zh"],
        "library_name": "transformers",
        "pipeline_tag": "fill-mask",
        "tags": ["keymask", "continued-pretraining"],
    }
    for name in ("corpus", "base", "finetuned-base", "scores", "tagger", "masked", "dapt"):
        assert f"| {name} |" in card.text and read_manifest(kitchen[name])["digest"][:12] in card.text
    assert "task.toml` sha256" in card.text and "general (general) states no licence" in card.text
    assert "dapt against base" in card.text and str(kitchen.runs) not in card.content


def test_a_published_classifier_says_what_this_model_reached_and_what_its_seeds_did(kitchen, tmp_path):
    card = published(kitchen, tmp_path / "b", "finetuned-dapt", sentence_transformers=True)
    best = max(json.loads((kitchen["finetuned-dapt"] / "evidence.json").read_text())["seeds"], key=lambda s: s["dev"])
    [found] = [one for one in card.data.eval_results if one.metric_type == "accuracy"]
    assert found.metric_value == pytest.approx(best["measured"]["accuracy"], abs=0.005)
    assert f"seed {best['seed']}" in found.metric_name and "2 seeds" in card.text
    assert not (tmp_path / "b" / "out" / "predictions").exists()
    assert card.data.library_name == "sentence-transformers" and (tmp_path / "b" / "out" / "modules.json").exists()


def test_a_corpus_is_published_only_where_every_source_says_its_licence(kitchen, tmp_path):
    with pytest.raises(InputError, match=r"card task states no licence: write licence"):
        published(kitchen, tmp_path / "c", "corpus")
    licensed = tmp_path / "data"
    licensed.mkdir()
    for card in kitchen.data.glob("*.toml"):
        (licensed / card.name).write_text('licence = "CC BY-NC"\n' + card.read_text())
    publish(PublishConfig(), kitchen["corpus"], kitchen.runs / "toy", licensed, tmp_path / "none", tmp_path / "d")
    assert "some uses only" in (tmp_path / "d" / "README.md").read_text()
    assert {path.name for path in (tmp_path / "d").iterdir()} == {"README.md", "general", "domain", "task"}
    found = load_dataset(str(tmp_path / "d"), "task", cache_dir=str(tmp_path / "cache"))
    assert found["test"].num_rows == count_rows(kitchen["corpus"] / "task" / "test")


def test_a_card_is_written_again_when_what_it_is_read_off_changes(kitchen, tmp_path):
    found = publish_sources(PublishConfig(), kitchen.runs / "toy", kitchen.data, tmp_path / "defaults.json")
    names = {path.parent.name if path.name == "manifest.json" else path.name for path in found}
    cards = {"general.toml", "domain.toml", "task.toml"}
    assert names == {*ARTIFACTS, *cards, "defaults.json"} - {"report"}


def test_what_is_neither_model_nor_corpus_is_not_published(kitchen, tmp_path):
    with pytest.raises(InputError, match="neither a model nor a corpus"):
        published(kitchen, tmp_path / "e", "scores")
