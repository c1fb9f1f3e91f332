"""New words find their place first: only what has a row for every entry learns for a while."""

import pytest
import torch

from pipeline.masking.config import MaskingConfig
from pipeline.pretraining import Text, learn
from pipeline.training.config import TrainerConfig
from pipeline.training.thawing import embeddings_first
from pipeline.vocabulary.extending import vocabulary_weights

CONFIG = TrainerConfig(steps=8, batch_size=8, per_device_batch_size=8, learning_rate=1e-2, evaluations=0)
MASKING = MaskingConfig(policy="whole_word", mask_rate=0.3)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_only_embeddings_and_output_learn_at_first(new_model, kind):
    model = new_model(kind)
    thawing, warm = embeddings_first(model, 0.5), set(vocabulary_weights(model))
    for elapsed, frozen in ((0.0, True), (0.49, True), (0.5, False), (0.9, False)):
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        thawing.begin(0, elapsed)
        thawing.after_backward()
        assert all((p.grad is None) == (frozen and p not in warm) for p in model.parameters())


@pytest.mark.parametrize(("share", "learned"), [(0.99, False), (0.5, True)])
def test_layers_stay_as_they_were_for_that_share_of_the_pretraining(
    new_model, tokenizer, sequences, tmp_path, share, learned
):
    model, before = new_model(), dict(new_model().named_parameters())
    learn(model, tokenizer, Text(sequences, None, MASKING), CONFIG, tmp_path, "toy", warm_embeddings=share)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    rows = {name for name, p in model.named_parameters() if any(p is weight for weight in vocabulary_weights(model))}
    assert len(rows) == 2 and rows <= moved and (moved > rows) == learned
