"""The order of two segments: consecutive halves of one sequence, and both losses exact."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import WORDS
from torch.nn.functional import cross_entropy
from transformers import (
    AlbertConfig,
    AlbertForPreTraining,
    AutoModelForMaskedLM,
    BertConfig,
    BertForPreTraining,
    ErnieConfig,
    ErnieForPreTraining,
    PreTrainedModel,
)

from pipeline.batches import IGNORE, MaskedBatches
from pipeline.masking.config import MaskingConfig
from pipeline.models import load_classifier, load_order_model
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.objectives.sentence_order import OrderBatches, SentenceOrder, measure, set_anew
from pipeline.objectives.yardstick import fixed_mask_loss
from pipeline.pretraining import Text, learn
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig

SIZES = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 32, "max_position_embeddings": 32, "pad_token_id": 0, "initializer_range": 0.2}


def order_model(kind: str = "bert", dropout: float = 0.0) -> PreTrainedModel:
    torch.manual_seed(0)
    drops = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    if kind == "albert":
        config = AlbertConfig(**SIZES, **drops, embedding_size=8, classifier_dropout_prob=dropout)
        return AlbertForPreTraining(config).eval()
    if kind == "ernie":
        return ErnieForPreTraining(ErnieConfig(**SIZES, **drops)).eval()
    return BertForPreTraining(BertConfig(**SIZES, **drops)).eval()


@pytest.fixture
def ordered(masked_batches) -> OrderBatches:
    return OrderBatches(masked_batches)


def everything(batches) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(len(batches)), np.zeros(len(batches), dtype=int)


def halves(ids: list[int], kinds: list[int]) -> tuple[list[int], list[int]]:
    """What stands between the special tokens of a row of two segments."""
    first = [i for i, kind in zip(ids, kinds, strict=True) if kind == 0]
    second = [i for i, kind in zip(ids, kinds, strict=True) if kind == 1]
    assert first[0] == 2 and first[-1] == second[-1] == 3
    return first[1:-1], second[:-1]


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_segments_are_the_halves_of_the_sequence_cut_between_words_near_its_middle(sequences, vocabulary, epoch):
    batches = OrderBatches(MaskedBatches(sequences, MaskingConfig("random", 0.3), vocabulary, 0), words=False)
    batch = batches.batch(np.arange(24), np.full(24, epoch))
    orders = batch["order"].tolist()
    for i, order in enumerate(orders):
        row = slice(*sequences.offsets[i : i + 2])
        written, words = sequences.input_ids[row].tolist(), sequences.word_ids[row].tolist()
        length = int(batch["attention_mask"][i].sum())
        ids, kinds = (batch[name][i, :length].tolist() for name in ("input_ids", "token_type_ids"))
        if order == IGNORE:
            assert ids == written and not any(kinds) and len(set(words[1:-1])) == 1
            continue
        one, other = halves(ids, kinds)
        one, other = (other, one) if order else (one, other)
        assert one + other == written[1:-1] and len(ids) == len(written) + 1
        assert words[len(one)] != words[len(one) + 1]  # a border
        assert 0.25 * len(one + other) - 3 <= len(one) <= 0.75 * len(one + other) + 3  # words have up to three tokens
    assert 0.2 < np.mean([order for order in orders if order != IGNORE]) < 0.8


def test_where_a_sequence_is_cut_is_a_function_of_seed_epoch_and_document(sequences, vocabulary):
    def drawn(seed: int, indices: list[int], epoch: int) -> list[list[int]]:
        masked = MaskedBatches(sequences, MaskingConfig("random", 0.3, seed=seed), vocabulary, 0)
        batch = OrderBatches(masked).batch(np.array(indices), np.full(len(indices), epoch))
        rows = zip(batch["token_type_ids"], batch["attention_mask"].sum(1), batch["order"].tolist(), strict=True)
        return [[*row[:n].tolist(), order] for row, n, order in rows]

    whole = drawn(0, list(range(24)), 0)
    assert drawn(0, [7, 3], 0) == [whole[7], whole[3]]
    assert drawn(0, list(range(24)), 1) != whole != drawn(1, list(range(24)), 0)


def test_the_words_to_predict_are_those_of_masked_words_alone(ordered, masked_batches):
    plain, anew = (batches.batch(*everything(masked_batches)) for batches in (masked_batches, ordered))
    for name in ("labels", "input_ids"):
        count = lambda batch, i, name=name: np.bincount(batch[name][i][batch["labels"][i] != IGNORE], minlength=64)
        assert all(np.array_equal(count(plain, i), count(anew, i)) for i in range(24))


def test_a_sequence_of_unknown_words_is_cut_between_them(sequences, vocabulary):
    unknown = replace(sequences, word_ids=np.full_like(sequences.word_ids, -1))
    visit = MaskedBatches(unknown, MaskingConfig("random", 0.3), vocabulary, 0).visit(*everything(sequences))
    assert (set_anew(visit.rows, visit.word_ids)[3] != IGNORE).all()


def by_hand(model: PreTrainedModel, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """[2]: summed losses, padded, in plain torch."""
    rest = dict(batch)
    labels, order = rest.pop("labels"), rest.pop("order")
    words, orders = model(**rest).to_tuple()[:2]
    return torch.stack([
        cross_entropy(words.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum"),
        cross_entropy(orders, order, ignore_index=IGNORE, reduction="sum"),
    ])  # fmt: skip


@pytest.mark.parametrize("kind", ["bert", "ernie", "albert"])
@pytest.mark.parametrize("padded", [False, True])
def test_both_losses_and_their_gradients_are_those_of_the_padded_model(ordered, kind, padded):
    one, other = order_model(kind), order_model(kind)
    batch = ordered.batch(*everything(ordered))
    objective = SentenceOrder(one)
    assert objective.unpadded
    objective.unpadded = not padded
    found, wanted = objective(**objective.arranged(batch)), by_hand(other, batch)
    torch.testing.assert_close(found, wanted)
    weights = torch.tensor([0.3, 0.7])
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_a_wrapped_model_answers_as_before(ordered):
    model, batch = order_model(), ordered.batch(*everything(ordered))
    rest = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
    before = model(**rest)
    objective = SentenceOrder(model)
    objective(**objective.arranged(batch))
    assert torch.equal(model(**rest)[1], before[1])


def test_the_order_alone_masks_nothing_and_leaves_the_head_for_words_as_it_was(ordered, masked_batches):
    model, batches = order_model(), OrderBatches(masked_batches, words=False)
    batch = batches.batch(*everything(batches))
    assert (batch["labels"] == IGNORE).all() and not (batch["input_ids"] == WORDS.index("[MASK]")).any()
    objective = SentenceOrder(model, words=False)
    assert objective.targets(batch) == [int((batch["order"] != IGNORE).sum())]
    loss = objective(**objective.arranged(batch))
    torch.testing.assert_close(loss, by_hand(order_model(), batch)[1:])
    loss.sum().backward()
    assert all(p.grad is None for p in model.cls.predictions.transform.parameters())
    assert model.cls.seq_relationship.weight.grad.abs().sum() > 0


def test_the_dev_loss_is_that_of_sequences_as_written(masked_batches):
    model = order_model()
    with torch.no_grad():
        wanted = fixed_mask_loss(MaskedLM(order_words(model)), masked_batches)["loss"]
        found = measure(SentenceOrder(model), masked_batches)
        alone = measure(SentenceOrder(order_model(), words=False), masked_batches)
    assert found["loss"] == pytest.approx(wanted, rel=1e-5) and alone == pytest.approx(found)
    assert 0 <= found["order_accuracy"] <= 100 and found["order_loss"] > 0


def order_words(model: PreTrainedModel) -> PreTrainedModel:
    """The same weights as a model of masked words alone."""
    words = AutoModelForMaskedLM.from_config(model.config).eval()
    words.load_state_dict(model.state_dict(), strict=False)
    return words


def test_pooler_and_head_are_fresh_where_a_checkpoint_has_none_and_kept_where_it_has(checkpoints, tokenizer, tmp_path):
    one, other, seeded = (load_order_model(checkpoints["bert"], seed) for seed in (0, 0, 1))
    assert torch.equal(one.cls.seq_relationship.weight, other.cls.seq_relationship.weight)
    assert not torch.equal(one.bert.pooler.dense.weight, seeded.bert.pooler.dense.weight)
    one.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = load_order_model(tmp_path, 5)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), again.parameters(), strict=True))
    words = AutoModelForMaskedLM.from_pretrained(tmp_path)
    assert torch.equal(words.cls.predictions.bias, one.cls.predictions.bias)
    load_classifier(tmp_path, ["a", "b"], 0)


def test_a_base_of_another_kind_is_refused(checkpoints):
    with pytest.raises(InputError, match="is of the kind roberta: set objective = mlm, or choose another base"):
        ObjectiveConfig("mlm+sop").method.open(checkpoints["roberta"], 0)


def sorted_text(sequences) -> object:
    """The ids of each sequence in rising order: which of two halves comes first can be known."""
    rows = np.split(sequences.input_ids, sequences.offsets[1:-1])
    ids = np.concatenate([[row[0], *sorted(row[1:-1]), row[-1]] for row in rows]).astype(np.int32)
    return replace(sequences, input_ids=ids, word_ids=np.where(np.isin(ids, (2, 3)), -1, np.arange(len(ids))))


@pytest.mark.parametrize("name", ["mlm+sop", "sop"])
def test_the_order_of_text_that_has_one_is_learned(sequences, tokenizer, tmp_path, name):
    text, model = sorted_text(sequences), order_model()
    trainer = TrainerConfig(steps=100, batch_size=24, learning_rate=1e-2, evaluations=1)
    masked, method = Text(text, text, MaskingConfig("random", 0.15)), ObjectiveConfig(name).method
    found = learn(model, tokenizer, masked, trainer, tmp_path, "toy", method)
    assert found["dev_order_accuracy"] > 85
    assert found["dev_loss"] < found["dev_loss_before"] or name == "sop"
    assert ("realised_chosen" in found) == (name == "mlm+sop")


def test_a_sequence_without_room_for_a_separator_is_refused(sequences, tokenizer, tmp_path):
    torch.manual_seed(0)
    full = BertForPreTraining(BertConfig(**SIZES | {"max_position_embeddings": 16}))
    with pytest.raises(InputError, match=r"1 more id .* longest has 16 .* takes 16: set masked.max_length = 15"):
        masked, method = Text(sequences, None, MaskingConfig("random")), ObjectiveConfig("mlm+sop").method
        learn(full, tokenizer, masked, TrainerConfig(steps=1), tmp_path, "toy", method)
