"""What is promised of every objective: split, killed, by two processes, in bf16, the same is learned."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from launcher import launched
from safetensors.torch import load_file, save_file
from test_replaced_tokens import SIZE, toy
from test_sentence_order import order_model
from torch import nn

from pipeline.models import new_bert
from pipeline.objectives.causal_lm import CausalLM, ClmConfig, NextTokenBatches, new_decoder
from pipeline.objectives.detour import Detour, DetourBatches, DetourConfig
from pipeline.objectives.electra import RtdConfig
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.masked_next import MaskedNext, ShiftedBatches, new_both_sides
from pipeline.objectives.objective import Objective
from pipeline.objectives.permuted_lm import PermutedBatches, PermutedLM, new_xlnet
from pipeline.objectives.replaced_tokens import ReplacedTokens
from pipeline.objectives.sentence_order import OrderBatches, SentenceOrder
from pipeline.run.errors import InputError
from pipeline.run.processes import processes, rank, world
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

CONFIG = TrainerConfig(steps=6, batch_size=8, per_device_batch_size=8, learning_rate=3e-3, warmup_ratio=0.25)


def detecting(config: RtdConfig) -> ReplacedTokens:
    return ReplacedTokens(toy(config, replace(SIZE, dropout=0.1)), config)


@dataclass(frozen=True)
class Learned:
    """An objective of a fresh toy model with dropout, and what it reads."""

    make: Callable[[], Objective]
    reads: Callable[[object], object]


LEARNED = {
    "mlm": Learned(lambda: MaskedLM(new_bert(replace(SIZE, dropout=0.1), 64, 0, 0)), lambda b: b),
    "mlm+sop": Learned(lambda: SentenceOrder(order_model(dropout=0.1)), OrderBatches),
    "mlm+sop, albert": Learned(lambda: SentenceOrder(order_model("albert", dropout=0.1)), OrderBatches),
    "rtd": Learned(lambda: detecting(RtdConfig(generator_width=0.5)), lambda b: b),
    "rtd, disentangled": Learned(lambda: detecting(RtdConfig(sharing="disentangled", weight=5.0)), lambda b: b),
    "clm-mlm": Learned(
        lambda: Detour(new_bert(replace(SIZE, dropout=0.1), 64, 0, 0)), lambda b: DetourBatches(b, DetourConfig(0.5))
    ),
    "clm": Learned(lambda: CausalLM(new_decoder(replace(SIZE, dropout=0.1), 64, 0, 0)), NextTokenBatches),
    "clm, ranked": Learned(
        lambda: CausalLM(new_decoder(replace(SIZE, dropout=0.1), 64, 0, 0), ClmConfig("loss")),
        lambda b: NextTokenBatches(b, ClmConfig("loss")),
    ),
    "mntp": Learned(lambda: MaskedNext(new_both_sides(replace(SIZE, dropout=0.1), 64, 0, 0)), ShiftedBatches),
    "plm": Learned(lambda: PermutedLM(new_xlnet(replace(SIZE, dropout=0.1), 64, 0, 0)), PermutedBatches),
}
ONE_OF_EACH = ["mlm+sop", "rtd, disentangled", "clm-mlm", "clm, ranked", "plm"]
NOT_AGAIN = {"mlm+sop, albert": "AlbertForPreTraining", "plm": "XLNetLMHeadModel"}
"""Whose layers transformers cannot compute again."""


class Killed(RuntimeError):
    """As good as a power cut."""


class Dying:
    """Batches that end the run after so many steps."""

    def __init__(self, batches, left: int) -> None:
        self.batches, self.left = batches, left

    def __getattr__(self, name):
        return getattr(self.batches, name)

    def __len__(self):
        return len(self.batches)

    def batch(self, indices, epochs, elapsed=0.0):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return self.batches.batch(indices, epochs, elapsed)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def learn(name: str, batches, config=CONFIG, folder: Path | None = None, left: int = 100) -> dict[str, torch.Tensor]:
    objective = LEARNED[name].make()
    train(objective, Dying(LEARNED[name].reads(batches), left), config, "toy", folder=folder)
    return weights(objective)


@cache
def learned(name: str, batches) -> dict[str, torch.Tensor]:
    """What a training as it is ends with: made once, whatever it is compared with."""
    return learn(name, batches)


def apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_learned_does_not_depend_on_how_a_batch_is_split(name, masked_batches):
    whole = learned(name, masked_batches)
    assert apart(learn(name, masked_batches, replace(CONFIG, per_device_batch_size=3)), whole) < 1e-4
    assert apart(weights(LEARNED[name].make()), whole) > 1e-3


@pytest.mark.parametrize("name", LEARNED)
def test_a_resumed_run_ends_with_the_same_bits_as_an_unbroken_one(name, masked_batches, tmp_path):
    """And as one that kept no checkpoint."""
    config = replace(CONFIG, save_steps=2)
    with pytest.raises(Killed):
        learn(name, masked_batches, config, tmp_path, left=5)
    assert apart(learn(name, masked_batches, config, tmp_path), learned(name, masked_batches)) == 0


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_two_processes_learn_what_one_does(name, masked_batches, tmp_path):
    work = lambda: save_file(learn(name, masked_batches), tmp_path / f"weights-{rank()}")
    left = launched(work, tmp_path)
    assert [one.code for one in left] == [0, 0], left
    both = [load_file(tmp_path / f"weights-{r}") for r in (0, 1)]
    assert apart(*both) == 0 and apart(learned(name, masked_batches), both[0]) < 1e-4


@pytest.mark.parametrize("name", ["mlm", "rtd, disentangled", "clm, ranked", "plm"])
def test_with_general_text_among_the_domain_all_this_holds_as_well(name, replay, masked_batches, tmp_path):
    """A batch that is split, a run that is killed, two processes."""
    config, unbroken = replace(CONFIG, save_steps=2), learned(name, replay)
    with pytest.raises(Killed):
        learn(name, replay, config, tmp_path / "broken", left=5)
    assert apart(learn(name, replay, config, tmp_path / "broken"), unbroken) == 0
    assert apart(learn(name, replay, replace(CONFIG, per_device_batch_size=3)), unbroken) < 1e-4
    left = launched(lambda: save_file(learn(name, replay), tmp_path / f"weights-{rank()}"), tmp_path)
    assert [one.code for one in left] == [0, 0], left
    assert apart(load_file(tmp_path / "weights-0"), unbroken) < 1e-4
    assert apart(learned(name, masked_batches), unbroken) > 1e-3


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_in_shards_the_same_is_learned(name, masked_batches, tmp_path, monkeypatch):
    """Without dropout."""

    def work() -> None:
        objective = LEARNED[name].make()
        for module in objective.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        train(objective, LEARNED[name].reads(masked_batches), replace(CONFIG, steps=3), "toy")
        save_file(weights(objective), tmp_path / f"weights-{world()}")

    alone = launched(work, tmp_path, 1)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    left = launched(work, tmp_path)
    assert [one.code for one in [*alone, *left]] == [0, 0, 0], left
    assert apart(*(load_file(tmp_path / f"weights-{count}") for count in (1, 2))) < 1e-4


@pytest.mark.parametrize("name", [name for name in LEARNED if name not in NOT_AGAIN])
def test_gradient_checkpointing_changes_nothing_that_is_learned(name, masked_batches):
    config = replace(CONFIG, steps=2)
    again = learn(name, masked_batches, replace(config, gradient_checkpointing=True))
    assert apart(again, learn(name, masked_batches, config)) < 1e-5


@pytest.mark.parametrize(("name", "kind"), NOT_AGAIN.items())
def test_gradient_checkpointing_is_refused_where_transformers_has_none(name, kind, masked_batches):
    with pytest.raises(InputError, match=f"layers of {kind} again: set gradient_checkpointing = false"):
        learn(name, masked_batches, replace(CONFIG, gradient_checkpointing=True))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_in_bf16_nearly_the_same_is_learned(name, masked_batches, monkeypatch):
    exact = learned(name, masked_batches)
    accelerator = processes()
    monkeypatch.setattr(accelerator, "native_amp", True)
    monkeypatch.setattr(accelerator.state, "_mixed_precision", "bf16")
    assert 0 < apart(learn(name, masked_batches), exact) < 0.05


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_log_has_every_loss_and_their_weighted_sum(name, masked_batches, tmp_path):
    learn(name, masked_batches, replace(CONFIG, steps=2), tmp_path)
    weight = LEARNED[name].make().losses
    lines = [json.loads(line) for line in (tmp_path / "logs" / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        parts = (
            {part: line[f"loss/{part}"] for part in weight} if len(weight) > 1 else {next(iter(weight)): line["loss"]}
        )
        assert line["loss"] == pytest.approx(sum(weight[part] * mean for part, mean in parts.items()))
    assert len(lines) == 2
