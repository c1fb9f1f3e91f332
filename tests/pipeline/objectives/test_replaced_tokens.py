"""Replaced tokens: both losses exact, nothing learned through the draw, both models saved and opened again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    ElectraConfig,
    ElectraForPreTraining,
    ErnieConfig,
    ErnieForMaskedLM,
)

from pipeline.batches import IGNORE
from pipeline.masking.config import MaskingConfig
from pipeline.models import ModelSize, load_classifier, save
from pipeline.objectives.electra import Electra, RtdConfig, new_electra, open_electra
from pipeline.objectives.methods import ObjectiveConfig
from pipeline.objectives.replaced_tokens import DRAWN, ReplacedTokens, _noise, area, measure
from pipeline.pretraining import Text, learn
from pipeline.run.errors import InputError
from pipeline.training.config import TrainerConfig
from pipeline.training.dropout import places, token_keys
from pipeline.training.trainer import train

SIZE = ModelSize(hidden_size=16, layers=2, heads=2, max_length=32, dropout=0.0)
HALF = RtdConfig(generator_width=0.5)


def toy(config: RtdConfig = HALF, size: ModelSize = SIZE, seed: int = 0) -> Electra:
    return new_electra(size, 64, 0, seed, config)


def whole_batch(batches, indices: list[int] | None = None, epoch: int = 0) -> dict[str, torch.Tensor]:
    """A batch with keys, as the trainer makes it."""
    indices = np.array(indices or range(len(batches)))
    epochs = np.full(len(indices), epoch)
    batch = batches.batch(indices, epochs)
    return batch | {"token_keys": token_keys(0, epochs, batches.keys(indices), batch["input_ids"].shape[1])}


def by_hand(model: Electra, batch: dict[str, torch.Tensor], config: RtdConfig) -> torch.Tensor:
    """[2]: summed losses, padded, in plain torch."""
    mask, labels = batch["attention_mask"], batch["labels"]
    logits = model.generator(input_ids=batch["input_ids"], attention_mask=mask).logits
    lost = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum")
    noise = _noise(places(batch["token_keys"].flatten(), DRAWN), logits.shape[-1]).view_as(logits)
    if config.disallow_correct:
        logits = logits.scatter(2, labels.clamp(min=0)[..., None], -torch.inf)
    drawn = (logits + noise).argmax(-1)
    masked = labels != IGNORE
    written = torch.where(masked, labels, batch["input_ids"])
    ids = torch.where(masked, drawn, written)
    hidden = model.discriminator.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
    asked = masked if config.learns in ("detection_masked", "replace_mlm") else mask.bool()
    if config.names_words:
        return torch.stack([lost, words_by_hand(model, hidden[asked], ids[asked], written[asked], config)])
    said = model.discriminator.head(hidden)
    replaced = (ids != written).float()
    return torch.stack([lost, binary_cross_entropy_with_logits(said[asked], replaced[asked], reduction="sum")])


def words_by_hand(model: Electra, hidden, shown, written, config: RtdConfig) -> torch.Tensor:
    """-log p summed: p of the word, or with a copy D + (1 - D) p where the word shown is the one written."""
    head, embeddings = model.discriminator.head, model.discriminator.encoder.embeddings.word_embeddings
    differs = config.sharing == "disentangled"
    table = embeddings.base.weight.detach() + embeddings.delta.weight if differs else embeddings.weight
    p = (head.transform(hidden) @ table.T + head.bias).softmax(-1)[torch.arange(len(written)), written]
    if config.learns == "all_tokens_mlm":
        copied = head.copy(hidden)[:, 0].sigmoid()
        p = copied * (shown == written) + (1 - copied) * p
    return -p.log().sum()


SETTINGS = [
    HALF,
    RtdConfig(),
    RtdConfig(generator_width=1.0, generator_layers=1, sharing="tokens", learns="detection_masked"),
    RtdConfig(sharing="disentangled"),
    RtdConfig(generator_width=0.5, sharing="none", disallow_correct=True),
    RtdConfig(generator_width=0.5, learns="replace_mlm", weight=1.0),
    RtdConfig(generator_width=0.5, learns="all_tokens_mlm", sharing="disentangled", weight=1.0),
]


@pytest.mark.parametrize("config", SETTINGS)
@pytest.mark.parametrize("padded", [False, True])
def test_both_losses_and_their_gradients_are_those_of_the_padded_models(masked_batches, config, padded):
    one, other = toy(config), toy(config)
    batch = whole_batch(masked_batches)
    objective = ReplacedTokens(one, config)
    assert objective.generator.unpadded
    objective.generator.unpadded = not padded
    found, wanted = objective(**objective.arranged(batch)), by_hand(other, batch, config)
    torch.testing.assert_close(found, wanted)
    (found[0] + 0.7 * found[1]).backward()
    (wanted[0] + 0.7 * wanted[1]).backward()
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("config", SETTINGS[:5])
def test_targets_are_counted_as_the_losses_sum_them(masked_batches, config):
    batch = whole_batch(masked_batches)
    objective = ReplacedTokens(toy(config), config)
    _, said, replaced = objective.told(**objective.arranged(batch))
    assert objective.targets(batch) == [int((batch["labels"] != IGNORE).sum()), len(said)]
    assert len(replaced) == len(said) and 0 < replaced.sum() <= objective.targets(batch)[0]


@pytest.mark.parametrize(
    ("sharing", "reached"),
    [
        ("none", set()),
        ("disentangled", set()),
        ("tokens", {"word_embeddings"}),
        ("embeddings", {"word_embeddings", "position_embeddings", "token_type_embeddings"}),
    ],
)
def test_detection_reaches_of_the_generator_what_is_shared_and_nothing_through_the_draw(
    masked_batches, sharing, reached
):
    config = replace(HALF, sharing=sharing)
    model = toy(config)
    objective = ReplacedTokens(model, config)
    objective(**objective.arranged(whole_batch(masked_batches)))[1].backward()
    moved = {
        name.split(".")[-2] for name, p in model.generator.named_parameters() if p.grad is not None and p.grad.any()
    }
    assert moved == reached
    assert model.discriminator.head.dense.weight.grad.any()


@pytest.mark.parametrize("sharing", ["none", "disentangled"])
def test_a_generator_that_does_not_learn_stays_as_it_is(masked_batches, sharing):
    config = replace(HALF, sharing=sharing, train_generator=False)
    model, batch = toy(config), whole_batch(masked_batches)
    before = {name: p.clone() for name, p in model.generator.named_parameters()}
    objective = ReplacedTokens(model, config)
    loss = objective(**objective.arranged(batch))
    torch.testing.assert_close(loss, by_hand(toy(config), batch, config)[1:])
    assert objective.targets(batch) == [int(batch["attention_mask"].sum())]
    train(objective, masked_batches, TrainerConfig(steps=2, batch_size=8, learning_rate=1e-2), "toy")
    assert all(torch.equal(p, before[name]) for name, p in model.generator.named_parameters())
    assert found_moved(toy(config).discriminator, model.discriminator)


def found_moved(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return any(not torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_draws_follow_what_the_generator_believes(masked_batches):
    torch.manual_seed(0)
    objective, count = ReplacedTokens(toy(), HALF), 40_000
    hidden = torch.randn(1, 16) * 2
    keys = token_keys(0, np.zeros(count, dtype=int), np.arange(count).astype(np.uint64), 1).flatten()
    drawn = objective.drawn(hidden.expand(count, -1), torch.zeros(count, dtype=torch.long), keys)
    decoder = objective.model.generator.generator_lm_head
    believed = (hidden @ decoder.weight.T + decoder.bias).softmax(-1)[0]
    shares = torch.bincount(drawn, minlength=64) / count
    assert (shares - believed).abs().max() < 4 * (believed * (1 - believed) / count).sqrt().max()


def test_what_is_drawn_is_a_function_of_epoch_document_and_position(masked_batches):
    objective = ReplacedTokens(toy(), HALF)

    def replaced(indices: list[int], epoch: int = 0) -> list[list[float]]:
        batch = whole_batch(masked_batches, indices, epoch)
        rows = objective.told(**objective.arranged(batch))[2]
        return [row.tolist() for row in rows.split(batch["attention_mask"].sum(1).tolist())]

    whole = replaced(list(range(24)))
    assert replaced([11, 4]) == [whole[11], whole[4]] and replaced(list(range(24)), 1) != whole


def test_the_token_as_written_is_real_when_drawn_and_never_drawn_where_that_is_not_allowed(masked_batches):
    batch, shares = whole_batch(masked_batches), {}
    for config in (HALF, replace(HALF, disallow_correct=True)):
        model = toy(config)
        model.generator.generator_predictions.LayerNorm.weight.data.zero_()
        model.generator.generator_lm_head.bias.data[7:] = -20  # seven tokens are left, all alike
        batch["labels"] = torch.where(batch["labels"] == IGNORE, IGNORE, 6)
        objective = ReplacedTokens(model, config)
        replaced = objective.told(**objective.arranged(batch))[2]
        shares[config.disallow_correct] = float(replaced.sum()) / objective.targets(batch)[0]
    assert shares[True] == 1 and 0 < shares[False] < 1


def test_at_full_width_both_models_begin_as_the_checkpoint(checkpoints, new_model, masked_batches):
    bert, batch = new_model(), whole_batch(masked_batches)
    model = open_electra(checkpoints["bert"], 0, RtdConfig(generator_width=1.0)).eval()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    torch.testing.assert_close(model.generator(**inputs).logits, bert(**inputs).logits)
    found = model.discriminator.encoder(**inputs).last_hidden_state
    torch.testing.assert_close(found, bert.bert(**inputs).last_hidden_state)


def test_a_narrow_generator_has_the_embeddings_of_the_checkpoint_and_says_what_is_fresh(
    checkpoints, new_model, capsys
):
    bert = new_model()
    model = open_electra(checkpoints["bert"], 0, HALF)
    again, other = (open_electra(checkpoints["bert"], seed, HALF) for seed in (0, 1))
    assert torch.equal(model.generator.get_input_embeddings().weight, bert.get_input_embeddings().weight)
    assert torch.equal(model.generator.generator_lm_head.bias, bert.cls.predictions.bias)
    fresh = lambda electra: electra.generator.generator_predictions.dense.weight
    assert torch.equal(fresh(model), fresh(again)) and not torch.equal(fresh(model), fresh(other))
    assert not torch.equal(model.discriminator.head.dense.weight, other.discriminator.head.dense.weight)
    assert "has no generator: one of 2 layers x 8 is made" in capsys.readouterr().err


def shaken(model: Electra) -> Electra:
    """As after training: every weight is another one."""
    torch.manual_seed(3)
    for p in model.parameters():
        p.data += 0.1 * torch.randn_like(p)
    return model.eval()


@pytest.mark.parametrize("kind", ["electra", "bert"])
@pytest.mark.parametrize("sharing", ["embeddings", "disentangled", "none"])
def test_both_models_are_saved_apart_and_opened_again(checkpoints, tokenizer, masked_batches, tmp_path, kind, sharing):
    config = replace(HALF, sharing=sharing)
    model = shaken(open_electra(checkpoints["bert"], 0, config) if kind == "bert" else toy(config))
    batch = whole_batch(masked_batches)
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    save(model, tokenizer, tmp_path, "card")
    hidden = model.discriminator.encoder(**inputs).last_hidden_state
    torch.testing.assert_close(AutoModel.from_pretrained(tmp_path)(**inputs).last_hidden_state, hidden)
    words = AutoModelForMaskedLM.from_pretrained(tmp_path / "generator")(**inputs).logits
    torch.testing.assert_close(words, model.generator(**inputs).logits)
    for folder in (tmp_path, tmp_path / "generator"):
        assert AutoTokenizer.from_pretrained(folder).get_vocab() == tokenizer.get_vocab()
        pointers = [x.data_ptr() for x in load_file(folder / "model.safetensors").values()]
        assert len(set(pointers)) == len(pointers)
    again = open_electra(tmp_path, 9, config).eval()
    torch.testing.assert_close(again.discriminator.head(hidden), model.discriminator.head(hidden))
    torch.testing.assert_close(again.discriminator.encoder(**inputs).last_hidden_state, hidden)
    torch.testing.assert_close(again.generator(**inputs).logits, model.generator(**inputs).logits)
    load_classifier(tmp_path, ["a", "b"], 0)


@pytest.mark.parametrize("learns", ["replace_mlm", "all_tokens_mlm"])
def test_words_begin_with_the_head_of_the_checkpoint_and_are_saved_with_it(
    checkpoints, new_model, tokenizer, masked_batches, tmp_path, learns
):
    config = replace(HALF, learns=learns, weight=1.0)
    model, bert = open_electra(checkpoints["bert"], 0, config), new_model()
    assert torch.equal(model.discriminator.head.transform.dense.weight, bert.cls.predictions.transform.dense.weight)
    assert torch.equal(model.discriminator.head.bias, bert.cls.predictions.bias)
    save(shaken(model), tokenizer, tmp_path, "card")
    again = open_electra(tmp_path, 1, config)
    kept = zip(again.parameters(), model.parameters(), strict=True)
    assert all(torch.equal(p, q) for p, q in kept)
    detecting = open_electra(tmp_path, 1, HALF)  # another head than the one that is there: a fresh one
    assert detecting.discriminator.head.dense_prediction.out_features == 1
    with torch.no_grad():
        found = measure(ReplacedTokens(again.eval(), config), masked_batches)
    assert found["loss"] == pytest.approx(found["generator_loss"] + found["words_loss"])


def test_an_ernie_begins_both_models_as_a_bert_does(tokenizer, masked_batches, tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    ernie = ErnieForMaskedLM(ErnieConfig(vocab_size=64, max_position_embeddings=32, **sizes)).eval()
    save(ernie, tokenizer, tmp_path / "ernie", "card")
    full, batch = RtdConfig(generator_width=1.0), whole_batch(masked_batches)
    model = open_electra(tmp_path / "ernie", 0, full).eval()
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    torch.testing.assert_close(model.generator(**inputs).logits, ernie(**inputs).logits)
    objective = ReplacedTokens(model, full).eval()
    torch.testing.assert_close(objective(**objective.arranged(batch)), by_hand(model, batch, full))
    save(model, tokenizer, tmp_path / "dapt", "card")
    assert AutoModel.from_pretrained(tmp_path / "dapt").config.model_type == "ernie"


def test_an_electra_keeps_its_head(tokenizer, tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "embedding_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    electra = ElectraForPreTraining(
        ElectraConfig(vocab_size=64, intermediate_size=32, max_position_embeddings=32, **sizes)
    )
    electra.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = open_electra(tmp_path, 0, HALF)
    assert torch.equal(model.discriminator.head.dense.weight, electra.discriminator_predictions.dense.weight)
    assert model.generator.config.embedding_size == 8 and model.generator.config.hidden_size == 8


def test_a_generator_of_other_embeddings_is_refused_where_they_are_shared(tokenizer, tmp_path):
    save(toy(), tokenizer, tmp_path, "card")
    new_electra(ModelSize(8, 1, 2, 32), 64, 0, 0, RtdConfig()).generator.save_pretrained(tmp_path / "generator")
    with pytest.raises(InputError, match=r"embeddings are .*\(64, 8\).* set rtd.sharing = none"):
        open_electra(tmp_path, 0, HALF)
    apart = replace(HALF, sharing="none")
    assert open_electra(tmp_path, 0, apart).generator.config.embedding_size == 8


def test_what_cannot_be_is_refused(checkpoints):
    with pytest.raises(InputError, match="roberta is of the kind roberta: set objective = mlm"):
        open_electra(checkpoints["roberta"], 0, HALF)
    with pytest.raises(InputError, match=r"rtd.generator_layers = 3, but the discriminator has 2: lower it"):
        open_electra(checkpoints["bert"], 0, RtdConfig(generator_layers=3))
    with pytest.raises(ValueError, match="set objective = rtd, or drop them"):
        ObjectiveConfig("mlm", rtd=HALF)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"generator_width": 0.0}, "generator_width = 0.0 must be above 0"),
        ({"generator_width": 1.5}, "at most 1"),
        ({"generator_layers": -1}, "0 or more"),
        ({"train_generator": False}, "sharing = embeddings would train it: set sharing = none"),
        ({"weight": 0.0}, "without detection, set objective = mlm"),
        ({"learns": "detection_masked", "disallow_correct": True}, "nothing to tell"),
    ],
)
def test_settings_without_a_meaning_are_refused(settings, why):
    with pytest.raises(ValueError, match=why):
        RtdConfig(**settings)


def test_the_area_is_that_under_the_roc_curve():
    draw = np.random.default_rng(0)
    truth, score = draw.random(300) < 0.2, draw.integers(0, 10, 300)
    counts = [np.bincount(score[truth == kind], minlength=10) for kind in (False, True)]
    assert area(*counts) == pytest.approx(100 * roc_auc_score(truth, score)) and area(counts[0], 0 * counts[1]) == 50


def test_what_is_measured_is_what_the_models_do(masked_batches):
    objective, batch = ReplacedTokens(toy().eval(), HALF), whole_batch(masked_batches)
    with torch.no_grad():
        found = measure(objective, masked_batches)
        lost, said, replaced = objective.told(**objective.arranged(batch))
    masked, told = objective.targets(batch)
    flagged, fake = said > 0, replaced == 1
    hits = float((flagged & fake).sum())
    assert found["generator_loss"] == pytest.approx(float(lost) / masked, rel=1e-4)
    assert found["loss"] == pytest.approx(found["generator_loss"] + 50 * found["detection_loss"])
    assert found["fake_rate"] == pytest.approx(100 * float(fake.float().mean()))
    assert found["generator_accuracy"] == pytest.approx(100 * (1 - float(fake.sum()) / masked))
    assert found["precision"] == pytest.approx(100 * hits / max(int(flagged.sum()), 1))
    assert found["recall"] == pytest.approx(100 * hits / float(fake.sum()))
    assert found["auc"] == pytest.approx(100 * roc_auc_score(fake, said), abs=1) and len(said) == told


def regular(sequences) -> object:
    """Each token is followed by the next one of the vocabulary: what does not fit can be known."""
    rows = [np.r_[2, 6 + (i + np.arange(n - 2)) % 36, 3] for i, n in enumerate(np.diff(sequences.offsets))]
    ids = np.concatenate(rows).astype(np.int32)
    return replace(sequences, input_ids=ids, word_ids=np.where(np.isin(ids, (2, 3)), -1, np.arange(len(ids))))


def test_what_does_not_fit_is_learned(sequences, tokenizer, tmp_path):
    config, text = ObjectiveConfig("rtd", HALF), regular(sequences)
    trainer = TrainerConfig(steps=200, batch_size=24, learning_rate=1e-2, evaluations=1)
    model = config.method.new(SIZE, 64, 0, 0)
    masked = Text(text, text, MaskingConfig("random", 0.3))
    found = learn(model, tokenizer, masked, trainer, tmp_path, "toy", config.method)
    assert found["dev_auc"] > 70 and found["dev_loss"] < found["dev_loss_before"]
    assert 0 < found["dev_fake_rate"] < 15 and found["dev_generator_loss"] < np.log(46)
