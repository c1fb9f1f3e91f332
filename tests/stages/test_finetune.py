"""Fine-tuning and predicting as a user meets them, for every kind of task, on texts whose words decide."""

import gzip
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora.parquet import metadata_of, read_rows, write_corpus
from corpora.schemas import DOCUMENTS, PREDICTIONS_OF, predicted_schema
from pipeline.finetuning.adversarial import RobustnessConfig
from pipeline.finetuning.classifier import open_task
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.finetuning.losses import LossConfig
from pipeline.finetuning.optimisation import OptimisationConfig
from pipeline.finetuning.spelling import SpellingConfig
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig
from stages.correct import CorrectConfig, correct
from stages.finetune import FinetuneConfig, finetune
from stages.predict import PredictConfig, predict
from stages.train_multitask import MultitaskConfig, train_multitask

WORDS = ["good", "bad", "film", "the", "and", "play"]
TRAINER = TrainerConfig(steps=50, batch_size=16, learning_rate=1e-2, adam_betas=(0.9, 0.999), evaluations=2)
CONFIG = FinetuneConfig(max_length=30, seeds=(1, 2), trainer=TRAINER)

KINDS = {
    "classes": (("label",), CONFIG),
    "ordered": (("label",), replace(CONFIG, ordered=True)),
    "labels": (("labels",), replace(CONFIG, thresholds="each", head=HeadConfig(pooling="max"))),
    "tags": (("tokens", "tags"), replace(CONFIG, head=HeadConfig(crf=True))),
    "value": (("score",), replace(CONFIG, input=InputConfig(long="windows"))),
    "spelling": (
        ("source", "target"),
        replace(CONFIG, thresholds="each", trainer=replace(TRAINER, steps=200, learning_rate=2e-2)),
    ),
}


def misspelt(number: int) -> tuple[str, str]:
    """Words of two characters, of which the second is wrong now and then, each always in one way."""
    draw = np.random.default_rng(number)
    words = draw.choice(["好吃", "味道", "不错"], draw.integers(2, 6)).tolist()
    wrong = draw.random(len(words)) < 0.25
    source = [w[0] + "差菜爱"["吃道错".index(w[1])] if x else w for w, x in zip(words, wrong, strict=True)]
    return "".join(source), "".join(words)


def row(number: int, kind: str) -> dict:
    draw = np.random.default_rng(number)
    tokens = draw.choice(WORDS, draw.integers(2, 9)).tolist()
    good = tokens.count("good")
    source, target = misspelt(number)
    if kind == "spelling":
        return {"id": f"toy-{number}", "text": source, "origin": "toy:train", "source": source, "target": target}
    return {
        "id": f"toy-{number}", "text": " ".join(tokens), "origin": "toy:train",
        "label": str(min(good, 2)) if kind == "ordered" else "yes" if good else "no",
        "labels": sorted({"good", "bad"} & set(tokens)),
        "tokens": tokens, "tags": ["B-X" if t == "good" else "O" for t in tokens],
        "score": float(good),
    }  # fmt: skip


def task_of(folder: Path, kind: str) -> Path:
    """48 rows to learn from, or 200 misspelt ones, 16 for dev and test each, with the columns of a kind of task."""
    kept = ("id", "text", "origin", *KINDS[kind][0])
    train = range(100, 300) if kind == "spelling" else range(48)
    for part, numbers in (("train", train), ("dev", range(48, 64)), ("test", range(64, 80))):
        rows = [{name: row(number, kind)[name] for name in kept} for number in numbers]
        write_corpus(folder / part, DOCUMENTS, rows, metadata={"rewritten": "simplified"})
    return folder


@pytest.fixture(scope="module", params=KINDS)
def made(request, checkpoints, tmp_path_factory) -> tuple[str, Path, Path, dict[str, float]]:
    """Kind, task, artifact, metrics."""
    folder = tmp_path_factory.mktemp(request.param)
    task = task_of(folder / "task", request.param)
    shutil.copytree(task / "test", folder / "elsewhere" / "same" / "test")
    shutil.copytree(task / "train", folder / "elsewhere" / "seen" / "test")
    config, out = KINDS[request.param][1], folder / "finetuned"
    metrics = finetune(config, checkpoints["bert"], task, out, folder / "elsewhere")
    return request.param, task, folder / "finetuned", metrics


