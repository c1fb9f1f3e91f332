"""Words in any order: who depends on whom, the loss, and the encoder that is left."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModel, AutoModelForSequenceClassification, XLNetLMHeadModel

from pipeline.batches import IGNORE, MaskedBatches
from pipeline.masking.config import MaskingConfig
from pipeline.models import ModelSize, load_classifier, save
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.objectives.permuted_lm import SEEN, PermutedBatches, PermutedLM, measure, new_xlnet
from pipeline.pretraining import Text, learn
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig

SIZE = ModelSize(hidden_size=16, layers=2, heads=2, max_length=32, dropout=0.0)


def toy(dropout: float = 0.0) -> XLNetLMHeadModel:
    return new_xlnet(replace(SIZE, dropout=dropout), 64, 0, 0).eval()


@pytest.fixture
def permuted(masked_batches) -> PermutedBatches:
    return PermutedBatches(masked_batches)


def everything(batches, epoch: int = 0) -> dict[str, torch.Tensor]:
    return batches.batch(np.arange(len(batches)), np.full(len(batches), epoch))


def test_the_text_stands_as_written_and_its_targets_are_those_of_masking_in_an_order(
    permuted, sequences, masked_batches
):
    batch, masked = everything(permuted), everything(masked_batches)
    assert torch.equal(batch["labels"], masked["labels"])
    for i, row in enumerate(np.split(sequences.input_ids, sequences.offsets[1:-1])):
        assert batch["input_ids"][i, : len(row)].tolist() == row.tolist()
        targets = batch["labels"][i] != IGNORE
        assert sorted(batch["ranks"][i][targets].tolist()) == list(range(int(targets.sum())))
        assert (batch["ranks"][i][~targets] == SEEN).all() and not targets[0] and not targets[len(row) - 1]


def test_the_order_is_random_and_a_function_of_seed_epoch_and_document(permuted, sequences, vocabulary):
    batch = everything(permuted)
    other = permuted.batch(np.array([9, 2]), np.zeros(2, dtype=int))
    for i, j in enumerate((9, 2)):
        n = int(other["attention_mask"][i].sum())
        assert other["ranks"][i, :n].tolist() == batch["ranks"][j, :n].tolist()
    many = MaskedBatches(sequences, MaskingConfig("random", 0.6), vocabulary, 0)
    rising = [ranks[ranks != SEEN].diff().sign() for epoch in range(4)
              for ranks in everything(PermutedBatches(many), epoch)["ranks"]]  # fmt: skip
    assert abs(float(torch.cat(rising).float().mean())) < 0.2


def test_each_prediction_depends_on_what_is_seen_and_what_stands_before_it_and_on_nothing_else(vocabulary, sequences):
    """The whole matrix of dependences: every token changed, one at a time, also of the token itself and of padding."""
    batches = PermutedBatches(MaskedBatches(sequences, MaskingConfig("random", 0.4), vocabulary, 0))
    batch = batches.batch(np.arange(6), np.zeros(6, dtype=int))
    objective = PermutedLM(toy())

    def said(ids: torch.Tensor) -> torch.Tensor:
        arranged = objective.arranged(batch | {"input_ids": ids})
        return objective.said(**{n: arranged[n] for n in ("input_ids", "attention_mask", "hides", "slots")})

    with torch.no_grad():
        before, slots = said(batch["input_ids"]), objective.arranged(batch)["slots"]
        for j in range(batch["input_ids"].shape[1]):
            ids = batch["input_ids"].clone()
            ids[:, j] = (ids[:, j] + 7) % 40 + 6
            moved = (said(ids) - before).abs().amax(-1) > 1e-6
            for b, p in (slots >= 0).nonzero().tolist():
                rank = batch["ranks"][b]
                is_token, mine = bool(batch["attention_mask"][b, j]), rank[slots[b, p]]
                assert bool(moved[b, p]) == (is_token and bool(rank[j] < mine)), (b, p, j)


def test_the_loss_and_its_gradients_are_those_of_each_word_predicted_alone(permuted):
    """By hand: one word at a time, all words not before it in the order hidden from every token."""
    one, other = toy(), toy()
    batch = permuted.batch(np.arange(4), np.zeros(4, dtype=int))
    found = PermutedLM(one)
    loss, wanted = found(**found.arranged(batch)), 0.0
    for b in range(4):
        n = int(batch["attention_mask"][b].sum())
        ids, ranks = batch["input_ids"][b : b + 1, :n], batch["ranks"][b, :n]
        for place in (ranks != SEEN).nonzero()[:, 0].tolist():
            # what is seen by a token before this one in the order is what stands before that one
            hidden = torch.tensor([[float(ranks[j] >= max(ranks[i], 0) if i != place else ranks[j] >= ranks[place])
                                    if ranks[j] != SEEN else 0.0 for j in range(n)] for i in range(n)])  # fmt: skip
            mapping = torch.zeros(1, 1, n)
            mapping[0, 0, place] = 1
            said = other(input_ids=ids, perm_mask=hidden[None], target_mapping=mapping, use_mems=False).logits[0]
            wanted = wanted + cross_entropy(said, ids[0, place : place + 1], reduction="sum")
    torch.testing.assert_close(loss, wanted)
    loss.backward()
    wanted.backward()
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(
            p.grad, torch.zeros_like(p) if q.grad is None else q.grad, rtol=1e-4, atol=1e-5, msg=name
        )


def test_what_is_measured_is_the_mean_loss(permuted, masked_batches):
    objective = PermutedLM(toy())
    batch = everything(permuted)
    with torch.no_grad():
        wanted = float(objective(**objective.arranged(batch))) / int((batch["labels"] != IGNORE).sum())
        assert measure(objective, masked_batches)["loss"] == pytest.approx(wanted, rel=1e-5)


def test_a_base_of_another_kind_is_refused(checkpoints):
    with pytest.raises(
        InputError, match=r"bert is of the kind bert: set objective = mlm, or build a base with base.ob"
    ):
        ObjectiveConfig("plm").method.open(checkpoints["bert"], 0)


def test_what_is_left_for_fine_tuning_is_the_content_stream(tokenizer, permuted, tmp_path):
    model, batch = toy(), everything(permuted)
    save(model, tokenizer, tmp_path, "card")
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(encoder(**inputs)[0], model.transformer(**inputs)[0])
    opened = ObjectiveConfig("plm").method.open(tmp_path, 0)
    assert all(torch.equal(p, q) for p, q in zip(opened.parameters(), model.parameters(), strict=True))
    classifier = load_classifier(tmp_path, ["a", "b"], 0)
    assert isinstance(classifier, AutoModelForSequenceClassification._model_mapping[type(model.config)])
    padded = classifier.eval()(**inputs).logits[0]
    length = int(batch["attention_mask"][0].sum())
    alone = classifier(input_ids=batch["input_ids"][:1, :length], use_mems=False).logits[0]
    torch.testing.assert_close(padded, alone)  # a text is summed up by its first token, not by padding


def test_masking_that_puts_words_in_the_place_of_others_is_refused(sequences, tokenizer, tmp_path):
    similar, method = MaskingConfig("whole_word", replacement="similar"), ObjectiveConfig("plm").method
    with pytest.raises(InputError, match=r"puts nothing in the place of a word: set masked.replacement = mask"):
        learn(toy(), tokenizer, Text(sequences, None, similar), TrainerConfig(steps=1), tmp_path, "toy", method)


def regular(sequences) -> object:
    """Each token is followed by the next one of the vocabulary."""
    rows = [np.r_[2, 6 + (i + np.arange(n - 2)) % 36, 3] for i, n in enumerate(np.diff(sequences.offsets))]
    ids = np.concatenate(rows).astype(np.int32)
    return replace(sequences, input_ids=ids, word_ids=np.where(np.isin(ids, (2, 3)), -1, np.arange(len(ids))))


def test_words_are_learned_in_any_order(sequences, tokenizer, tmp_path):
    method, text = ObjectiveConfig("plm").method, regular(sequences)
    trainer = TrainerConfig(steps=80, batch_size=24, learning_rate=1e-2, evaluations=1)
    model = method.new(SIZE, 64, 0, 0)
    masked = Text(text, text, MaskingConfig("random", 0.2))
    found = learn(model, tokenizer, masked, trainer, tmp_path, "toy", method)
    assert found["dev_loss"] < 0.6 * np.log(36) < found["dev_loss_before"]
    assert found["realised_chosen"] == pytest.approx(0.2, abs=0.05) and "realised_replaced" not in found
