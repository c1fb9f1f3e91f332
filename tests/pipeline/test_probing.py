"""What is asked of a frozen encoder, against plain arithmetic and data whose answer is known."""

import numpy as np
import pytest
import torch
from conftest import TEXTS

from pipeline.batches import Sequences
from pipeline.draws import document_keys
from pipeline.encoding import mean_pooled
from pipeline.probing import Labelled, Probe, ProbeConfig, _found_again, _linear, _nearest, probe
from pipeline.run.errors import InputError

RNG = np.random.default_rng(3)


def ids_of(tokenizer) -> list[np.ndarray]:
    return [np.array(one) for one in tokenizer(TEXTS)["input_ids"]]


def test_a_vector_is_the_mean_of_a_texts_own_hidden_states(new_model, tokenizer):
    model, ids = new_model().eval(), ids_of(tokenizer)
    found = mean_pooled(model.base_model, ids, tokenizer.pad_token_id)
    for one, vector in zip(ids, found, strict=True):
        with torch.no_grad():
            alone = model.base_model(torch.from_numpy(one)[None]).last_hidden_state[0].mean(0)
        assert vector == pytest.approx(alone.numpy(), abs=1e-5)


def test_classes_apart_are_told_and_noise_is_not():
    labels = np.arange(60) % 3
    apart = np.eye(3, 8)[labels] * 4 + RNG.normal(0, 0.3, (60, 8))
    noise = RNG.normal(0, 1, (60, 8))
    for told in (_linear, lambda *some: _nearest(*some, shots=8)):
        assert (told(apart[:40], labels[:40], apart[40:]) == labels[40:]).all()
        assert (told(noise[:40], labels[:40], noise[40:]) == labels[40:]).mean() < 0.8


def test_of_each_class_so_many_rows_are_shown():
    train, labels = np.array([[1.0, 0], [0, 1], [0, 9], [0, 9]]), np.array([0, 1, 0, 0])
    assert _nearest(train, labels, np.array([[0.9, 0.1]]), shots=1).tolist() == [0]
    assert _nearest(train, labels, np.array([[0.1, 0.9]]), shots=1).tolist() == [1]


def test_a_half_finds_its_other_half_among_all():
    vectors = np.eye(4)
    assert _found_again(vectors, vectors * 3) == 100
    assert _found_again(vectors, np.roll(vectors, 1, axis=0)) == 0


def test_everything_is_asked_of_the_rows_with_the_smallest_keys_in_whatever_order(new_model, tokenizer):
    rows = [{"id": str(i), "text": text, "text_pair": None, "label": "ab"[i % 2]} for i, text in enumerate(TEXTS * 3)]
    ids = ids_of(tokenizer) * 8
    dev = Sequences(
        id=np.array([str(i).encode() for i in range(len(ids))]), offsets=np.cumsum([0, *map(len, ids)]),
        input_ids=np.concatenate(ids), word_ids=np.concatenate(ids), importance=np.concatenate(ids),
    )  # fmt: skip
    made = [
        probe(ProbeConfig(rows=9), {"train": some, "dev": some}.get, dev, tokenizer) for some in (rows, rows[::-1])
    ]
    found = [one(new_model()) for one in made]
    assert found[0] == found[1] and len(made[0].train.labels) == 9
    assert found[0].keys() == {"probe_accuracy", "probe_shots"} | ({"retrieval"} if made[0].halves[0] else set())


def test_without_classes_there_is_nothing_to_probe_but_retrieval():
    nothing = Labelled([], np.array([], dtype=int))
    assert Probe(nothing, nothing, ([], []), 8, 0)(torch.nn.Module()) == {}


@pytest.mark.parametrize(
    ("labels", "asked", "told"),
    [
        ("aaaa", 9, "have 1 of 1: set probe.rows = 0"),
        ("abcd", 1, "have 1 of 4: ask more of them"),
        (["a", "b", None, None], 2, "have 0 of 2: ask more of them"),
    ],
)
def test_rows_that_show_fewer_than_two_classes_are_refused(tokenizer, labels, asked, told):
    keys = np.argsort(document_keys([str(i) for i in range(4)]))  # the first labels stand where they are read last
    rows = [
        {"id": str(i), "text": "好吃", "text_pair": None, "label": labels[len(keys) - 1 - place]}
        for place, i in enumerate(keys)
    ]
    with pytest.raises(InputError, match=f"probe.rows = {asked} .* task train that it reads {told}"):
        probe(ProbeConfig(rows=asked), {"train": rows, "dev": rows}.get, None, tokenizer)


@pytest.mark.parametrize(
    ("given", "why"),
    [({"choose": "retrieval"}, "rows"), ({"patience": 2}, "choose"), ({"rows": -1}, "rows"), ({"shots": 0}, "shots")],
)
def test_settings_that_ask_nothing_are_refused(given, why):
    with pytest.raises(ValueError, match=why):
        ProbeConfig(**given)