def test_every_kind_of_task_is_learned_and_every_seed_is_reported(made):
    _, _, out, metrics = made
    metric = json.loads((out / "evidence.json").read_text())["metric"]
    seeds = [metrics[f"{metric}_seed_{seed}"] for seed in (1, 2)]
    assert metrics[metric] == pytest.approx(np.mean(seeds)) and metrics[metric] > 60
    assert (metrics[f"{metric}_min"], metrics[f"{metric}_max"]) == (min(seeds), max(seeds))
    assert metrics["degenerate"] == 0 and metrics["test_rows"] == 16


def test_rows_of_other_sources_are_answered_by_the_same_model(made):
    _, _, out, metrics = made
    evidence = json.loads((out / "evidence.json").read_text())
    for seed in evidence["seeds"]:
        assert seed["elsewhere"]["same"] == pytest.approx(seed["measured"]) and set(seed["elsewhere"]) == {
            "same",
            "seen",
        }
    metric = evidence["metric"]
    assert metrics[f"{metric}_on_same"] == pytest.approx(metrics[metric])
    assert metrics[f"{metric}_on_seen_sd"] == pytest.approx(
        np.std([seed["elsewhere"]["seen"][metric] for seed in evidence["seeds"]], ddof=1)
    )


def test_predictions_of_every_row_by_every_seed_say_how_sure_they_are(made):
    kind, task, out, metrics = made
    table = pq.read_table(out / "predictions")
    assert table.schema.equals(PREDICTIONS_OF[kind]) and table.num_rows == 32
    truth = {one["id"]: one for one in read_rows(task / "test")}
    for one in table.to_pylist():
        column = next(name for name in ("label", "labels", "tags", "score", "target") if name in one)
        assert one[column] == truth[one["id"]][column]
        assert one.get("source") == truth[one["id"]]["source"]
    if kind == "classes":
        assert all(one["probability"] == max(one["probabilities"]) for one in table.to_pylist())
        first = [one["label"] == one["predicted"] for one in table.to_pylist() if one["seed"] == 1]
        assert metrics["accuracy_seed_1"] == pytest.approx(100 * np.mean(first))


def test_what_is_confused_adds_up_to_the_rows(made):
    kind, _, out, _ = made
    found = json.loads((out / "evidence.json").read_text())
    for seed in found["seeds"]:
        if kind in ("classes", "ordered"):
            assert np.sum(seed["confusion"]) == 16 and seed["counts"]
            hits = [seed["counts"][name][0] for name in found["names"]]
            assert hits == np.diag(seed["confusion"]).tolist()


def test_the_finished_model_says_of_a_file_what_it_said_of_the_same_rows(made, tmp_path):
    """The model that is kept is that of the better seed on dev."""
    kind, task, out, _ = made
    rows = list(read_rows(task / "test"))
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({k: r[k] for k in ("text", "tokens")}) for r in rows))
    config = PredictConfig(tokens="tokens" if kind == "tags" else "", shard_rows=5)
    ask, config = (correct, CorrectConfig(shard_rows=5)) if kind == "spelling" else (predict, config)
    assert ask(config, out, tmp_path / "in.jsonl", tmp_path / "out") == {"rows": 16}
    found = [{"predicted": one.get("corrected"), **one} for one in read_rows(tmp_path / "out")]
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 4
    assert [one["text"] for one in found] == [one["text"] for one in rows]
    evidence = json.loads((out / "evidence.json").read_text())
    best = max(evidence["seeds"], key=lambda one: one["dev"])["seed"]
    told = [one["predicted"] for one in read_rows(out / "predictions") if one["seed"] == best]
    if kind == "value":
        np.testing.assert_allclose([one["predicted"] for one in found], told, atol=1e-4)
    else:
        assert [one["predicted"] for one in found] == told


