"""The model itself, asked for every word once: against the same asked plainly."""

import numpy as np
import pytest
import torch
from scoring_toys import document, random_documents

from pipeline.scoring import language
from pipeline.scoring.documents import Document
from pipeline.scoring.keyword import keyword
from pipeline.scoring.language import ROUNDS, LanguageModel, entropy, excess_loss, loss

FAMILIES = {"bert": "wordpiece", "roberta": "byte-level trimmed", "modernbert": "byte-level"}


@pytest.fixture(params=FAMILIES)
def model(request, new_model, families) -> LanguageModel:
    return LanguageModel(new_model(request.param), families[FAMILIES[request.param]])


@pytest.fixture
def other(request, model, new_model) -> LanguageModel:
    return LanguageModel(new_model(model.objective.model.config.model_type, seed=1), model_tokenizer(model))


def model_tokenizer(model: LanguageModel):
    """What a LanguageModel asks of its tokenizer, taken from another one."""

    class Same:
        pad_token_id, mask_token_id = model.pad_id, model.mask_id

        def __call__(self, text, pair=None, add_special_tokens=True):
            frame = model.frame
            middle = [7, *frame.between, 7] if pair else [7]
            return {"input_ids": [*frame.before, *middle, *frame.after] if add_special_tokens else [7]}

    return Same()


@torch.no_grad()
def logs_plainly(model: LanguageModel, one: Document, place: int) -> torch.Tensor:
    """Log-probabilities at a token, its word masked and those of the same rest; one text, the whole model."""
    masked = (one.word_ids >= 0) & (one.word_ids % ROUNDS == one.word_ids[place] % ROUNDS)
    ids = [*model.frame.before, *np.where(masked, model.mask_id, one.ids).tolist(), *model.frame.after]
    return model.objective.model(torch.tensor([ids])).logits[0, len(model.frame.before) + place].log_softmax(-1)


def plainly(model: LanguageModel, one: Document, measure) -> list[float]:
    """The highest value among the tokens of each word, 0 where it has none."""
    best = []
    for word in range(len(one.words)):
        places = np.flatnonzero(one.word_ids == word)
        best.append(max((measure(logs_plainly(model, one, i), one.ids[i]) for i in places), default=0.0))
    return best


def test_entropy_and_loss_are_those_of_the_masked_word(model):
    documents = random_documents(8)
    unsure, wrong = entropy(model, documents), loss(model, documents)
    for one, found, lost in zip(documents, unsure, wrong, strict=True):
        assert found.dtype == lost.dtype == np.float32
        wanted = plainly(model, one, lambda logs, _: float(-(logs.exp() * logs).sum()))
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        np.testing.assert_allclose(lost, plainly(model, one, lambda logs, true: float(-logs[true])), atol=1e-4)


def test_excess_loss_is_what_the_reference_knows_better(model, other):
    documents = random_documents(8)
    single = [document(one.ids[:1], [0], name=one.id) for one in documents]  # a token a word: no best of several
    gaps = zip(loss(model, single), loss(other, single), excess_loss(model, other, single), strict=True)
    for own, others, found in gaps:
        np.testing.assert_allclose(found, own - others, atol=1e-5)
    assert all(np.abs(x).max(initial=0) == 0 for x in excess_loss(model, model, documents))


def test_every_word_is_masked_once_and_a_seventh_at_a_time(new_model, tokenizer):
    model = LanguageModel(new_model("bert"), tokenizer)
    one = document(list(range(10, 38)), [i // 2 for i in range(28)])
    _, batches = model._rounds([one])
    masked = [np.array(row) == model.mask_id for row in batches.input_ids]
    assert len(masked) == ROUNDS and np.sum(masked, axis=0)[1:-1].tolist() == [1] * 28
    assert {int(row.sum()) for row in masked} == {4}


def test_answers_do_not_depend_on_what_is_asked_together(model, monkeypatch):
    documents = random_documents(8)
    together = loss(model, documents)
    monkeypatch.setattr(language, "LOGITS_AT_ONCE", 1)
    for found, wanted in zip(loss(model, documents), together, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("score", [entropy, loss, keyword])
def test_of_no_words_there_is_nothing_to_ask(model, score):
    assert score(model, []) == []
    assert [x.tolist() for x in score(model, [document([], []), document([1], [-1])])] == [[], []]


def test_a_keyword_points_where_its_document_points(model):
    encoder = model.objective.model.base_model
    for one, found in zip(documents := random_documents(6), keyword(model, documents), strict=True):
        ids = torch.tensor([[*model.frame.before, *one.ids.tolist(), *model.frame.after]])
        with torch.no_grad():
            states = encoder(ids).last_hidden_state[0, len(model.frame.before) :][: len(one.ids)].numpy()
        whole = states.mean(0) / np.linalg.norm(states.mean(0))
        for word in one.known:
            mean = states[one.word_ids == word].mean(0)
            assert found[word] == pytest.approx(mean @ whole / np.linalg.norm(mean), abs=1e-4)
