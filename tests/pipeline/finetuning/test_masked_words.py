"""A task beside masked words: one sum over the targets of the task."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from technique_toys import CONFIG, Technique, apart, toy_batches
from torch.nn.functional import cross_entropy as plain_cross_entropy
from transformers import AutoModelForSequenceClassification

from pipeline.batches import IGNORE, LabelledBatches
from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.masked_words import MaskedBeside, WithMaskedWords
from pipeline.masking.config import MaskingConfig
from pipeline.models import load_masked_lm
from pipeline.objectives.cross_entropy import summed_cross_entropy as cross_entropy

KINDS = ["bert", "roberta", "modernbert"]
MASKING = MaskingConfig(policy="random", mask_rate=0.3, seed=5)


@pytest.fixture
def beside(sequences, tokenizer):
    return lambda batches: MaskedBeside(batches, tokenizer, MASKING)


def classifier(place):
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(place, num_labels=3)
    for module in model.modules():
        module.p = 0.0 if hasattr(module, "p") else None
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_the_task_and_the_mean_of_each_sequence_s_masked_words(kind, checkpoints, families):
    family = {"bert": "wordpiece", "roberta": "byte-level trimmed", "modernbert": "byte-level"}[kind]
    tokenizer = families[family]
    model, mlm = classifier(checkpoints[kind]), load_masked_lm(checkpoints[kind])
    draw = np.random.default_rng(0)
    ids = [np.array([tokenizer.cls_token_id, *draw.integers(6, 40, n), tokenizer.sep_token_id]) for n in (3, 9, 14)]
    batches = MaskedBeside(LabelledBatches(ids, [0, 2, 1], tokenizer.pad_token_id), tokenizer, MASKING)
    batch = batches.batch(np.arange(3), np.zeros(3, dtype=int))
    wanted = cross_entropy(
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits, batch["labels"]
    )
    logits = load_masked_lm(checkpoints[kind])(
        input_ids=batch["masked_ids"], attention_mask=batch["attention_mask"]
    ).logits
    for row, labels in zip(logits, batch["masked_labels"], strict=True):
        wanted = wanted + 0.5 * plain_cross_entropy(row, labels, ignore_index=IGNORE)
    found = WithMaskedWords(Learning(model, cross_entropy), mlm, 0.5).train()(**batch)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_head_for_words_shares_the_embeddings_of_the_task_s_encoder(checkpoints):
    model, mlm = classifier(checkpoints["bert"]), load_masked_lm(checkpoints["bert"])
    objective = WithMaskedWords(Learning(model, cross_entropy), mlm, 0.5)
    decoders = [m for head in objective.heads for m in head.modules() if getattr(m, "out_features", 0) > 40]
    assert [decoder.weight is model.get_input_embeddings().weight for decoder in decoders] == [True]


def test_special_tokens_are_never_masked_and_others_are_anew_at_every_visit(beside, sequences):
    batches = beside(toy_batches(sequences))
    first, second, again = (batches.batch(np.arange(24), np.full(24, epoch)) for epoch in (0, 1, 0))
    masked = first["masked_labels"] != IGNORE
    assert torch.equal(first["masked_labels"], again["masked_labels"])
    assert not torch.equal(first["masked_labels"], second["masked_labels"])
    assert (first["masked_labels"][masked] == first["input_ids"][masked]).all()
    assert first["input_ids"][masked].min() > 3 and masked.sum() > 40


def make(checkpoints):
    def technique(model):
        return WithMaskedWords(Learning(model, cross_entropy), load_masked_lm(checkpoints["bert"]), 0.5), {}

    return technique


def toy(checkpoints):
    def model():
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(checkpoints["bert"], num_labels=3)
        for layer in model.bert.encoder.layer:
            layer.attention.self.dropout.p = 0.0  # over padded sequences torch draws
        return model

    return model


def test_what_is_learned_does_not_depend_on_splits_kills_processes_or_checkpointing(
    checkpoints, beside, sequences, tmp_path
):
    technique = Technique(make(checkpoints), toy(checkpoints), beside)
    batches = toy_batches(sequences)
    assert technique.holds_when_split(batches) < 1e-4
    again = technique.learn(batches, replace(CONFIG, gradient_checkpointing=True))
    assert apart(technique.learn(batches), again) < 1e-5
    assert technique.holds_when_killed(batches, tmp_path)
    assert technique.holds_for_two(batches, tmp_path) < 1e-4