@pytest.fixture(scope="module")
def classifier(checkpoints, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    finetune(
        replace(CONFIG, seeds=(1,)), checkpoints["bert"], task_of(folder / "task", "classes"), folder / "finetuned"
    )
    return folder / "finetuned"


TEXTS = ["the good film", "bad film", "", "好 \u200b !"]


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
def test_files_of_every_format_are_predicted_alike(classifier, tmp_path, kind):
    assert predict(PredictConfig(), classifier, write(tmp_path, kind), tmp_path / "out") == {"rows": 4}
    table = pq.read_table(tmp_path / "out")
    assert table.schema.equals(predicted_schema("classes")) and table["text"].to_pylist() == TEXTS
    assert table["predicted"].to_pylist()[:2] == ["yes", "no"]
    names = json.loads(metadata_of(tmp_path / "out")["names"])
    assert tuple(names) == open_task(classifier)[0].names == ("no", "yes")


def test_answers_are_written_as_lines_of_json_where_asked_for(classifier, tmp_path):
    predict(PredictConfig(format="jsonl"), classifier, write(tmp_path, "txt"), tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out" / "part-00000.jsonl").read_text().splitlines()]
    assert [line["text"] for line in lines] == TEXTS and lines[0]["place"].endswith("in.txt:1")
    assert all(line["probability"] == line["probabilities"][line["predicted"]] for line in lines)


def test_rows_that_cannot_be_read_are_kept_with_their_places_and_the_rest_is_predicted(classifier, tmp_path, capsys):
    (tmp_path / "in.jsonl").write_text('{"text": "good"}\n{"text": 3}\nno json\n{"text": "\\ud800"}\n{"text": "bad"}')
    found = predict(PredictConfig(), classifier, tmp_path / "in.jsonl", tmp_path / "out")
    assert found["rows"] == 2 and "! 3 rows could not be read" in capsys.readouterr().err
    rejected = [(one["reason"], one["place"][-1]) for one in read_rows(tmp_path / "out" / "rejected")]
    assert sorted(rejected) == [("bad_json", "3"), ("lone_surrogate", "4"), ("text_not_a_string", "2")]


def test_a_column_that_is_not_there_and_a_file_that_is_empty_are_refused(classifier, tmp_path):
    path = write(tmp_path, "csv")
    with pytest.raises(ValueError, match=r"no column 'txet' for text .*did you mean text.* as in predicted.text"):
        predict(PredictConfig(text="txet"), classifier, path, tmp_path / "out")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"no row of .*empty.txt can be read \(it is empty\)"):
        predict(PredictConfig(), classifier, tmp_path / "empty.txt", tmp_path / "out")


def test_a_killed_prediction_goes_on_with_the_shards_it_lacks(classifier, tmp_path):
    path, config = write(tmp_path, "txt"), PredictConfig(shard_rows=2)
    predict(config, classifier, path, tmp_path / "out")
    first, second = sorted((tmp_path / "out").glob("part-*"))
    kept = second.read_bytes()
    second.unlink()
    first.touch()
    before = first.stat().st_mtime_ns
    predict(config, classifier, path, tmp_path / "out")
    assert first.stat().st_mtime_ns == before and second.read_bytes() == kept


def test_a_model_is_asked_about_text_rewritten_as_that_was_which_it_learned_from(classifier, tmp_path, capsys):
    told = json.loads((classifier / "task.json").read_text(encoding="utf-8"))
    assert told["rewritten"] == ["simplified"]  # as its corpus says
    shutil.copytree(classifier, knowing := tmp_path / "knowing")
    (knowing / "task.json").write_text(json.dumps(told | {"rewritten": ["markup", "simplified"]}), encoding="utf-8")
    (tmp_path / "marked.txt").write_text("<p>the <b>good</b> film</p>\n<br/>\n後 &amp; film")
    (tmp_path / "plain.txt").write_text("the good film\n\n后 & film")
    assert predict(PredictConfig(), knowing, tmp_path / "marked.txt", tmp_path / "marked") == {"rows": 3}
    assert "texts are read as those that the model learned from: markup, simplified" in capsys.readouterr().err
    predict(PredictConfig(), classifier, tmp_path / "plain.txt", tmp_path / "plain")
    answers = lambda out: [{**row, "place": ""} for row in read_rows(tmp_path / out)]
    assert answers("marked") == answers("plain")


# ---- what cannot be used ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("classes", {"metric": "f1"}, "metric = f1 is not for a task of classes: accuracy, macro_f1, mcc, auc"),
        (
            "classes",
            {"thresholds": "one"},
            "thresholds = one is for several labels a row and spelling, not for classes",
        ),
        ("labels", {"head": HeadConfig(crf=True)}, "head.crf = true chains the tags of a text"),
        ("labels", {"ordered": True}, "ordered = true is for a label a row, and this task has labels"),
        ("tags", {"head": HeadConfig(pooling="mean")}, "head.pooling = mean makes one vector of a text"),
        ("tags", {"input": InputConfig(long="tail")}, "input.long = tail is for texts"),
        (
            "spelling",
            {"input": InputConfig(long="windows")},
            "input.long = windows cuts texts",
        ),
        ("spelling", {"loss": LossConfig(agreement=1.0)}, "has losses of its own, those of .finetuned.spelling."),
        ("spelling", {"head": HeadConfig(crf=True)}, "head.crf = true chains tags, and spelling correction has none"),
        ("spelling", {"head": HeadConfig(pooling="max")}, "head.pooling = max makes one vector of a text"),
        (
            "spelling",
            {"robustness": RobustnessConfig(hidden=0.2)},
            "robustness.hidden counts which words",
        ),
        ("classes", {"spelling": SpellingConfig(gamma=0.0)}, "is for source and target, and this task is of classes"),
    ],
)
def test_what_does_not_go_together_is_refused_with_its_reason(checkpoints, tmp_path, kind, settings, told):
    with pytest.raises(InputError, match=told):
        finetune(replace(CONFIG, **settings), checkpoints["bert"], task_of(tmp_path / "task", kind), tmp_path / "out")


