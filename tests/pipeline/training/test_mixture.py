"""Cards in the proportions that were asked for: exactly, in any batches, each in its own order."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batches import MaskedBatches
from pipeline.draws import visited
from pipeline.run.errors import InputError
from pipeline.training.mixture import Mixture, card_of, runs_of, weights_of
from pipeline.training.replay import Replay

CARDS = "aaaaabbaaaaaaaccccbbbbcc"  # of the 24 toy sequences: 12, 6 and 6, not each of a piece
WEIGHTS = {"a": 1.0, "b": 5.0, "c": 2.0}


def of_cards(batches: MaskedBatches, cards: str = CARDS) -> MaskedBatches:
    ids = np.array([f"{card}-{number:x}#{number}" for number, card in enumerate(cards)], dtype="S")
    return MaskedBatches(replace(batches.sequences, id=ids), batches.masking, batches.vocabulary, 0)


@pytest.fixture(scope="module")
def mixture(masked_batches) -> Mixture:
    return Mixture(of_cards(masked_batches), WEIGHTS)


def read(batches, count: int, seed: int = 0) -> list[tuple[int, int]]:
    return list(zip(*(column.tolist() for column in batches.at(seed, np.arange(count))), strict=True))


def test_every_beginning_of_a_training_holds_the_shares_to_within_a_sequence_a_card(mixture):
    cards, seen = [CARDS[index] for index, _ in read(mixture, 2000)], Counter()
    for count, card in enumerate(cards, start=1):
        seen[card] += 1
        for name, weight in WEIGHTS.items():
            assert abs(seen[name] - count * weight / 8) < len(WEIGHTS)
    assert Counter(cards) == {"a": 250, "b": 1250, "c": 500}


def test_each_card_comes_in_its_own_order_epoch_after_epoch(mixture):
    everything = read(mixture, 500, seed=7)
    for card in WEIGHTS:
        places = [place for place, of in enumerate(CARDS) if of == card]
        own = [pair for pair in everything if CARDS[pair[0]] == card]
        numbers, epochs = visited(7, np.arange(len(own)), len(places))
        assert own == [(places[number], epoch) for number, epoch in zip(numbers, epochs.tolist(), strict=True)]


@pytest.mark.parametrize("batch_size", [1, 3, 40])
def test_what_is_read_does_not_depend_on_the_batch_size(mixture, batch_size):
    steps = [mixture.visits(0, step, batch_size)[0] for step in range(120 // batch_size)]
    assert np.concatenate(steps).tolist() == [index for index, _ in read(mixture, 120)]


def test_a_pass_reads_every_sequence_and_the_mean_one_is_that_of_the_mixture(mixture):
    indices = [index for index, _ in read(mixture, len(mixture))]
    assert set(indices) == set(range(24))
    many = mixture.at(0, np.arange(2400))[0]
    assert mixture.tokens / len(mixture) == pytest.approx(mixture.lengths(many).mean(), rel=0.01)


def test_general_text_is_replayed_among_a_mixture(mixture, general):
    both = read(Replay(mixture, general, 0.25), 400, seed=3)
    assert [pair for pair in both if pair[0] < 24] == read(mixture, 300, seed=3)
    assert [(index - 24, epoch) for index, epoch in both if index >= 24] == read(general, 100, seed=3)


@given(st.text("ab", min_size=1, max_size=30))
def test_the_sequences_of_a_card_are_found_wherever_they_stand(cards):
    ids = np.array([f"{card}-{number}" for number, card in enumerate(cards)], dtype="S")
    found = {card: runs[np.arange(len(runs))].tolist() for card, runs in runs_of(ids).items()}
    assert found == {card: [i for i, of in enumerate(cards) if of == card] for card in cards}


def test_ids_of_documents_pieces_and_sequences_say_their_card():
    assert [card_of(id) for id in ("my-set-0a1b", b"zh_wiki-77#3", "books-9f@2#1")] == ["my-set", "zh_wiki", "books"]


def test_a_card_without_a_weight_and_a_weight_without_a_card_are_refused(masked_batches):
    with pytest.raises(InputError, match="mixture names a, d, and the corpus is of a, b, c"):
        Mixture(of_cards(masked_batches), {"a": 1.0, "d": 1.0})


@pytest.mark.parametrize("asked", ["a", "a=", "=1", "a=0", "a=-1", "a=nan", "a=inf"])
def test_a_weight_that_is_none_is_refused(asked):
    with pytest.raises(ValueError, match="write each card once, with a weight above 0"):
        weights_of([asked])
    assert weights_of(["a=3", "b=.5"]) == {"a": 3.0, "b": 0.5}
