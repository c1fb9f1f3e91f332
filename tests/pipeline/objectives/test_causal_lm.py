"""Next tokens of a decoder: the library's own loss, chosen or ranked tokens, what a reference knows, nothing ahead."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    PreTrainedModel,
    Qwen3Config,
    XLNetConfig,
    XLNetLMHeadModel,
)

from pipeline.batches import IGNORE, MaskedBatches, follows
from pipeline.masking.config import MaskingConfig
from pipeline.models import ModelSize, load_causal_lm, load_masked_lm
from pipeline.objectives.causal_lm import (
    CausalLM,
    ClmConfig,
    NextTokenBatches,
    highest,
    measure,
    new_decoder,
    next_ids,
)
from pipeline.objectives.cross_entropy import linear_losses
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

SMALL = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}
MORE = SMALL | {"num_key_value_heads": 2, "intermediate_size": 32, "head_dim": 4}
DECODERS = {
    "llama": LlamaConfig(**MORE),
    "qwen3": Qwen3Config(**MORE),
    "gemma2": Gemma2Config(**MORE, sliding_window=4, query_pre_attn_scalar=4),
    "gpt2": GPT2Config(vocab_size=64, n_embd=16, n_layer=2, n_head=4, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0),
}
FIRST = np.arange(6), np.zeros(6, dtype=np.int64)


def decoder(kind: str = "qwen3") -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(deepcopy(DECODERS[kind])).train()


def rows(masked_batches, config: ClmConfig | None = None) -> dict[str, torch.Tensor]:
    return NextTokenBatches(masked_batches, config).batch(*FIRST)


def with_reference(masked_batches) -> MaskedBatches:
    """Losses of a reference that are told apart: a hundredth of a token's place in the corpus."""
    sequences = masked_batches.sequences
    losses = np.arange(len(sequences.input_ids), dtype=np.float32) / 100
    known = replace(sequences, reference=losses)
    return MaskedBatches(known, masked_batches.masking, masked_batches.vocabulary, masked_batches.pad_id)


