"""Several tasks by one encoder: each as often as it should, and each as it would be alone."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from technique_toys import CLASSES, Technique, apart, toy_batches, toy_classifier

from pipeline.batches import LabelledBatches
from pipeline.finetuning.classes import Classes
from pipeline.finetuning.multitask import Mixture, OneHead, SharedModel, Together
from pipeline.finetuning.tags import Tags
from pipeline.training.loading import Plan

TASKS = (Classes(tuple("abc")), Tags(("B-X", "O")))


def tasks_of(sequences) -> list[LabelledBatches]:
    """Classes of all toy sequences, and tags of a third of them."""
    classes = toy_batches(sequences)
    ids = classes.input_ids[::3]
    return [classes, LabelledBatches(ids, [row % 2 for row in ids], 0)]


def mixture_of(sequences, temperature: float = 1.0) -> Mixture:
    return Mixture(tasks_of(sequences), ["classes", "tags"], temperature)


def shared() -> SharedModel:
    encoder = toy_classifier().bert
    encoder.pooler = None  # as the encoder of a checkpoint is loaded
    return SharedModel(encoder, TASKS, seed=3)


def together(model: SharedModel, mixture: Mixture):
    return Together(model, TASKS), {"companions": [OneHead(model, mixture)]}


@pytest.mark.parametrize(("temperature", "shares"), [(1.0, (0.75, 0.25)), (2.0, (0.634, 0.366)), (1e9, (0.5, 0.5))])
def test_a_task_has_the_steps_of_its_share_at_every_moment(sequences, temperature, shares):
    mixture = mixture_of(sequences, temperature)
    np.testing.assert_allclose(mixture.shares, shares, atol=0.01)
    turns = [mixture.turn(step) for step in range(200)]
    had = Counter()
    for step, (task, before) in enumerate(turns):
        assert before == had[task]
        had[task] += 1
        assert abs(had[task] - mixture.shares[task] * (step + 1)) < 1
    assert mixture_of(sequences, temperature).turn(150) == turns[150], "whoever asks first"


def test_a_step_is_of_one_task_and_its_rows_come_once_an_epoch(sequences):
    mixture = mixture_of(sequences)
    seen = {0: [], 1: []}
    for step in range(80):
        indices, epochs = mixture.visits(1, step, 8)
        task, _ = mixture.turn(step)
        assert set(mixture.batch(indices, epochs)["task"].tolist()) == {task}
        assert all(name.startswith(mixture.titles[task]) for name in mixture.names(indices))
        seen[task] += list(zip(epochs.tolist(), indices.tolist(), strict=True))
    for task, part in enumerate(mixture.parts):
        first = sorted(index for epoch, index in seen[task] if epoch == 0)
        assert first == list(range(mixture.starts[task], mixture.starts[task] + len(part)))


def test_the_training_knows_how_long_it_is(sequences):
    """Elapsed reaches 1 at the end, whatever rows are drawn more often."""
    mixture = mixture_of(sequences, 3.0)
    plan = Plan(mixture, 0, 60, 8, 8)
    assert sum(load.tokens for load in plan.loads(0, 0)) == pytest.approx(plan.all_tokens, rel=0.02)


def test_the_loss_of_a_task_is_that_of_its_model_alone(sequences):
    mixture, model = mixture_of(sequences), shared().eval()
    objective = Together(model, TASKS).eval()
    for step in range(4):
        batch = mixture.batch(*mixture.visits(0, step, 8))
        task = mixture.turn(step)[0]
        arranged = objective.arranged(batch)
        alone = {name: x for name, x in arranged.items() if name not in ("task", "labels")}
        wanted = TASKS[task].loss(model.views[task](**alone).logits, arranged["labels"])
        torch.testing.assert_close(objective(**arranged), wanted)


def learning(mixture: Mixture) -> Technique:
    return Technique(partial(together, mixture=mixture), model=shared)


def test_what_is_learned_does_not_depend_on_how_a_batch_is_split(sequences):
    mixture = mixture_of(sequences)
    assert learning(mixture).holds_when_split(mixture) < 1e-4


def test_a_resumed_run_ends_with_the_same_bits(sequences, tmp_path):
    mixture = mixture_of(sequences)
    assert learning(mixture).holds_when_killed(mixture, tmp_path)


def test_two_processes_learn_what_one_does(sequences, tmp_path):
    mixture = mixture_of(sequences)
    assert learning(mixture).holds_for_two(mixture, tmp_path) < 1e-4


def test_a_head_that_is_not_asked_stays_as_it_is(sequences):
    """Neither momentum nor decay moves it in the steps of another task."""
    only = Mixture(tasks_of(sequences)[:1], ["classes"], 1.0)
    start, trained = shared(), learning(only).learn(only)
    assert apart(start.heads[1], trained.heads[1]) == 0
    assert apart(start.heads[0], trained.heads[0]) > 1e-3 and CLASSES == 3
