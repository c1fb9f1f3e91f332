"""The table: every name makes a scorer, or is refused with what it lacks."""

from typing import get_args

import numpy as np
import pytest
from scoring_toys import classifier_of, random_documents

from pipeline.finetuning.classes import Classes
from pipeline.finetuning.classifier import ModelConfig, save_task
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.models import save
from pipeline.run.errors import InputError
from pipeline.scoring.scorers import MODELS, REMEDIES, SCORERS, Scorer, make_scorer, random


@pytest.fixture(scope="module")
def models(tmp_path_factory, checkpoints, new_model, tokenizer):
    folder = tmp_path_factory.mktemp("models")
    save(classifier_of(checkpoints["bert"]), tokenizer, folder / "classifier", "")
    save_task(folder / "classifier", Classes(("a", "b", "c")), ModelConfig(32, InputConfig(), HeadConfig()))
    save(new_model("bert", seed=1), tokenizer, folder / "reference", "")
    return {"classifier": folder / "classifier", "base": checkpoints["bert"], "reference": folder / "reference"}


@pytest.fixture
def texts():
    words = [one.words for one in random_documents(30)]
    return {"task": list(zip(words, "ab" * 15, strict=True)), "domain": words, "general": words[:10]}


def test_the_names_of_a_recipe_are_those_of_the_table():
    assert set(get_args(Scorer)) == set(SCORERS)
    assert {need for recipe in SCORERS.values() for need in recipe.needs} == set(REMEDIES)


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_says_of_every_word_how_important_it_is(name, tokenizer, models, texts):
    documents = random_documents(12)
    score = make_scorer(name, tokenizer, models, texts)
    for one, found in zip(documents, again := score(documents), strict=True):
        assert found.shape == (len(one.words),) and found.dtype == np.float32 and np.isfinite(found).all()
    assert all((x == y).all() for x, y in zip(again, score(documents), strict=True))


@pytest.mark.parametrize(("name", "need"), [(name, need) for name, r in SCORERS.items() for need in r.needs])
def test_a_scorer_that_lacks_something_says_what(name, need, tokenizer, models, texts):
    have = {**models, **texts, need: None}
    with pytest.raises(InputError) as told:
        make_scorer(name, tokenizer, {m: have[m] for m in MODELS}, {t: have[t] for t in texts})
    assert str(told.value) == f"scorer = {name} needs {REMEDIES[need]}"


def test_what_a_scorer_does_not_need_may_be_missing(tokenizer):
    assert make_scorer("random", tokenizer, {}, {}) is random


def test_a_model_with_another_tokenizer_is_refused(tokenizer, checkpoints):
    with pytest.raises(InputError, match=r"the base in .* has another tokenizer than the text"):
        make_scorer("loss", tokenizer, {"base": checkpoints["roberta"]}, {})


def test_random_importances_are_a_function_of_document_and_place():
    documents = random_documents(5)
    alone = [random([one])[0] for one in documents]
    assert all((x == y).all() for x, y in zip(random(documents[::-1])[::-1], alone, strict=True))
    assert len(np.unique(np.concatenate(alone))) > 0.9 * sum(map(len, alone))
