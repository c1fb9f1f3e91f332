"""Reading from left to right for a while: the loss is that of a decoder, nothing is seen ahead, the end is masked."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AlbertConfig, AlbertForMaskedLM, BertLMHeadModel, RobertaForCausalLM

from pipeline.batches import IGNORE
from pipeline.objectives.causal_lm import next_ids
from pipeline.objectives.detour import Detour, DetourBatches, DetourConfig
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

CONFIG = TrainerConfig(steps=150, batch_size=8, learning_rate=1e-2)
FIRST = np.arange(6), np.zeros(6, dtype=np.int64)


def causal(masked_batches) -> dict[str, torch.Tensor]:
    return DetourBatches(masked_batches, DetourConfig()).batch(*FIRST)


def test_what_is_asked_is_the_next_id_as_written(masked_batches):
    rows, sequences = causal(masked_batches), masked_batches.sequences
    for i in range(6):
        ids = sequences.input_ids[sequences.offsets[i] : sequences.offsets[i + 1]]
        n = len(ids)
        assert rows["input_ids"][i, :n].tolist() == ids.tolist()
        assert rows["labels"][i, : n - 1].tolist() == ids[1:].tolist() and (rows["labels"][i, n - 1 :] == IGNORE).all()
    ids, mask = torch.tensor([[5, 6, 7], [8, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert next_ids(ids, mask).tolist() == [[6, 7, IGNORE], [IGNORE] * 3]


@pytest.mark.parametrize(("kind", "decoder"), [("bert", BertLMHeadModel), ("roberta", RobertaForCausalLM)])
def test_the_loss_and_its_gradients_are_those_of_the_library_s_decoder(new_model, masked_batches, kind, decoder):
    """The same weights, told to be a decoder."""
    encoder, rows = new_model(kind, dropout=0.0), causal(masked_batches)
    if kind == "roberta":
        rows["input_ids"] = torch.where(rows["attention_mask"].bool(), rows["input_ids"], 1)  # its padding
    twin = decoder(type(encoder.config)(**(encoder.config.to_dict() | {"is_decoder": True}))).train()
    twin.load_state_dict(encoder.state_dict())
    labels = rows["labels"].flatten()
    logits = twin(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits
    wanted = cross_entropy(logits.flatten(0, 1), labels, ignore_index=IGNORE, reduction="sum")
    objective = Detour(encoder)
    found = objective(**objective.arranged(rows))
    torch.testing.assert_close(found, wanted)
    wanted.backward()
    found.backward()
    for (name, p), (_, q) in zip(encoder.named_parameters(), twin.named_parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_no_token_knows_what_comes_after_it(new_model, masked_batches, kind):
    """Change one id: no prediction before it moves, and one from it on does; nor does another sequence."""
    model, rows = new_model(kind, dropout=0.0), causal(masked_batches)
    objective = Detour(model.eval())

    def predicted(ids: torch.Tensor) -> torch.Tensor:
        arranged = objective.arranged(rows | {"input_ids": ids})
        arranged.pop("targets")
        return objective.logits(**arranged)

    place = rows["labels"] != IGNORE
    changed_ids = rows["input_ids"].clone()
    changed_ids[2, 3] = 9 if changed_ids[2, 3] != 9 else 10
    with torch.no_grad():
        moved = (predicted(rows["input_ids"]) - predicted(changed_ids)).abs().amax(1) > 1e-7
    grid = torch.zeros_like(place).masked_scatter(place, moved)
    assert grid[2, 3] and not grid[2, :3].any() and not grid[[0, 1, 3, 4, 5]].any()


def test_the_end_of_the_training_is_masked_language_modelling(masked_batches):
    batches = DetourBatches(masked_batches, DetourConfig(causal_share=0.75))
    assert "causal" in batches.batch(*FIRST, 0.74) and "causal" not in batches.batch(*FIRST, 0.75)
    for name, column in masked_batches.batch(*FIRST, 0.8).items():
        assert torch.equal(batches.batch(*FIRST, 0.8)[name], column)


def test_it_learns_what_comes_next(new_model, masked_batches):
    """The loss falls well below that of guessing."""
    model, rows = new_model(dropout=0.0), causal(masked_batches)
    batches = DetourBatches(masked_batches, DetourConfig(causal_share=1.0))
    objective = Detour(model)
    train(objective, batches, CONFIG, "toy")
    objective.eval()
    loss = objective(**objective.arranged(rows)).item() / int((rows["labels"] != IGNORE).sum())
    assert loss < 0.7 * np.log(model.config.vocab_size)


def test_an_encoder_whose_mask_is_its_own_is_refused(new_model, monkeypatch):
    model = AlbertForMaskedLM(AlbertConfig(vocab_size=45, embedding_size=8, hidden_size=16, num_attention_heads=2))
    monkeypatch.setattr("pipeline.objectives.masked_lm.can_unpad", lambda model, causal: False)
    with pytest.raises(ValueError, match="needs an encoder whose attention can be given a mask of ours"):
        Detour(model)
    with pytest.raises(ValueError, match="causal_share = 2"):
        DetourConfig(causal_share=2)
