"""Every technique through one door, for every kind of task: plain weights afterwards, wrong combinations refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.finetuning.adversarial import RobustnessConfig
from pipeline.finetuning.classes import Classes, Ordered
from pipeline.finetuning.classifier import Learning, ModelConfig, loss_of, new_model
from pipeline.finetuning.config import FinetuneConfig
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig, Reader
from pipeline.finetuning.labels import Labels
from pipeline.finetuning.losses import LossConfig
from pipeline.finetuning.method import MethodConfig, fine_tune
from pipeline.finetuning.optimisation import OptimisationConfig
from pipeline.finetuning.split import Split
from pipeline.finetuning.stabilisers import StabiliserConfig
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Task
from pipeline.finetuning.values import Value
from pipeline.models import load_masked_lm, load_tokenizer, save
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig
from pipeline.training.lora import LoraConfig
from pipeline.training.trainer import train

GOOD, BAD = "good", "bad"
TASKS = {
    "classes": Classes(("no", "yes")),
    "ordered": Ordered(("0", "1", "2")),
    "labels": Labels((BAD, GOOD)),
    "tags": Tags(("O", "B-X", "I-X")),
    "value": Value(("score",), 1.0, 1.0),
}
SHORT = TrainerConfig(steps=3, batch_size=8, per_device_batch_size=4, learning_rate=3e-3, evaluations=1, seed=5)


def rows(task: Task, count: int = 32) -> list[dict]:
    """Texts whose words say what is to be predicted."""
    draw, found = np.random.default_rng(0), []
    for _ in range(count):
        tokens = draw.choice([GOOD, BAD, "film", "the", "and", "play"], draw.integers(2, 9)).tolist()
        good = min(tokens.count(GOOD), 2)
        label = ("yes" if good else "no") if task.kind == "classes" else str(good)
        tags = ["B-X" if token == GOOD else "O" for token in tokens]
        found.append({
            "text": " ".join(tokens), "text_pair": None, "tokens": tokens, "label": label,
            "labels": sorted({GOOD, BAD} & set(tokens)), "tags": tags, "score": float(good),
        })  # fmt: skip
    return found


class Toy:
    """A task of toy rows, and models for it on a checkpoint."""

    def __init__(self, kind: str, init, head: dict | None = None, **read) -> None:
        self.task, self.init = TASKS[kind], init
        self.config = ModelConfig(read.pop("max_length", 30), InputConfig(**read), HeadConfig(**(head or {})))
        reader = Reader(load_tokenizer(init), self.config.max_length, self.config.input)
        self.split = Split.of(rows(self.task), reader, self.task)

    def model(self):
        return new_model(self.init, self.task, self.config, seed=1)

    def fine_tune(self, config: MethodConfig, trainer: TrainerConfig = SHORT, best: str = ""):
        model = self.model()
        metric = best or self.task.metrics[0]
        measure = lambda: self.split.measure(self.task, self.task.answers(model, self.split.batches))
        trained = fine_tune(model, self.task, self.split.batches, config, trainer, self.init, "toy", measure, metric)
        return model, trained


METHODS = {
    "agreement": MethodConfig(LossConfig(agreement=1.0)),
    "masked words": MethodConfig(LossConfig(masked_words=0.5)),
    "attack": MethodConfig(robustness=RobustnessConfig("freelb", noise=1.0)),
    "set back, decay": MethodConfig(
        optimisation=OptimisationConfig(optimizer="bertadam", layer_decay=0.9, prior_decay=0.1, averaging="ema"),
        stabilisers=StabiliserConfig(reinit_layers=1),
    ),
    "mixed, thawing": MethodConfig(
        optimisation=OptimisationConfig(unfreeze_ratio=0.5), stabilisers=StabiliserConfig(mixout=0.5)
    ),
    "all": MethodConfig(
        LossConfig(agreement=1.0, masked_words=0.5),
        OptimisationConfig(layer_decay=0.9, prior_decay=0.1, averaging="mean", unfreeze_ratio=0.3),
        StabiliserConfig(reinit_layers=1, dropout=0.2),
        RobustnessConfig("fgm", noise=1.0),
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", TASKS)
def test_every_kind_of_task_is_trained_and_its_weights_are_plain(kind, method, checkpoints):
    toy = Toy(kind, checkpoints["bert"])
    model, trained = toy.fine_tune(METHODS[method])
    fresh = toy.model()
    assert [*model.state_dict()] == [*fresh.state_dict()] or set(model.state_dict()) == set(fresh.state_dict())
    assert trained.skipped == 0 and all(torch.isfinite(p).all() for p in model.parameters())
    moved = [n for n, p in model.named_parameters() if not torch.equal(p, dict(fresh.named_parameters())[n])]
    assert len(moved) > 10


@pytest.mark.parametrize("kind", TASKS)
def test_left_as_it_is_a_method_is_plain_training_to_the_bit(kind, checkpoints):
    toy = Toy(kind, checkpoints["bert"])
    found, _ = toy.fine_tune(MethodConfig())
    plain = toy.model()
    train(Learning(plain, loss_of(plain, toy.task)), toy.split.batches, SHORT, "toy")
    assert all(torch.equal(p, q) for p, q in zip(found.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize("head", [{"pooling": "attention"}, {"crf": True}])
def test_heads_of_ours_are_trained_by_them_too(head, checkpoints):
    kind = "tags" if "crf" in head else "classes"
    config = replace(METHODS["all"], loss=LossConfig(masked_words=0.5))
    _, trained = Toy(kind, checkpoints["modernbert"], head).fine_tune(config)
    assert trained.skipped == 0


@pytest.mark.parametrize("attack", ["none", "freelb"])
def test_windows_of_a_text_are_attacked_as_one_text(attack, checkpoints):
    toy = Toy("classes", checkpoints["bert"], max_length=6, long="windows")
    assert max(map(len, toy.split.batches.input_ids)) > 12
    config = MethodConfig(
        robustness=RobustnessConfig(attack, noise=5.0), stabilisers=StabiliserConfig(dropout=0.0)
    )  # fmt: skip
    whole, _ = toy.fine_tune(config, replace(SHORT, per_device_batch_size=8))
    split, _ = toy.fine_tune(config, replace(SHORT, per_device_batch_size=1))
    assert (
        max(float((p - q).detach().abs().max()) for p, q in zip(whole.parameters(), split.parameters(), strict=True))
        < 1e-4
    )


@pytest.fixture(scope="module")
def lively(checkpoints, tmp_path_factory):
    """The toy BERT with weights ten times as large: it learns within some steps."""
    folder = tmp_path_factory.mktemp("lively")
    model = load_masked_lm(checkpoints["bert"])
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(10 if p.dim() == 2 else 1)
    save(model, load_tokenizer(checkpoints["bert"]), folder, "")
    return folder


@pytest.mark.parametrize(
    ("kind", "head", "loss"),
    [
        ("classes", {"pooling": "mean"}, LossConfig(("focal",), class_weights="balanced")),
        ("tags", {}, LossConfig(label_smoothing=0.1)),
        ("labels", {"pooling": "mean"}, LossConfig(("zlpr", "bce"), (1.0, 0.5), class_weights="balanced")),
    ],
)
def test_a_composition_learns(kind, head, loss, lively):
    """Which is more than not to break: from chance to nearly everything."""
    config = MethodConfig(
        replace(loss, agreement=0.5, masked_words=0.02),
        OptimisationConfig(layer_decay=0.95, head_learning_rate=6e-3, prior_decay=0.01, averaging="ema"),
        robustness=RobustnessConfig("fgm", radius=0.2, noise=0.5),
    )
    trainer = TrainerConfig(steps=60, batch_size=16, learning_rate=3e-3, adam_betas=(0.9, 0.999), evaluations=3)
    toy = Toy(kind, lively, head)
    before = toy.split.measure(toy.task, toy.task.answers(toy.model(), toy.split.batches))
    _, trained = toy.fine_tune(config, trainer)
    metric = toy.task.metrics[0]
    assert trained.evaluation[metric] > 88 > before[metric] + 20


def test_a_curriculum_is_for_classes(checkpoints):
    config = MethodConfig(LossConfig(masked_words=0.1), robustness=RobustnessConfig(hidden=0.5))
    _, trained = Toy("classes", checkpoints["bert"]).fine_tune(config)
    assert trained.skipped == 0
    with pytest.raises(InputError, match=r"robustness\.hidden counts which words speak for a class"):
        Toy("tags", checkpoints["bert"]).fine_tune(config)


def test_what_is_asked_for_is_told_and_nothing_else():
    config = FinetuneConfig(optimisation=OptimisationConfig(layer_decay=0.9), loss=LossConfig(("focal",)))
    assert (
        config.method == {"loss.terms": ["focal"], "optimisation.layer_decay": 0.9} and FinetuneConfig().method == {}
    )


def test_patience_ends_a_training(checkpoints):
    toy, trainer = Toy("classes", checkpoints["bert"]), replace(SHORT, steps=40, learning_rate=1e-9, evaluations=20)
    _, trained = toy.fine_tune(MethodConfig(patience=3), trainer)
    assert trained.steps == 8  # the first of 20 measurements was the best


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"optimisation": OptimisationConfig(frozen=True), "stabilisers": StabiliserConfig(mixout=0.5)},
         r"optimisation.frozen leaves the encoder's weights as they are: leave out stabilisers.mixout"),
        ({"lora": LoraConfig(4), "optimisation": OptimisationConfig(prior_decay=0.1),
          "stabilisers": StabiliserConfig(reinit_layers=1)},
         "lora.rank leaves .* leave out optimisation.prior_decay, stabilisers.reinit_layers"),
        ({"lora": LoraConfig(4), "optimisation": OptimisationConfig(frozen=True)}, "exclude each other"),
        ({"loss": LossConfig(agreement=1.0), "stabilisers": StabiliserConfig(mixout=0.5)}, "two dropouts"),
        ({"loss": LossConfig(agreement=1.0), "stabilisers": StabiliserConfig(dropout=0.0)}, "two dropouts"),
        ({"patience": -1}, "patience"),
    ],
)  # fmt: skip
def test_methods_that_exclude_each_other_are_refused(settings, reason):
    with pytest.raises(ValueError, match=reason):
        MethodConfig(**settings)


@pytest.mark.parametrize(
    ("kind", "head", "read", "loss", "reason"),
    [
        ("tags", {"crf": True}, {}, LossConfig(agreement=1.0), "head.crf has none"),
        ("tags", {"crf": True}, {}, LossConfig(label_smoothing=0.1), "head.crf has a loss of its own"),
        ("value", {}, {}, LossConfig(("focal",)), "a task of value has a loss of its own"),
        ("ordered", {}, {}, LossConfig(class_weights="balanced"), "a task of ordered has a loss of its own"),
        ("classes", {}, {}, LossConfig(("zlpr",)), "loss.terms has zlpr, and this task takes"),
        ("classes", {}, {"long": "windows"}, LossConfig(masked_words=0.5), "input.long = windows does not"),
    ],
)
def test_methods_that_a_task_has_no_use_for_are_refused(kind, head, read, loss, reason, checkpoints):
    with pytest.raises(InputError, match=reason):
        Toy(kind, checkpoints["bert"], head, **read).fine_tune(MethodConfig(loss))
