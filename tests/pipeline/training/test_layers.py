"""Compiled layers compute what they are, and are saved as what they were."""

from dataclasses import replace

import pytest
import torch
from test_trainer import CONFIG, DyingBatches, Killed, learn

from pipeline.training import layers as module

CONFIG = replace(CONFIG, steps=4)


@pytest.fixture
def compiler():
    """Forget what was compiled before: models of other tests share code with ours, and there is a limit for each."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    if problem := module._cannot_compile():
        pytest.skip(problem)


def graphs() -> int:
    """Graphs compiled in this test, without that of the one line that is tried first."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"] - 1


@pytest.mark.parametrize(("kind", "again"), [("bert", False), ("bert", True), ("modernbert", False)])
def test_compiled_layers_learn_the_same_and_keep_their_names(compiler, new_model, masked_batches, kind, again):
    config = replace(CONFIG, gradient_checkpointing=again)
    eager, _ = learn(new_model(kind, dropout=0.3), masked_batches, config)
    compiled, _ = learn(new_model(kind, dropout=0.3), masked_batches, replace(config, compile=True))
    torch.testing.assert_close(compiled, eager, rtol=0, atol=1e-5)
    assert list(compiled) == list(eager) and graphs() > 1


def test_rows_of_every_length_are_one_graph(compiler, new_model, masked_batches):
    learn(new_model(), masked_batches, replace(CONFIG, steps=1, compile=True))
    first = graphs()
    learn(new_model(), masked_batches, replace(CONFIG, steps=8, compile=True, seed=1, per_device_batch_size=3))
    assert graphs() == first


def test_the_kernel_of_a_gpu_is_compiled_into_the_layer(compiler, new_model, masked_batches, kernel):
    def plain(layers: bool) -> dict[str, torch.Tensor]:
        found, _ = learn(new_model(dropout=0.0), masked_batches, replace(CONFIG, compile=layers))
        return found

    torch.testing.assert_close(plain(True), plain(False), rtol=0, atol=1e-5)
    first = graphs()
    learn(new_model(dropout=0.0), masked_batches, replace(CONFIG, compile=True, seed=1, per_device_batch_size=3))
    assert first == graphs() == 2  # the last layer gathers the targets


def test_a_compiled_training_resumed_ends_with_the_same_bits(compiler, new_model, masked_batches, tmp_path):
    config = replace(CONFIG, save_steps=2, compile=True)
    unbroken, _ = learn(new_model(), masked_batches, config, folder=tmp_path / "a")
    with pytest.raises(Killed):
        learn(new_model(), DyingBatches(masked_batches, 3), config, folder=tmp_path / "b")
    resumed, _ = learn(new_model(seed=9), masked_batches, config, folder=tmp_path / "b")
    assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


def test_where_nothing_can_be_compiled_that_is_said_and_the_training_goes_on(
    new_model, masked_batches, monkeypatch, capsys
):
    def broken(*_: object) -> None:
        raise RuntimeError("No working C++ compiler found\n\nSet TORCH_LOGS for more")

    eager, _ = learn(new_model(), masked_batches, CONFIG)
    monkeypatch.setattr(torch, "compile", broken)
    found, _ = learn(new_model(), masked_batches, replace(CONFIG, compile=True))
    said = capsys.readouterr().err
    assert "! torch.compile does not work here (No working C++ compiler found): going on without\n" in said
    assert all(torch.equal(found[name], eager[name]) for name in eager)
