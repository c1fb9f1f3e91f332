"""How well a base knows a text: the loss of the model itself, with the error of a sample."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.batches import IGNORE, MaskedBatches
from pipeline.diagnosis import known, masked_losses, mean_and_error, sequences_from
from pipeline.masking.replacement import Vocabulary
from pipeline.objectives.yardstick import FIXED_MASKS
from pipeline.tokens import replaceable_ids, sequence_rows

TEXTS = ["这家店的菜很好吃", "味道太差", "the film is good , the film is bad", "我们爱吃", "服务很好。"]


@pytest.fixture
def rows(tokenizer) -> list[dict[str, object]]:
    """The third text is two sequences."""
    batch = {"id": list("abcde"), "text": TEXTS, "text_pair": [None] * 5}
    spans = lambda text: np.array([[i, i + 1] for i, char in enumerate(text) if char != " "])
    return list(sequence_rows(batch, tokenizer, spans, 10))


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_losses_of_sequences_are_those_of_the_plain_model(new_model, tokenizer, rows, kind):
    model, sequences = new_model(kind).eval(), sequences_from(rows)
    sums, counts = masked_losses(model, tokenizer, sequences)
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
    batches = MaskedBatches(sequences, FIXED_MASKS, vocabulary, tokenizer.pad_token_id)
    for i in range(len(rows)):
        batch = batches.batch(np.array([i]), np.array([0]))
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = model(**batch).logits
        wanted = cross_entropy(logits[0], labels[0], ignore_index=IGNORE, reduction="sum")
        assert sums[i] == pytest.approx(float(wanted), rel=1e-4) and counts[i] == int((labels != IGNORE).sum())


def test_the_error_is_that_of_another_sample():
    """Simulated: its 95 % interval holds the true mean in about 95 % of samples."""
    draw, held = np.random.default_rng(0), 0
    for _ in range(400):
        counts = draw.integers(1, 9, 150)
        sums = counts * (3 + draw.normal(0, 1, 150)) + draw.normal(0, 1, 150) * counts**0.5
        mean, error = mean_and_error(sums, counts)
        held += abs(mean - 3) < 1.96 * error
    assert 0.91 < held / 400 < 0.98


def test_facts_about_text_are_those_of_its_documents(new_model, tokenizer, rows):
    found = known(new_model().eval(), tokenizer, rows)
    assert found.cut == 1 / 5 and found.blind == pytest.approx(np.log(len(tokenizer)))
    ids = [i for row in rows for i in row["input_ids"].tolist() if i not in (2, 3)]
    assert found.unknown == ids.count(tokenizer.unk_token_id) / len(ids) > 0
    assert found.tokens_per_word >= 1 and len(found.means) <= len(rows)
    sums, counts = masked_losses(new_model().eval(), tokenizer, sequences_from(rows))
    assert found.loss == pytest.approx(sums.sum() / counts.sum())
