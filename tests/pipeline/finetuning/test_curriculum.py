"""The words that decide are hidden first, ever fewer of them in each cycle."""

import numpy as np
import pytest
from technique_toys import Technique, toy_classifier

from pipeline.batches import LabelledBatches
from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.curriculum import Curriculum, weights_of

DECIDE = (10, 11)


@pytest.fixture
def labelled():
    """Each class has a word of its own, the others are alike."""
    draw, rows, labels = np.random.default_rng(0), [], []
    for number in range(60):
        words = draw.integers(20, 40, 18)
        words[draw.integers(0, 18, 2)] = DECIDE[number % 2]
        rows.append(np.array([2, *words, 3]))
        labels.append(number % 2)
    return LabelledBatches(rows, labels, 0)


def hidden_share(batches, elapsed: float) -> tuple[float, float]:
    """Of the tokens between the special ones, and of those that decide."""
    written = np.stack(batches.input_ids)
    read = batches.batch(np.arange(60), np.zeros(60, dtype=int), elapsed)["input_ids"].numpy()
    hidden = written != read
    assert (read[hidden] == 4).all() and not hidden[:, [0, -1]].any()
    return float(hidden[:, 1:-1].mean()), float(hidden[np.isin(written, DECIDE)].mean())


def test_what_speaks_for_a_class_weighs_most(labelled):
    weights, written = weights_of(labelled.input_ids, labelled.labels, [2, 3]), np.concatenate(labelled.input_ids)
    assert weights[np.isin(written, DECIDE)].min() > weights[~np.isin(written, (*DECIDE, 2, 3))].max()


def test_the_words_that_decide_are_hidden_more_often_and_ever_fewer_in_each_cycle(labelled, tokenizer):
    batches = Curriculum(labelled, tokenizer, 0.4, cycles=2, seed=1)
    shares = [hidden_share(batches, elapsed) for elapsed in (0.0, 0.25, 0.49, 0.5, 0.75, 0.99)]
    assert [share for share, _ in shares] == pytest.approx([0.4, 0.2, 1 / 18, 0.4, 0.2, 1 / 18], abs=0.03)
    assert all(decides > 1.3 * share for share, decides in shares[:2])


def test_another_visit_hides_others_and_the_same_one_the_same(labelled, tokenizer):
    batches = Curriculum(labelled, tokenizer, 0.4, cycles=2, seed=1)
    first, again, other = (
        batches.batch(np.arange(60), np.full(60, epoch), 0.1)["input_ids"].numpy() for epoch in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any()


def test_what_is_learned_does_not_depend_on_splits_kills_or_processes(labelled, tokenizer, tmp_path):
    technique = Technique(
        lambda model: (Learning(model), {}), toy_classifier, lambda b: Curriculum(b, tokenizer, 0.4, 2, 1)
    )
    assert technique.holds_when_split(labelled) < 1e-4
    assert technique.holds_when_killed(labelled, tmp_path)
    assert technique.holds_for_two(labelled, tmp_path) < 1e-4
