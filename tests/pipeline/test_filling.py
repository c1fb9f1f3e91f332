"""A word is hidden whole, and what is most probable there is what a search of everything finds."""

from itertools import product

import numpy as np
import pytest
import torch
from conftest import WORDS

from pipeline.filling import fillings, holes, most_probable


def row(words: list[int], importance: list[int], masked: list[int]) -> dict[str, object]:
    ids = list(range(10, 10 + len(words)))
    return {"id": "x", "input_ids": ids, "word_ids": words, "importance": importance, "masked": [*map(bool, masked)]}


def test_the_most_important_word_that_a_training_hides_is_hidden_whole(tokenizer):
    [hole] = holes([row([-1, 0, 0, 1, 2, 2, -1], [0, 9, 9, 200, 50, 50, 0], [0, 1, 1, 0, 1, 1, 0])], tokenizer, 3)
    assert hole.places.tolist() == [4, 5]


def test_of_words_alike_one_that_the_vocabulary_knows_is_hidden(tokenizer):
    ids = [WORDS.index(token) for token in ("a", "un", "##able", "film", "bad")]
    alike = {"id": "x", "input_ids": ids, "word_ids": [0, 1, 1, 2, 3], "importance": [1] * 5, "masked": [True] * 5}
    [hole] = holes([alike], tokenizer, 1)
    assert hole.around(tokenizer)[1] == "film"


def test_a_sequence_that_hides_nothing_is_passed_over_and_no_more_are_read_than_asked_for(tokenizer):
    rows = iter([row([-1, 0], [0, 9], [0, 0]), row([-1, 0], [0, 9], [0, 1]), row([-1, 0], [0, 9], [0, 1])])
    assert len(holes(rows, tokenizer, 1)) == 1 and len(list(rows)) == 1


def test_the_best_words_are_those_a_search_of_all_finds():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7), size=3)
    every = sorted((-float(np.prod([p[i] for p, i in zip(probabilities, ids, strict=True)])), ids)
                   for ids in product(range(7), repeat=3))  # fmt: skip
    found = most_probable(probabilities, 5)
    assert [ids for ids, _ in found] == [ids for _, ids in every[:5]]
    assert [p for _, p in found] == pytest.approx([-p for p, _ in every[:5]])


class Sure(torch.nn.Module):
    """Puts 好 wherever it sees the mask token, and what stands there elsewhere."""

    def forward(self, input_ids, attention_mask):
        mask, good = WORDS.index("[MASK]"), WORDS.index("好")
        said = torch.where(input_ids == mask, good, input_ids)
        return type("Output", (), {"logits": 20.0 * torch.nn.functional.one_hot(said, len(WORDS)).float()})()


def test_a_model_sees_the_mask_and_not_what_stands_there(tokenizer):
    ids = [WORDS.index(c) for c in ("[CLS]", "菜", "很", "好", "吃", "[SEP]")]
    rows = [{"id": str(word), "input_ids": ids, "word_ids": [-1, 0, 1, 2, 3, -1], "importance": [0, 9, 9, 9, 9, 0],
             "masked": [place == word for place in range(6)]} for word in (3, 4)]  # fmt: skip
    right, wrong = fillings(Sure(), tokenizer, holes(rows, tokenizer, 2), 2)
    assert right.best[0][0] == wrong.best[0][0] == "好" and right.written > 0.99 and wrong.written < 0.01
    assert holes(rows, tokenizer, 1)[0].around(tokenizer) == ("菜很", "好", "吃")