def each_loss(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """[B, L]: the loss of each label, 0 where none is, by the library's own forward over padded rows."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return cross_entropy(logits.transpose(1, 2), batch["labels"], ignore_index=IGNORE, reduction="none")


@pytest.mark.parametrize("kind", DECODERS)
def test_the_loss_and_its_gradients_are_the_library_s(kind, masked_batches):
    model, batch = decoder(kind), rows(masked_batches)
    wanted = each_loss(model, batch).sum()
    wanted.backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    objective = CausalLM(model)
    found = objective(**objective.arranged(batch))
    torch.testing.assert_close(found, wanted)
    found.backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.grad, gradients[name], rtol=1e-3, atol=1e-5, msg=name)


def test_rows_stand_without_padding_where_a_decoder_can_do_so(masked_batches):
    """With heads that share keys; Gemma 2 caps its logits, of attention and of the head, and is left as it is."""
    assert {kind: CausalLM(decoder(kind)).unpadded for kind in ("llama", "qwen3", "gemma2")} == {
        "llama": True,
        "qwen3": True,
        "gemma2": False,
    }
    assert CausalLM(decoder("llama")).splits and not CausalLM(decoder("gemma2")).splits


def test_every_next_token_is_asked_for_and_nothing_is_hidden(masked_batches):
    batch, sequences = rows(masked_batches), masked_batches.sequences
    for i in range(6):
        ids = sequences.input_ids[sequences.offsets[i] : sequences.offsets[i + 1]]
        assert batch["input_ids"][i, : len(ids)].tolist() == ids.tolist()
        assert batch["labels"][i, : len(ids) - 1].tolist() == ids[1:].tolist()
        assert (batch["labels"][i, len(ids) - 1 :] == IGNORE).all()
    ids, mask = torch.tensor([[5, 6, 7], [8, 0, 0]]), torch.tensor([[1, 1, 1], [1, 0, 0]])
    assert next_ids(ids, mask).tolist() == [[6, 7, IGNORE], [IGNORE] * 3]


def test_chosen_tokens_are_those_that_masking_would_hide(masked_batches):
    """The same words at the same visit, whatever weighs them."""
    batch, masked = rows(masked_batches, ClmConfig("chosen")), masked_batches.batch(*FIRST)
    hidden = masked["labels"] != IGNORE
    assert hidden[:, 1:].any() and (batch["labels"] != IGNORE)[:, :-1].equal(hidden[:, 1:])
    assert batch["labels"][:, :-1][hidden[:, 1:]].equal(masked["labels"][:, 1:][hidden[:, 1:]])


def test_nobody_learns_to_stop_where_a_text_is_cut(masked_batches):
    sequences = masked_batches.sequences
    names = [b"a", b"a#1", b"a#2", b"b", b"b#2", b"c", *sequences.id[6:]]
    cut = replace(sequences, id=np.array(names))
    batch = rows(MaskedBatches(cut, masked_batches.masking, masked_batches.vocabulary, 0))
    whole = rows(masked_batches)
    dropped = (whole["labels"] != IGNORE) & (batch["labels"] == IGNORE)
    assert dropped.sum(1).tolist() == [1, 1, 0, 0, 0, 0]
    assert (whole["labels"][dropped] == 3).all()  # the end mark
    assert follows("x#9", "x#10") and follows("a#b", "a#b#1") and not follows("a", "b#1") and not follows("a", "b")


@pytest.mark.parametrize("select", ["loss", "excess_loss"])
def test_of_each_sequence_the_best_tokens_are_learned_from(masked_batches, select):
    """Against a loop: ranked by the loss, or by what it is above the reference's."""
    model, batches = decoder(), with_reference(masked_batches)
    config = ClmConfig(select, keep=0.4)
    batch, objective = rows(batches, config), CausalLM(model, config)
    losses, wanted, count = each_loss(model, batch), 0.0, 0
    for i in range(6):
        asked = (batch["labels"][i] != IGNORE).nonzero()[:, 0]
        known = np.asarray(batches.sequences.reference)[batches.sequences.offsets[i] :][asked + 1]
        score = losses[i, asked].detach() - (torch.from_numpy(known) if select == "excess_loss" else 0)
        best = sorted(range(len(asked)), key=lambda j, s=score: (-float(s[j]), j))[: -(-len(asked) * 4 // 10)]
        wanted, count = wanted + losses[i, asked[best]].sum(), count + len(best)
    torch.testing.assert_close(objective(**objective.arranged(batch)), wanted)
    assert objective.targets(batch) == [count]


def test_ranks_are_of_a_row_and_ties_go_to_what_stands_first():
    scores, of = torch.tensor([1.0, 3.0, 3.0, 2.0, 0.0, 5.0]), torch.tensor([0, 0, 0, 0, 2, 2])
    assert highest(scores, of, 0.5).tolist() == [1, 2, 5]
    assert highest(scores, of, 0.2).tolist() == [1, 5]
    assert highest(scores, of, 1.0).tolist() == [0, 1, 2, 3, 4, 5]


def test_losses_one_by_one_are_those_of_all_logits(monkeypatch):
    monkeypatch.setattr("pipeline.objectives.cross_entropy.LOGITS_AT_ONCE", 50)
    generator = torch.Generator().manual_seed(0)
    hidden, weight, bias = (torch.randn(size, generator=generator) for size in ((7, 4), (20, 4), (20,)))
    targets = torch.arange(7)
    wanted = cross_entropy(hidden @ weight.T + bias, targets, reduction="none")
    torch.testing.assert_close(linear_losses(hidden, weight, bias, targets), wanted)


def test_a_decoder_from_scratch_learns_what_comes_next(masked_batches):
    objective = CausalLM(new_decoder(ModelSize(16, 2, 2, 32, 0.0), 64, 0, 0))
    before = measure(objective, masked_batches)
    train(
        objective, NextTokenBatches(masked_batches), TrainerConfig(steps=120, batch_size=8, learning_rate=1e-2), "toy"
    )
    with torch.no_grad():
        found = measure(objective, masked_batches)
    assert found["loss"] < 0.7 * before["loss"] and found["perplexity"] == pytest.approx(np.exp(found["loss"]))


def test_what_is_measured_does_not_depend_on_what_is_selected(masked_batches):
    config = ClmConfig("excess_loss")
    with torch.no_grad():
        assert measure(CausalLM(decoder(), config), with_reference(masked_batches)) == pytest.approx(
            measure(CausalLM(decoder()), masked_batches)
        )


def test_what_cannot_be_done_is_said_in_a_line(masked_batches, checkpoints, tmp_path):
    with pytest.raises(ValueError, match="set REFERENCE="):
        NextTokenBatches(masked_batches, ClmConfig("excess_loss"))
    with pytest.raises(ValueError, match=r"keep = 0 must"):
        ClmConfig(keep=0)
    with pytest.raises(ValueError, match="is of the kind bert, no decoder"):
        load_causal_lm(checkpoints["bert"])
    decoder().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="set objective = clm"):
        load_masked_lm(tmp_path)
    xlnet = XLNetLMHeadModel(XLNetConfig(vocab_size=64, d_model=16, n_layer=1, n_head=2, d_inner=32))
    with pytest.raises(ValueError, match="a XLNetLMHeadModel sees the next token"):
        CausalLM(xlnet)


def test_masking_that_moves_with_the_training_moves_what_is_chosen(sequences, vocabulary):
    masking = MaskingConfig("whole_word", mask_rate=0.6, mask_rate_schedule="linear", final_mask_rate=0.1)
    batches = NextTokenBatches(MaskedBatches(sequences, masking, vocabulary, 0), ClmConfig("chosen"))
    early, late = (int((batches.batch(*FIRST, elapsed)["labels"] != IGNORE).sum()) for elapsed in (0.0, 1.0))
    assert early > 2 * late
