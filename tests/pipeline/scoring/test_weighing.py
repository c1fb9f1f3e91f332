"""What words of sequences weigh, by whatever weighs them."""

import re

import numpy as np
import pytest
from conftest import TEXTS

from pipeline.masking.config import IMPORTANT
from pipeline.run.errors import InputError
from pipeline.scoring.scorers import random
from pipeline.scoring.weighing import Cutter, alike, by_scorer, of, scale_of
from pipeline.tokens import Frame

BATCH = {"id": [f"d{i}" for i in range(6)], "text": TEXTS, "text_pair": ["我们爱吃", *[None] * 4, "is good"]}


@pytest.fixture
def cut(tokenizer) -> Cutter:
    return Cutter(tokenizer, lambda text: np.array([m.span() for m in re.finditer(r"[a-z]+|\S", text)]), max_length=8)


def test_a_token_is_of_the_word_with_its_number_in_long_documents_and_pairs_too(cut):
    sequences, words = cut(BATCH)
    assert len(sequences) > len(TEXTS) and words["d5"] == [*"我们爱吃", "is", "good"]
    for row in sequences:
        for word in set(row["word_ids"].tolist()) - {-1}:
            ids = row["input_ids"][row["word_ids"] == word]
            assert cut.tokenizer.decode(ids).replace(" ", "") == of(words, row["id"])[word]


def test_a_scorer_calls_the_top_share_of_the_words_important(cut):
    frame = Frame.of(cut.tokenizer)
    scale = scale_of(random, [cut(BATCH)], frame, share=0.25, scorer="random")
    found = by_scorer(random, scale, frame)(*cut(BATCH))
    inside = np.concatenate([row[weights > 0] for row, weights in zip(found, alike(*cut(BATCH)), strict=True)])
    outside = np.concatenate([row[weights == 0] for row, weights in zip(found, alike(*cut(BATCH)), strict=True)])
    assert 0.15 < (inside >= IMPORTANT).mean() < 0.35 and inside.min() > 0 and not outside.any()


def test_a_scorer_to_which_all_words_are_alike_is_refused(cut):
    same = lambda documents: [np.ones(len(one.words), dtype=np.float32) for one in documents]
    refusal = r"scorer = random gives 100% of the words its highest score: raise masked\.important_share above that"
    with pytest.raises(InputError, match=refusal):
        scale_of(same, [cut(BATCH)], Frame.of(cut.tokenizer), share=0.15, scorer="random")
