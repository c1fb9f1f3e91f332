"""The model of a task: an encoder and a head, made, saved and opened again.

Where the library has such a model (everything at its default) it is the library's, and opens anywhere with
AutoModelForSequenceClassification or AutoModelForTokenClassification. Otherwise the folder holds the encoder, which
AutoModel opens, and beside it head.safetensors and head.json. A model of spelling correction is a masked language
model with such a head beside (`corrector.py`). task.json says in all of them what the answers mean.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, PreTrainedModel

from pipeline.finetuning.corrector import Corrector
from pipeline.finetuning.crf import Crf
from pipeline.finetuning.heads import HEAD, HEAD_WEIGHTS, Head, HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.finetuning.spelling import Spelling
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import LogitTask, Task
from pipeline.finetuning.tasks import task_from
from pipeline.models import load_classifier, load_encoder, load_masked_lm, load_token_classifier, load_trained
from pipeline.objectives.labelling import Labelling, Loss
from pipeline.objectives.objective import head_modules
from pipeline.run.errors import InputError

TASK = "task.json"


class TaskModel(nn.Module):
    """An encoder and a head of ours."""

    def __init__(self, encoder: PreTrainedModel, config: HeadConfig, task: Task) -> None:
        super().__init__()
        self.encoder, self.config = encoder, config
        size, tokens = encoder.config, isinstance(task, Tags)
        if reason := config.refusal(tokens, size.num_hidden_layers):
            raise InputError(reason)
        spread = getattr(size, "initializer_range", 0.02)
        self.head = Head(config, size.num_hidden_layers, size.hidden_size, len(task.outputs), tokens, spread)

    @property
    def crf(self) -> Crf | None:
        """What chains tags, if anything does."""
        return self.head.crf

    def forward(self, attention_mask: Tensor, **inputs: Tensor) -> SimpleNamespace:
        """`logits` [B, C], or of tokens [B, L, C]; mask and ids [B, L]."""
        every = self.config.layers != "last"
        found = self.encoder(attention_mask=attention_mask, output_hidden_states=every, **inputs)
        hidden = found.hidden_states if every else ()
        return SimpleNamespace(logits=self.head(hidden, found.last_hidden_state, attention_mask))

    def gradient_checkpointing_enable(self, how: dict[str, object]) -> None:
        """Of the encoder's layers."""
        self.encoder.gradient_checkpointing_enable(how)

    def save_pretrained(self, folder: Path) -> None:
        """The encoder as the library saves it, the head beside it."""
        self.encoder.save_pretrained(folder)
        save_file({name: x.detach().cpu().contiguous() for name, x in self.head.state_dict().items()},
                  folder / HEAD_WEIGHTS)  # fmt: skip
        (folder / HEAD).write_text(json.dumps(asdict(self.config), indent=1), encoding="utf-8")


class Windowed(nn.Module):
    """A model asked about windows of a text, end to end in one row: the answer is the mean of theirs, or the highest.

    All windows but the last are `size` ids long. So a text is a row like any other, right-padded, and its dropout is
    still a function of (document, position).
    """

    def __init__(self, model: nn.Module, size: int, how: str) -> None:
        super().__init__()
        self.model, self.size, self.how = model, size, how

    def forward(self, **inputs: Tensor) -> SimpleNamespace:
        """`logits` [B, C] of ids, mask and more [B, L]."""
        cut = {name: self.cut(x) for name, x in inputs.items()}
        there = cut["attention_mask"].any(-1)  # [B, windows]
        found = self.model(**{name: x[there] for name, x in cut.items()}).logits
        logits = found.new_full((*there.shape, found.shape[-1]), -torch.inf if self.how == "max" else 0.0)
        logits = logits.masked_scatter(there[..., None], found)
        total = logits.amax(1) if self.how == "max" else logits.sum(1) / there.sum(1, keepdim=True)
        return SimpleNamespace(logits=total)

    def cut(self, x: Tensor) -> Tensor:
        """[..., L] -> [..., windows, size], or as long as the row where that is shorter."""
        size = min(self.size, x.shape[-1])
        return nn.functional.pad(x, (0, -x.shape[-1] % size)).unflatten(-1, (-1, size))

    def gradient_checkpointing_enable(self, how: dict[str, object]) -> None:
        """Of the model's layers."""
        self.model.gradient_checkpointing_enable(how)


class Learning(Labelling):
    """A task model and its loss."""

    def begin(self, token_keys: Tensor | None, inputs: dict[str, Tensor]) -> None:
        """Keys of the tokens as the model will see them: in windows, where it does."""
        super().begin(token_keys, inputs)
        if token_keys is not None and isinstance(self.model, Windowed):
            keys = self.model.cut(token_keys)[self.model.cut(inputs["attention_mask"]).any(-1)]
            self.token_keys.add(keys)
            self.token_keys.add(keys[:, 0])


