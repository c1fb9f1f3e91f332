"""However a batch is split, the same is learned."""

from dataclasses import replace

import pytest
import torch
from training_toys import CONFIG, learn, weights

from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.errors import InputError
from pipeline.training.trainer import train


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("held", [1, 3])
def test_what_is_learned_does_not_depend_on_how_a_batch_is_split(new_model, masked_batches, kind, held):
    """With dropout."""
    whole, _ = learn(new_model(kind), masked_batches)
    split, _ = learn(new_model(kind), masked_batches, replace(CONFIG, per_device_batch_size=held))
    torch.testing.assert_close(split, whole, rtol=0, atol=1e-5)


def test_dropout_is_another_one_at_every_step_and_micro_batch(new_model, masked_batches):
    seen = []

    class Watching(MaskedLM):
        def forward(self, **inputs):
            seen.append(torch.nn.functional.dropout(torch.ones(64)))
            return super().forward(**inputs)

    train(Watching(new_model()), masked_batches, replace(CONFIG, per_device_batch_size=4), "toy")
    assert len({mask.numpy().tobytes() for mask in seen}) == len(seen) == 16


def test_what_does_not_fit_into_memory_is_halved_and_the_same_is_learned(new_model, masked_batches, capsys):
    class Small(MaskedLM):
        """Holds three sequences."""

        def forward(self, **inputs):
            if len(inputs["layout"].lengths) > 3:
                raise torch.OutOfMemoryError
            return super().forward(**inputs)

    whole, _ = learn(new_model(dropout=0.0), masked_batches)
    model = new_model(dropout=0.0)
    train(Small(model), masked_batches, CONFIG, "toy")
    torch.testing.assert_close(weights(model), whole, rtol=0, atol=1e-6)
    said = capsys.readouterr().err
    assert said.count("out of memory") == 2 and "with 8 sequences: going on with 4" in said


def test_a_single_sequence_that_does_not_fit_is_an_error_that_says_what_to_do(new_model, masked_batches):
    class Tiny(MaskedLM):
        def forward(self, **inputs):
            raise torch.OutOfMemoryError

    with pytest.raises(InputError, match="out of memory with a single sequence: set gradient_checkpointing"):
        train(Tiny(new_model()), masked_batches, CONFIG, "toy")
