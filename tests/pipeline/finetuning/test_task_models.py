"""Task models: made, asked, trained, saved, opened."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import WORDS
from launcher import launched
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from pipeline.finetuning.classes import Classes, Ordered
from pipeline.finetuning.classifier import (
    Learning,
    ModelConfig,
    TaskModel,
    Windowed,
    encoder_of,
    head_of,
    inner,
    loss_of,
    new_model,
    open_model,
    open_task,
    save_task,
)
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig, Reader
from pipeline.finetuning.labels import Labels
from pipeline.finetuning.split import Split
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Task
from pipeline.finetuning.values import Value
from pipeline.models import load_classifier, load_token_classifier, load_tokenizer, save
from pipeline.run.errors import InputError
from pipeline.run.processes import rank
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

KINDS = ["bert", "roberta", "modernbert"]
GOOD, BAD = "good", "bad"


def config(head: dict | None = None, max_length: int = 30, **read) -> ModelConfig:
    return ModelConfig(max_length, InputConfig(**read), HeadConfig(**(head or {})))


def rows(task: Task, count: int = 48) -> list[dict]:
    """Texts whose words say what is to be predicted."""
    draw, found = np.random.default_rng(0), []
    for _ in range(count):
        tokens = draw.choice([GOOD, BAD, "film", "the", "and", "play"], draw.integers(2, 9)).tolist()
        good = tokens.count(GOOD)
        found.append({
            "text": " ".join(tokens), "text_pair": None, "tokens": tokens,
            "label": {"classes": "no" if good == 0 else "yes"}.get(task.kind, str(min(good, 2))),
            "labels": sorted({GOOD, BAD} & set(tokens)),
            "tags": ["B-X" if t == GOOD else "I-X" if i and tokens[i - 1] == GOOD and t == BAD else "O"
                     for i, t in enumerate(tokens)],
            "score": float(good),
        })  # fmt: skip
    return found


COMPOSITIONS = [
    (Classes(("no", "yes")), {}, {}),
    (Classes(("no", "yes")), {"pooling": "mean", "widths": (8,), "layers": "mix"}, {}),
    (Classes(("no", "yes")), {"over_tokens": "cnn", "pooling": "max", "filters": 8}, {"long": "windows"}),
    (Ordered(("0", "1", "2")), {"over_tokens": "lstm", "filters": 8, "pooling": "max"}, {}),
    (Labels((BAD, GOOD)), {"pooling": "max", "residual": True, "widths": (16,)}, {}),
    (Tags(("O", "B-X", "I-X")), {}, {}),
    (Tags(("O", "B-X", "I-X")), {"crf": True, "over_tokens": "lstm", "filters": 8}, {}),
    (Value(("score",), 1.0, 1.0), {"pooling": "mean"}, {}),
]


@pytest.mark.parametrize(("task", "head", "read"), COMPOSITIONS)
def test_every_composition_learns_what_a_word_decides(checkpoints, task, head, read):
    model = new_model(checkpoints["bert"], task, config(head, 8 if read else 30, **read), seed=0)
    reader = Reader(load_tokenizer(checkpoints["bert"]), 8 if read else 30, InputConfig(**read))
    split = Split.of(rows(task), reader, task)
    settings = TrainerConfig(steps=80, batch_size=16, learning_rate=1e-2, adam_betas=(0.9, 0.999), evaluations=1)
    train(Learning(model, loss_of(model, task)), split.batches, settings, "toy")
    assert split.measure(task, task.answers(model, split.batches))[task.metrics[0]] > 80


@pytest.mark.parametrize(("task", "head", "read"), COMPOSITIONS)
def test_four_micro_batches_learn_the_same_as_one(checkpoints, task, head, read):
    """Each sum of losses is divided once, by the targets of all, and dropout is that of (document, position)."""
    found = []
    for held in (8, 2):
        torch.manual_seed(held)
        model = new_model(checkpoints["bert"], task, config(head, 8 if read else 30, **read), 0)
        for layer in encoder_of(model).encoder.layer:
            layer.attention.self.dropout.p = 0.0  # over padding, attention draws from torch
        reader = Reader(load_tokenizer(checkpoints["bert"]), 8 if read else 30, InputConfig(**read))
        batches = Split.of(rows(task, 24), reader, task).batches
        settings = TrainerConfig(steps=4, batch_size=8, per_device_batch_size=held, learning_rate=1e-3)
        train(Learning(model, loss_of(model, task)), batches, settings, "toy")
        found.append({name: x.clone() for name, x in model.state_dict().items()})
    torch.testing.assert_close(*found, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("task", "head", "read"),
    [*(COMPOSITIONS[i] for i in (2, 4, 6)), (Classes(("no", "yes")), {"layers": "one", "layer": 1}, {})],
)
def test_two_processes_learn_the_same_as_one(checkpoints, tmp_path, task, head, read):
    def learn(out: Path) -> None:
        model = new_model(checkpoints["bert"], task, config(head, 8 if read else 30, **read), 0)
        for layer in encoder_of(model).encoder.layer:
            layer.attention.self.dropout.p = 0.0
        reader = Reader(load_tokenizer(checkpoints["bert"]), 8 if read else 30, InputConfig(**read))
        settings = TrainerConfig(steps=4, batch_size=8, learning_rate=1e-3)
        train(Learning(model, loss_of(model, task)), Split.of(rows(task, 24), reader, task).batches, settings, "toy")
        save_file(dict(model.state_dict()), f"{out}-{rank()}")

    learn(tmp_path / "alone")
    left = launched(lambda: learn(tmp_path / "two"), tmp_path)
    assert [one.code for one in left] == [0, 0], left
    alone, first, second = (load_file(tmp_path / name) for name in ("alone-0", "two-0", "two-1"))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    torch.testing.assert_close(first, alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_head_is_the_librarys_own_model(checkpoints, kind):
    one = new_model(checkpoints[kind], Classes(("a", "b")), config(), seed=5)
    other = load_classifier(checkpoints[kind], ["a", "b"], seed=5)
    assert type(one) is type(other)
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)
    tagger = new_model(checkpoints[kind], Tags(("O", "B-X", "I-X")), config(), seed=5)
    assert type(tagger) is type(load_token_classifier(checkpoints[kind], ["O"], seed=5))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [{"pooling": "mean"}, {"layers": "mix", "widths": (4,)}, {"over_tokens": "lstm"}])
def test_a_head_of_ours_depends_on_the_seed_alone_and_the_encoder_is_the_checkpoints(checkpoints, kind, head):
    torch.manual_seed(1)
    one = new_model(checkpoints[kind], Classes(("a", "b")), config(head), seed=5)
    torch.manual_seed(2)
    same, other = (new_model(checkpoints[kind], Classes(("a", "b")), config(head), seed=s) for s in (5, 6))
    torch.testing.assert_close(one.head.state_dict(), same.head.state_dict(), rtol=0, atol=0)
    assert not torch.equal(one.head.out.weight, other.head.out.weight)
    wanted = AutoModel.from_pretrained(checkpoints[kind]).state_dict()
    assert all(torch.equal(x, wanted[name]) for name, x in one.encoder.state_dict().items())


@pytest.mark.parametrize("head", [{}, {"layers": "mix", "pooling": "attention", "widths": (8,)}])
@pytest.mark.parametrize("task", [Classes(("a", "b")), Labels(("x", "y", "z"), (0.2, 0.5, 0.75))])
def test_a_model_is_saved_and_opened_again(checkpoints, tmp_path, task, head):
    settings = config(head, fields=("text",))
    model = new_model(checkpoints["bert"], task, settings, seed=0).eval()
    save(inner(model), load_tokenizer(checkpoints["bert"]), tmp_path, "card")
    save_task(tmp_path, task, settings)
    found, how = open_task(tmp_path)
    assert found == task and how == ModelConfig(30, settings.input, HeadConfig(**head))
    inputs = {"input_ids": torch.tensor([[2, 7, 8, 3]]), "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    again = open_model(tmp_path, found, how)
    assert not again.training and torch.equal(again(**inputs).logits, model(**inputs).logits)
    assert AutoModel.from_pretrained(tmp_path).config.hidden_size == 16
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".bin", ".pt", ".pkl")]


@pytest.mark.parametrize(
    ("task", "kind", "names"),
    [
        (Ordered(("1", "2", "3")), AutoModelForSequenceClassification, ["> 1", "> 2"]),
        (Labels(("x", "y")), AutoModelForSequenceClassification, ["x", "y"]),
        (Value(("score",)), AutoModelForSequenceClassification, ["score"]),
        (Tags(("O", "B-X", "I-X")), AutoModelForTokenClassification, ["O", "B-X", "I-X"]),
    ],
)
def test_plain_models_of_every_task_open_with_the_library(checkpoints, tmp_path, task, kind, names):
    model = new_model(checkpoints["bert"], task, config(), seed=0)
    save(model, load_tokenizer(checkpoints["bert"]), tmp_path, "card")
    found, info = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and [found.config.id2label[i] for i in range(len(names))] == names


def test_a_folder_without_a_task_is_refused(checkpoints):
    with pytest.raises(InputError, match=r"holds no fine-tuned model .* run make finetuned-base"):
        open_task(checkpoints["bert"])


@pytest.mark.parametrize("head", [{}, {"pooling": "mean"}])
def test_encoder_and_head_are_all_there_is(checkpoints, head):
    for read in ({}, {"long": "windows"}):
        model = new_model(checkpoints["bert"], Classes(("a", "b")), config(head, **read), seed=0)
        parts = [*encoder_of(model).parameters(), *(p for part in head_of(model) for p in part.parameters())]
        assert {id(p) for p in parts} == {id(p) for p in model.parameters()}


# ---- windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["mean", "max"])
def test_the_answer_to_windows_is_pooled_over_the_answers_to_each(checkpoints, how):
    model = load_classifier(checkpoints["bert"], ["a", "b", "c"], 0).eval()
    draw = torch.Generator().manual_seed(0)
    ids, mask = torch.randint(6, len(WORDS), (3, 20), generator=draw), torch.zeros(3, 20, dtype=torch.long)
    for row, length in enumerate((20, 11, 5)):
        mask[row, :length] = 1
    found = Windowed(model, 8, how)(input_ids=ids, attention_mask=mask).logits
    for row, length in enumerate((20, 11, 5)):
        windows = [ids[row : row + 1, i : min(i + 8, length)] for i in range(0, length, 8)]
        alone = torch.cat([model(input_ids=w, attention_mask=torch.ones_like(w)).logits for w in windows])
        wanted = alone.mean(0) if how == "mean" else alone.amax(0)
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=1e-4)


def test_windows_of_tags_are_refused(checkpoints):
    with pytest.raises(InputError, match=r"input.long = windows is for texts, and here every token has a tag"):
        new_model(checkpoints["bert"], Tags(("O", "B-X", "I-X")), config(long="windows"), seed=0)


def test_a_crf_for_texts_is_refused(checkpoints):
    for task in (Classes(("a", "b")), Labels(("a", "b"))):
        with pytest.raises(InputError, match=r"head.crf = true chains the tags of a text, and this task has none"):
            new_model(checkpoints["bert"], task, config({"crf": True}), seed=0)


def test_the_folder_says_what_answers_mean(checkpoints, tmp_path):
    save_task(tmp_path, Labels(("好", "坏"), (0.25, 0.5)), config(long="tail"))
    told = json.loads((tmp_path / "task.json").read_text())
    assert told["kind"] == "labels" and told["names"] == ["好", "坏"] and told["thresholds"] == [0.25, 0.5]
    assert told["input"]["long"] == "tail" and told["max_length"] == 30


def test_only_our_own_heads_are_ours(checkpoints):
    assert isinstance(new_model(checkpoints["bert"], Classes(("a", "b")), config({"widths": (4,)}), 0), TaskModel)
