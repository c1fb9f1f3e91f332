"""A chain of tags against all the sequences there are."""

import math
from itertools import pairwise, product

import pytest
import torch

from pipeline.batches import IGNORE
from pipeline.finetuning.crf import Crf, at_words, log_partition, marginals, path_score, viterbi

TAGS = 3


def chain(seed: int, lengths: list[int]) -> tuple[torch.Tensor, ...]:
    """emissions [B, W, TAGS], inside [B, W], start, transitions, end."""
    draw = torch.Generator().manual_seed(seed)
    emissions = torch.randn(len(lengths), max(lengths), TAGS, generator=draw)
    inside = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    numbers = [torch.randn(size, generator=draw) for size in ((TAGS,), (TAGS, TAGS), (TAGS,))]
    return emissions, inside, *numbers


def all_scores(emissions, length, start, transitions, end) -> dict[tuple[int, ...], float]:
    """The score of each sequence of tags, by the formula."""
    return {
        tags: float(
            start[tags[0]]
            + sum(emissions[i, tag] for i, tag in enumerate(tags))
            + sum(transitions[a, b] for a, b in pairwise(tags))
            + end[tags[-1]]
        )
        for tags in product(range(TAGS), repeat=length)
    }


@pytest.mark.parametrize("seed", range(4))
def test_partition_marginals_and_the_best_path_are_those_over_all_sequences(seed):
    lengths = [5, 1, 3, 4]
    emissions, inside, *numbers = chain(seed, lengths)
    found = log_partition(emissions, inside, *numbers)
    shares, paths = marginals(emissions, inside, *numbers), viterbi(emissions, inside, *numbers)
    for row, length in enumerate(lengths):
        scores = all_scores(emissions[row], length, *numbers)
        total = torch.logsumexp(torch.tensor(list(scores.values())), 0)
        assert float(found[row]) == pytest.approx(float(total), abs=1e-5)
        assert tuple(paths[row, :length].tolist()) == max(scores, key=scores.get)
        for i, tag in product(range(length), range(TAGS)):
            wanted = sum(math.exp(s - float(total)) for tags, s in scores.items() if tags[i] == tag)
            assert float(shares[row, i, tag]) == pytest.approx(wanted, abs=1e-5)


def test_the_loss_is_that_of_the_words_alone_whatever_stands_between_them():
    emissions, inside, *numbers = chain(0, [4, 2])
    tags = torch.tensor([[0, 2, 1, 1], [2, 0, 0, 0]])
    crf = Crf(TAGS)
    for parameter, number in zip((crf.start, crf.transitions, crf.end), numbers, strict=True):
        parameter.data.copy_(number)
    spread, labels = torch.randn(3, 9, TAGS), torch.full((3, 9), IGNORE)  # the third row has no word
    for row, places in enumerate(([1, 2, 5, 7], [3, 8])):
        spread[row, places], labels[row, places] = emissions[row, : len(places)], tags[row, : len(places)]
    wanted = log_partition(emissions, inside, *numbers) - path_score(emissions, tags, inside, *numbers)
    torch.testing.assert_close(crf(spread, labels), wanted.sum())
    scores = all_scores(emissions[1], 2, *numbers)
    assert float(wanted[1]) == pytest.approx(-scores[2, 0] + math.log(sum(map(math.exp, scores.values()))), abs=1e-5)


def test_a_chain_without_transitions_is_a_softmax_a_word():
    logits, labels = torch.randn(2, 5, TAGS), torch.tensor([[0, 1, IGNORE, 2, 1], [IGNORE, 2, 2, IGNORE, IGNORE]])
    inside = labels != IGNORE
    wanted = -logits.log_softmax(-1)[inside].gather(1, labels[inside][:, None]).sum()
    torch.testing.assert_close(Crf(TAGS)(logits, labels), wanted)


def test_its_gradients_are_those_of_the_formula():
    """Of the emissions: P(tag) - 1 at the tag that is right."""
    emissions, inside, *numbers = chain(1, [5, 3])
    emissions.requires_grad_()
    tags = torch.tensor([[0, 1, 2, 1, 0], [2, 2, 0, 0, 0]])
    (log_partition(emissions, inside, *numbers) - path_score(emissions, tags, inside, *numbers)).sum().backward()
    right = torch.nn.functional.one_hot(tags, TAGS).float()
    wanted = (marginals(emissions.detach(), inside, *numbers) - right) * inside[..., None]
    torch.testing.assert_close(emissions.grad, wanted, atol=1e-5, rtol=1e-4)


def test_texts_without_any_word_cost_nothing():
    logits = torch.randn(2, 3, TAGS, requires_grad=True)
    Crf(TAGS)(logits, torch.full((2, 3), IGNORE)).backward()
    assert (logits.grad == 0).all()


def test_words_move_to_the_left_in_their_order():
    values = torch.arange(8).view(2, 4)
    found, inside = at_words(values, torch.tensor([[False, True, False, True], [False, False, False, True]]))
    assert found.masked_fill(~inside, -1).tolist() == [[1, 3], [7, -1]]