def test_classes_of_one_row_are_told(checkpoints, tmp_path, capsys):
    task = task_of(tmp_path / "task", "classes")
    rare = {**next(read_rows(task / "train")), "label": "rare", "id": "toy-r"}
    write_corpus(task / "train" / "more", DOCUMENTS, [rare])
    config = replace(CONFIG, seeds=(1,), trainer=replace(TRAINER, steps=1, evaluations=1))
    metrics = finetune(config, checkpoints["bert"], task, tmp_path / "out")
    assert "! 1 of 3 classes stand in a single training row (rare): are they classes?" in capsys.readouterr().err
    assert metrics["degenerate"] in (0, 1)


def test_an_encoder_that_learned_several_tasks_at_once_is_a_better_start_for_one_of_them(checkpoints, tmp_path):
    """Of three kinds, beside each other; then the first, head alone: only what the encoder knows counts."""
    task = task_of(tmp_path / "task", "classes")
    for kind in ("tags", "labels"):
        task_of(tmp_path / "beside" / kind, kind)
    config = MultitaskConfig(max_length=30, temperature=5.0, trainer=replace(TRAINER, steps=120))
    metrics = train_multitask(config, checkpoints["bert"], task, tmp_path / "multitask", tmp_path / "beside")
    assert metrics["tags/f1"] > 60 and metrics["task/steps"] == pytest.approx(1 / 3)
    assert metrics["mean"] == pytest.approx(
        np.mean([metrics[name] for name in ("task/accuracy", "labels/micro_f1", "tags/f1")])
    )
    frozen = replace(CONFIG, optimisation=OptimisationConfig(frozen=True))
    scores = [
        finetune(frozen, init, task, tmp_path / init.name / "finetuned")["accuracy"]
        for init in (checkpoints["bert"], tmp_path / "multitask")
    ]
    assert scores[1] > scores[0]


def test_several_tasks_need_a_second_one_and_read_a_text_at_once(checkpoints, tmp_path):
    with pytest.raises(InputError, match=r"name cards in corpus\.beside"):
        train_multitask(MultitaskConfig(), checkpoints["bert"], tmp_path, tmp_path)
    for wrong in ({"temperature": 0.5}, {"input": InputConfig(long="windows")}):
        with pytest.raises(ValueError, match=r"temperature|windows"):
            MultitaskConfig(**wrong)
