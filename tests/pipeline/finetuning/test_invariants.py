"""Every technique learns the same however its batches are split, whenever it is killed, and by two processes."""

from dataclasses import replace
from functools import partial

import pytest
from launcher import in_shards, launched
from spelling_toys import toy_corrector, toy_pairs
from technique_toys import CONFIG, Technique, apart, toy_batches

from pipeline.finetuning.adversarial import RobustnessConfig, robust
from pipeline.finetuning.classifier import Learning
from pipeline.finetuning.corrector import Correcting
from pipeline.finetuning.losses import categorical_divergence
from pipeline.finetuning.objective import RDrop
from pipeline.finetuning.optimisation import OptimisationConfig, optimizer_of, thawing_from_top
from pipeline.finetuning.stabilisers import Mixout, reinitialise_top
from pipeline.objectives.cross_entropy import summed_cross_entropy
from pipeline.training.thawing import embeddings_first

LOSS = summed_cross_entropy


@pytest.fixture(scope="module")
def batches(sequences):
    return toy_batches(sequences)


def plain(model, **settings):
    return Learning(model, LOSS), {"optimizer": optimizer_of(OptimisationConfig(**settings), CONFIG)}


def attacked(model, **settings):
    return robust(Learning(model, LOSS), RobustnessConfig(**settings)), {}


def twice(model):
    return RDrop(model, LOSS, 1.0, categorical_divergence), {}


def thawing(model):
    return Learning(model, LOSS), {"companions": [thawing_from_top(model, 0.8)]}


def embeddings_alone(model):
    return Learning(model, LOSS), {"companions": [embeddings_first(model, 0.7)]}


def mixed(model):
    return Learning(model, LOSS), {"companions": [Mixout(model, 0.5, seed=7)]}


def set_back(model):
    fresh = reinitialise_top(model, 1, 5)
    return Learning(model, LOSS), {"optimizer": optimizer_of(OptimisationConfig(prior_decay=0.1), CONFIG, fresh)}


TECHNIQUES = {
    "plain": Technique(plain),
    "bertadam": Technique(partial(plain, optimizer="bertadam")),
    "layer decay, head": Technique(partial(plain, layer_decay=0.5, head_learning_rate=1e-2)),
    "prior decay": Technique(partial(plain, prior_decay=50.0)),
    "ema": Technique(partial(plain, averaging="ema", average_decay=0.6)),
    "mean": Technique(partial(plain, averaging="mean", average_from=0.4)),
    "bertadam, prior, mean": Technique(partial(plain, optimizer="bertadam", prior_decay=50.0, averaging="mean")),
    "fgm": Technique(partial(attacked, attack="fgm")),
    "pgd": Technique(partial(attacked, attack="pgd", radius=0.5)),
    "freelb": Technique(partial(attacked, attack="freelb", radius=0.5, start=0.5)),
    "neftune": Technique(partial(attacked, noise=5.0)),
    "freelb, neftune": Technique(partial(attacked, attack="freelb", noise=5.0)),
    "r-drop": Technique(twice),
    "thawing": Technique(thawing),
    "embeddings first": Technique(embeddings_alone),
    "mixout": Technique(mixed),
    "set back": Technique(set_back),
}


@pytest.mark.parametrize("name", TECHNIQUES)
def test_what_is_learned_does_not_depend_on_how_a_batch_is_split(name, batches):
    """With dropout."""
    assert TECHNIQUES[name].holds_when_split(batches) < 1e-4


@pytest.mark.parametrize("name", TECHNIQUES)
def test_a_resumed_run_ends_with_the_same_bits_as_an_unbroken_one(name, batches, tmp_path):
    assert TECHNIQUES[name].holds_when_killed(batches, tmp_path)


@pytest.mark.parametrize("name", ["prior decay", "mean", "freelb, neftune", "r-drop", "thawing", "mixout"])
def test_two_processes_learn_what_one_does(name, batches, tmp_path):
    assert TECHNIQUES[name].holds_for_two(batches, tmp_path) < 1e-4


@pytest.mark.parametrize("name", ["layer decay, head", "prior decay", "ema", "neftune", "r-drop"])
def test_shards_learn_what_a_whole_model_does(name, batches, tmp_path):
    assert TECHNIQUES[name].holds_for_two(batches, tmp_path, in_shards) < 1e-4


@pytest.mark.parametrize(("name", "told"), [("fgm", "attack"), ("mixout", "mixout, unfreeze_ratio")])
def test_what_shards_cannot_do_is_refused_with_the_reason(name, told, batches, tmp_path):
    left = in_shards(lambda: TECHNIQUES[name].learn(batches), tmp_path, codes=[2, 2])
    assert told in left[0].said and "launch without FSDP" in left[0].said


@pytest.mark.parametrize("name", ["freelb, neftune", "r-drop", "mixout"])
def test_gradient_checkpointing_changes_nothing_that_is_learned(name, batches):
    """With dropout, which is computed again as it was: of two answers, of each its own."""
    again = TECHNIQUES[name].learn(batches, replace(CONFIG, gradient_checkpointing=True))
    assert apart(TECHNIQUES[name].learned(batches), again) < 1e-5


def correcting(model, **settings):
    return robust(
        Correcting(model, 1.0, 0.5, 2.0, 0.75, attacked="attack" in settings), RobustnessConfig(**settings)
    ), {}


PAIRS = toy_pairs(24)
SPELLING = {
    "spelling": Technique(correcting, toy_corrector),
    "spelling, mixed layers": Technique(correcting, partial(toy_corrector, layers="mix")),
    "spelling, fgm, neftune": Technique(partial(correcting, attack="fgm", noise=5.0), toy_corrector),
}


@pytest.mark.parametrize("name", SPELLING)
def test_spelling_is_learned_the_same_however_its_batches_are_split_and_whenever_it_is_killed(name, tmp_path):
    """Texts have different numbers of places, and the loss is divided once by all of them."""
    assert SPELLING[name].holds_when_split(PAIRS) < 1e-4
    assert SPELLING[name].holds_when_killed(PAIRS, tmp_path)


@pytest.mark.parametrize("launch", [launched, in_shards])
def test_two_processes_learn_the_spelling_that_one_does_with_the_whole_model_or_a_part_each(tmp_path, launch):
    technique = Technique(correcting, partial(toy_corrector, layers="mix", dropout=0.0))
    assert technique.holds_for_two(PAIRS, tmp_path, launch) < 1e-4


def test_checkpointing_changes_nothing_that_is_learned_of_spelling():
    again = SPELLING["spelling"].learn(PAIRS, replace(CONFIG, gradient_checkpointing=True))
    assert apart(SPELLING["spelling"].learned(PAIRS), again) < 1e-5


@pytest.mark.parametrize("name", [name for name in TECHNIQUES if name != "plain"])
def test_every_technique_learns_something_else_than_plain_training(name, batches):
    assert apart(TECHNIQUES["plain"].learned(batches), TECHNIQUES[name].learned(batches)) > 1e-3
