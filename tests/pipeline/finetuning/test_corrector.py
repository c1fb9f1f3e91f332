"""The model of spelling correction: its loss by the formula, its answers, learning, saving, long texts."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from spelling_toys import misspelt, read, reader, toy_corrector, toy_pairs
from transformers import AutoModelForMaskedLM

from pipeline.batches import IGNORE, targets_in
from pipeline.finetuning.characters import Characters
from pipeline.finetuning.classifier import ModelConfig, encoder_of, head_of, new_model, open_model, save_task
from pipeline.finetuning.corrector import Correcting, asked
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.finetuning.spelling import BEST, LIKELY, WRONG, Spelling
from pipeline.finetuning.split import Split
from pipeline.models import load_masked_lm, load_tokenizer, save
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

TASK = Spelling(("wrong",))
LEARN = TrainerConfig(steps=250, batch_size=16, learning_rate=1e-2, adam_betas=(0.9, 0.999))


def by_hand(model, batch, correction, detection, gamma, alpha) -> float:
    """One place at a time, from the logits of the whole vocabulary."""
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    logits = model.mlm(**inputs).logits.double()
    states = model.encoder(**inputs, output_hidden_states=True)
    wrong = model.head(states.hidden_states, states.last_hidden_state, batch["attention_mask"]).double()[..., 0]
    total = 0.0
    for row, column in (batch["labels"] != IGNORE).nonzero().tolist():
        label, read_ = int(batch["labels"][row, column]), int(batch["input_ids"][row, column])
        if label >= 0:
            total -= correction * float(logits[row, column].log_softmax(-1)[label])
        p = float(wrong[row, column].sigmoid())
        p, weight = (p, alpha) if label != read_ else (1 - p, 1 - alpha)
        total -= detection * weight * (1 - p) ** gamma * np.log(p)
    return total


@pytest.mark.parametrize(
    "weights", [(1.0, 0.5, 2.0, 0.75), (0.3, 0.7, 2.0, 0.25), (1.0, 0.0, 0.0, 0.5), (0.0, 5.0, 0.0, 0.9)]
)
@pytest.mark.parametrize("layers", ["last", "mix"])
def test_the_loss_is_that_of_its_formula(weights, layers):
    model = toy_corrector(layers=layers).eval()
    batch = read(["我差好a", "味龘，play菜", "不错"], ["我吃好a", "味道，play龘", "不错"]).batch(np.arange(3))
    loss = Correcting(model, *weights).eval()(**batch)
    attacked = Correcting(model, *weights, attacked=True).eval()(**batch)
    assert float(attacked.detach()) == pytest.approx(float(loss.detach()), rel=1e-5)
    assert float(loss.detach()) == pytest.approx(by_hand(model, batch, *weights), rel=1e-5)
    assert targets_in(batch["labels"]) == 3 + 1 + 4 + 2  # `a` and `play` are words, not places


def test_what_the_vocabulary_lacks_is_learned_to_be_wrong_and_no_more():
    model = toy_corrector().eval()
    batch = read(["我"], ["龘"]).batch(np.arange(1))
    loss = Correcting(model, 1.0, 0.0, 2.0, 0.75)(**batch)
    assert float(loss.detach()) == 0 and float(Correcting(model, 0.0, 1.0, 0.0, 0.0)(**batch).detach()) > 0


def test_every_weight_learns_and_nothing_is_learned_twice():
    model = toy_corrector(layers="mix")
    loss = Correcting(model, 1.0, 1.0, 2.0, 0.75)(**toy_pairs(8).batch(np.arange(8)))
    loss.backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None and "pooler" not in name]
    assert encoder_of(model) is model.mlm.base_model and head_of(model) == [model.head]


def test_answers_are_those_of_both_heads_at_every_place_whatever_the_batch():
    model, texts = toy_corrector().eval(), ["我们爱吃 a", "味道play", "龘"]
    batches, _ = Characters(reader()).read(texts)
    found = TASK.answers(model, batches).scores
    first = 0
    for text in texts:
        alone, _ = Characters(reader()).read([text])
        here = slice(first, first + len(text))
        np.testing.assert_allclose(TASK.answers(model, alone).scores, found[here], atol=1e-5)
        ids = torch.tensor([alone.input_ids[0]])
        logits = model.mlm(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.softmax(-1)[0]
        for column, place in zip(alone.windows[0].columns, alone.windows[0].places, strict=True):
            likely, best = logits[column].max(-1)
            code = int(alone.characters[best]) if best < len(alone.characters) else -1
            kept = code < 0 or int(best) == int(alone.input_ids[0][column])
            score = found[first + place]
            assert score[LIKELY] == pytest.approx(0 if kept else float(likely), abs=1e-5)
            assert chr(int(score[BEST])) == (text[place] if kept else chr(code))
        first += len(text)


def test_the_model_learns_to_correct_errors_that_only_their_neighbours_tell():
    model, dev = toy_corrector(), [misspelt(number) for number in range(1000, 1060)]
    train(Correcting(model, 1.0, 0.5, 2.0, 0.75), toy_pairs(120), LEARN, "toy")
    split = Split.of(dev, reader(), TASK)
    measured = split.measure(TASK, TASK.answers(model, split.batches))
    assert measured["character_detection_f1"] > 90 and measured["character_f1"] > 60  # by chance a third
    assert measured["false_alarms"] < 10


def test_a_long_text_is_answered_as_its_windows_are_by_hand():
    model = toy_corrector().eval()
    text = "".join(misspelt(number)["source"] for number in range(20))
    long, _ = Characters(reader(max_length=14, overlap=0.5)).read([text])
    found, first = TASK.answers(model, long).scores, 0
    assert len(long.windows) == -(-(len(text) - 12) // 6) + 1
    for number, window in enumerate(long.windows):
        piece = text[6 * number : 6 * number + 12]
        alone = TASK.answers(model, read([piece], max_length=14)).scores
        np.testing.assert_allclose(found[window.places], alone[window.places - 6 * number], atol=1e-5)
        assert window.places[0] == first
        first = window.places[-1] + 1
    assert first == len(text)


@pytest.mark.parametrize("layers", ["last", "mix"])
def test_both_heads_are_saved_and_the_folder_is_a_masked_language_model(checkpoints, tmp_path, layers):
    config = ModelConfig(30, InputConfig(), HeadConfig(layers=layers))
    model = new_model(checkpoints["bert"], TASK, config, seed=3).eval()
    task = replace(TASK, thresholds=(0.25, 0.75))
    save(model, load_tokenizer(checkpoints["bert"]), tmp_path, "card")
    save_task(tmp_path, task, config)
    again = open_model(tmp_path, task, config)
    batches = toy_pairs(6)
    for one, other in zip(asked(model, batches), asked(again, batches), strict=True):
        for left, right in zip(one, other, strict=True):
            np.testing.assert_array_equal(left, right)
    plain = AutoModelForMaskedLM.from_pretrained(tmp_path)
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, model.mlm.state_dict()[name]), name


def test_the_correction_is_the_heads_of_the_checkpoint_and_the_detection_the_seeds(checkpoints):
    config = ModelConfig(30, InputConfig(), HeadConfig())
    one, other = (new_model(checkpoints["bert"], TASK, config, seed) for seed in (1, 2))
    before = load_masked_lm(checkpoints["bert"]).state_dict()
    assert all(torch.equal(weight, before[name]) for name, weight in one.mlm.state_dict().items())
    assert not torch.equal(one.head.out.weight, other.head.out.weight)
    assert torch.equal(one.head.out.weight, new_model(checkpoints["bert"], TASK, config, 1).head.out.weight)


@pytest.mark.parametrize("kind", ["roberta", "modernbert"])
def test_other_architectures_have_both_heads_too(checkpoints, kind):
    model = new_model(checkpoints[kind], TASK, ModelConfig(30, InputConfig(), HeadConfig()), 0).eval()
    ids, places = torch.tensor([[2, 60, 61, 3]]), torch.tensor([[False, True, True, False]])
    hidden, wrong = model(places=places, input_ids=ids, attention_mask=torch.ones_like(ids))
    best, likely = model.best(hidden)
    logits = model.mlm(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 1:3]
    assert wrong.shape == (2,) and torch.equal(best, logits.argmax(-1))
    torch.testing.assert_close(likely, logits.softmax(-1).amax(-1))


def test_wrong_places_score_higher_than_right_ones_once_learned():
    model = toy_corrector()
    train(Correcting(model, 0.0, 1.0, 2.0, 0.75), toy_pairs(120), replace(LEARN, steps=80), "toy")
    rows = [misspelt(number) for number in range(2000, 2040)]
    split = Split.of(rows, reader(), TASK)
    wrong = split.truth != split.batches.written
    scores = TASK.answers(model, split.batches).scores[:, WRONG]
    assert scores[wrong].mean() > scores[~wrong].mean() + 0.4
