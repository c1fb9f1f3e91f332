"""A document is the mean of its tokens, whatever is read beside it and however long it is."""

import numpy as np
import pytest
import torch
from conftest import TEXTS

from pipeline.encoding import DocumentEncoder
from pipeline.models import load_encoder, load_tokenizer

LONG = " ".join(["the film is good and a bad play"] * 4)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_a_vector_is_the_mean_of_a_text_read_alone(checkpoints, kind):
    documents = {"text": [*TEXTS, ""], "text_pair": [*[None] * 5, "味道太差", None]}
    found = DocumentEncoder(checkpoints[kind], 30).vectors(documents)
    tokenizer, model = load_tokenizer(checkpoints[kind]), load_encoder(checkpoints[kind]).eval()
    for text, pair, vector in zip(*documents.values(), found, strict=True):
        inputs = tokenizer(text if pair is None else f"{text}\n{pair}", return_tensors="pt")
        with torch.no_grad():
            wanted = model(inputs["input_ids"]).last_hidden_state[0].mean(0)
        np.testing.assert_allclose(vector, wanted, atol=1e-5)


def test_a_long_text_is_read_to_its_end(checkpoints):
    encoder = DocumentEncoder(checkpoints["bert"], 12)
    [whole] = encoder.vectors({"text": [LONG], "text_pair": [None]})
    words = LONG.split()
    parts = [" ".join(words[i : i + 10]) for i in range(0, len(words), 10)]  # every word of it is one token
    vectors = encoder.vectors({"text": parts, "text_pair": [None] * len(parts)})
    np.testing.assert_allclose(whole, np.average(vectors, 0, [len(part.split()) + 2 for part in parts]), atol=1e-5)