def encoder_of(model: nn.Module) -> PreTrainedModel:
    """The encoder of a task model, whoever made it."""
    model = model.model if isinstance(model, Windowed) else model
    return model.encoder if isinstance(model, TaskModel | Corrector) else model.base_model


def head_of(model: nn.Module) -> list[nn.Module]:
    """What the task adds to the encoder, its pooler included: fresh at the start of every fine-tuning.

    The head that corrects spelling is none of it: it was pretrained, and learns as fast as the top layer.
    """
    model = model.model if isinstance(model, Windowed) else model
    if isinstance(model, TaskModel | Corrector):
        return [model.head]
    pooler = getattr(model.base_model, "pooler", None)
    return [*head_modules(model), *([pooler] if pooler is not None else [])]


def loss_of(model: nn.Module, task: LogitTask) -> Loss:
    """What the model learns unless told otherwise: the task's own loss, or that of its CRF."""
    crf = getattr(model, "crf", None)
    return crf if crf is not None else task.loss


@dataclass(frozen=True)
class ModelConfig:
    """How a task model reads and answers."""

    max_length: int
    input: InputConfig
    head: HeadConfig
    rewritten: tuple[str, ...] = ()
    """What was done to every text that it learned from, by the names of its corpus."""


def new_model(init: Path, task: Task, config: ModelConfig, seed: int) -> nn.Module:
    """A task model on the encoder of a checkpoint; its head depends on the seed alone."""
    windows = config.input.long == "windows"
    if isinstance(task, Spelling):
        return _new_corrector(init, config, seed)
    if isinstance(task, Tags) and config.input.long != "head":
        raise InputError(f"input.long = {config.input.long} is for texts, and here every token has a tag: choose head")
    if config.head.is_plain:
        load = load_token_classifier if isinstance(task, Tags) else load_classifier
        model = load(init, task.outputs, seed)
    else:
        encoder = load_encoder(init)
        with drawing_from(seed):
            model = TaskModel(encoder, config.head, task)
    return Windowed(model, config.max_length, config.input.pooled) if windows else model


def _new_corrector(init: Path, config: ModelConfig, seed: int) -> Corrector:
    if config.input.long != "head":
        raise InputError(
            f"input.long = {config.input.long} cuts texts, and spelling is corrected in all of them: leave it out"
        )
    mlm = load_masked_lm(init)
    with drawing_from(seed):
        return Corrector(mlm, config.head)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Within, modules draw their first weights from a stream of their own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def save_task(folder: Path, task: Task, config: ModelConfig) -> None:
    """What has to be known to use the model in this folder."""
    told = {**task.described(), "max_length": config.max_length, "input": asdict(config.input)}
    told |= {"rewritten": config.rewritten} if config.rewritten else {}
    (folder / TASK).write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")


def open_task(folder: Path) -> tuple[Task, ModelConfig]:
    """The task of a finished model, and how it reads."""
    if not (folder / TASK).exists():
        raise InputError(f"{folder} holds no fine-tuned model ({TASK} is missing): run make finetuned-base")
    told = json.loads((folder / TASK).read_text(encoding="utf-8"))
    max_length, read = told.pop("max_length"), _settings(InputConfig, told.pop("input"))
    rewritten = tuple(told.pop("rewritten", ()))
    head = json.loads((folder / HEAD).read_text(encoding="utf-8")) if (folder / HEAD).exists() else {}
    return task_from(told), ModelConfig(max_length, read, _settings(HeadConfig, head), rewritten)


def open_model(folder: Path, task: Task, config: ModelConfig) -> nn.Module:
    """The finished model, ready to predict."""
    if (folder / HEAD).exists():
        of_spelling = isinstance(task, Spelling)
        model = (
            Corrector(load_masked_lm(folder), config.head)
            if of_spelling
            else TaskModel(load_encoder(folder), config.head, task)
        )
        model.head.load_state_dict(load_file(folder / HEAD_WEIGHTS))
    else:
        kind = AutoModelForTokenClassification if isinstance(task, Tags) else AutoModelForSequenceClassification
        model = load_trained(kind, folder)
    model = Windowed(model, config.max_length, config.input.pooled) if config.input.long == "windows" else model
    return model.eval()


def inner(model: nn.Module) -> nn.Module:
    """The model that is saved: without windows, which are a way of asking."""
    return model.model if isinstance(model, Windowed) else model


def _settings(kind: type, values: dict[str, object]) -> object:
    return replace(kind(), **{name: tuple(x) if isinstance(x, list) else x for name, x in values.items()})
