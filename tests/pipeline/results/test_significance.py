"""Statistics against closed forms, brute force, and simulations whose truth is known."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel
from worlds import percentile, simulated

from pipeline.finetuning.by_row import accuracy, by_row, macro_f1, micro_f1
from pipeline.metrics import mean_f1
from pipeline.results import significance
from pipeline.results.significance import Sample, difference, holm

SCORE = st.integers(0, 10_000).map(lambda hundredths: hundredths / 100)
SCORES = st.lists(st.tuples(SCORE, SCORE), min_size=2, max_size=10)


def samples(pairs) -> list[Sample]:
    return [reached(dict(enumerate(map(float, column)))) for column in zip(*pairs, strict=True)]


def reached(seeds: dict[int, float], repeat: int = 0) -> Sample:
    """What the seeds of one pretraining reached."""
    return Sample({(repeat, seed): float(score) for seed, score in seeds.items()})


@given(SCORES, st.sampled_from([0.8, 0.95, 0.99]))
def test_without_rows_interval_and_p_are_those_of_the_paired_t_test(pairs, confidence):
    found, wanted = difference(*samples(pairs), confidence), ttest_rel(*zip(*pairs, strict=True))
    differences = np.subtract(*zip(*pairs, strict=True))
    assert found.mean == pytest.approx(differences.mean())
    if np.ptp(differences) > 1e-6 * np.abs(differences).max():
        interval = wanted.confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-6)
        assert found.p == pytest.approx(wanted.pvalue, abs=1e-9)


def test_only_seeds_that_both_have_are_compared():
    found = difference(reached({1: 5, 2: 7, 9: 0}), reached({2: 6, 1: 4, 3: 100}))
    assert (found.mean, found.seeds, found.p) == (1, 2, 0)


def test_a_single_seed_says_nothing_about_noise():
    found = difference(reached({1: 5}), reached({1: 4}))
    assert (found.mean, found.low, found.high, found.p, found.detectable()) == (1, -np.inf, np.inf, 1, np.inf)


@given(SCORES)
def test_of_one_seed_the_error_is_that_over_pretrainings(pairs):
    samples_of = lambda column: Sample({(repeat, 7): score for repeat, score in enumerate(column, 1)})
    found, wanted = difference(*map(samples_of, zip(*pairs, strict=True))), ttest_rel(*zip(*pairs, strict=True))
    assert (found.repeats, found.seeds) == (len(pairs), 1)
    differences = np.subtract(*zip(*pairs, strict=True))
    if np.ptp(differences) > 1e-6 * np.abs(differences).max():
        assert found.p == pytest.approx(wanted.pvalue, abs=1e-9)


def test_pretrainings_and_seeds_add_up_as_a_crossed_analysis_of_variance():
    """Two pretrainings by three seeds: mean squares by hand, of which the two effects contain what is of both."""
    table = [[1.0, 2.0, 6.0], [4.0, 8.0, 9.0]]
    arm = Sample({(r, s): table[r - 1][s] for r in (1, 2) for s in range(3)})
    found = difference(arm, reached({0: 0, 1: 0, 2: 0}))
    of_repeats, of_seeds = [3.0, 7.0], [2.5, 5.0, 7.5]
    left = [table[r][s] - of_repeats[r] - of_seeds[s] + 5.0 for r in (0, 1) for s in range(3)]
    one, other, both = 3 * 8.0, 2 * (6.25 + 0 + 6.25) / 2, sum(x**2 for x in left) / 2
    assert (found.mean, found.error**2) == (5.0, pytest.approx((one + other - both) / 6))
    freedom = (one + other - both) ** 2 / (one**2 / 1 + other**2 / 2 + both**2 / 2)
    assert found.freedom == pytest.approx(freedom)


def test_a_base_stands_beside_every_pretraining_and_others_beside_their_like():
    twice = Sample({(1, 0): 5.0, (1, 1): 7.0, (2, 0): 6.0, (2, 1): 8.0})
    against_base = difference(twice, reached({0: 5, 1: 5}))
    assert (against_base.mean, against_base.repeats, against_base.seeds) == (1.5, 2, 2)
    against_one = difference(twice, reached({0: 5, 1: 5}, repeat=2))
    assert (against_one.mean, against_one.repeats, against_one.seeds) == (2, 1, 2)


def test_an_arm_beside_itself_is_no_difference():
    found = difference(*samples([(3, 3), (5, 5)]))
    assert (found.mean, found.low, found.high, found.p, found.effect, found.flips) == (0, 0, 0, 1, 0, 1)


def test_flips_are_all_flips_of_signs():
    differences = np.array([1.0, 2.0, -0.5, 3.0, 0.25])
    all_ = [abs(np.dot(signs, differences)) for signs in product((1, -1), repeat=5)]
    wanted = np.mean([one >= abs(differences.sum()) - 1e-9 for one in all_])
    assert difference(*samples([(d, 0) for d in differences])).flips == wanted
    assert difference(*samples([(d, 0) for d in (1, 2, 3, 4, 5)])).flips == 2 / 32
    many = difference(*samples([(d, 0) for d in np.linspace(0.5, 1.5, 20)])).flips
    assert many == 1 / significance.FLIPS  # as written is one of the flips


def test_the_effect_is_in_deviations_of_a_run():
    found = difference(*samples([(10, 4), (12, 6), (14, 8)]))
    assert found.effect == pytest.approx(3.0)
    again = Sample({(repeat, seed): score for repeat in (1, 2) for seed, score in enumerate((10, 12, 14))})
    of_both = np.sqrt(
        (np.var([10, 12, 14] * 2, ddof=1) + 4) / 2
    )  # a base is of three runs, however often it stands there
    assert difference(again, reached({0: 4, 1: 6, 2: 8})).effect == pytest.approx(6 / of_both)


def test_many_p_values_are_corrected_by_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def said(truth, answers) -> list[dict[str, object]]:
    """Predictions as they stand in an artifact; answers [S][N]."""
    column = "label" if isinstance(truth[0], str) else "labels"
    return [
        {"id": f"{i:04}", "seed": seed, column: true, "predicted": given}
        for seed, row in enumerate(answers)
        for i, (true, given) in enumerate(zip(truth, row, strict=True))
    ]


def test_sums_over_rows_measure_what_is_measured_of_the_whole():
    truth, answers = ["a", "b", "a", "c"], [["a", "b", "b", "b"], ["a", "a", "a", "c"]]
    found = by_row("classes", "accuracy", said(truth, answers))
    whole = [found.counts[0, seed].sum(0).A1.reshape(-1, 3) for seed in (0, 1)]
    assert [accuracy(one) for one in whole] == [50, 75]
    assert macro_f1(whole[0]) == pytest.approx(mean_f1([(1, 1, 2), (1, 3, 1), (0, 0, 1)])["macro_f1"])
    labels = by_row("labels", "micro_f1", said([["a", "b"], []], [[["a"], ["b"]]]))
    assert micro_f1(labels.counts[0, 0].sum(0).A1.reshape(-1, 3)) == pytest.approx(100 * 2 / (2 + 2))


def test_of_given_labels_one_that_no_row_has_counts_as_it_does_in_what_is_measured():
    found = by_row("labels", "macro_f1", said([["a"], ["a", "b"]], [[["a"], ["a"]]]), "abcd")
    counts = [(2, 2, 2), (0, 0, 1), (0, 0, 0), (0, 0, 0)]
    assert found.measure(found.counts[0, 0].sum(0).A1.reshape(-1, 3)) == pytest.approx(mean_f1(counts)["macro_f1"])


def test_spans_are_counted_row_by_row():
    rows = [{"id": "1", "seed": 3, "tags": ["B-X", "I-X", "O"], "predicted": ["B-X", "I-X", "B-Y"]}]
    found = by_row("tags", "f1", rows)
    assert found.counts[0, 3].toarray().tolist() == [[1, 1, 1, 0, 1, 0]]
    assert by_row("tags", "accuracy", rows) is None and by_row("spelling", "f1", rows) is None


@pytest.fixture(scope="module")
def worlds():
    """p with rows, p over seeds alone, and whether a percentile bootstrap over seeds excludes 0: without a gain."""
    rng, found = np.random.default_rng(5), []
    replicates, significance.REPLICATES = significance.REPLICATES, 100
    for _ in range(240):
        arm, control = simulated(rng)
        with_rows, alone = difference(arm, control), difference(Sample(arm.scores), Sample(control.scores))
        found.append((with_rows.p, alone.p, percentile(rng, arm, control)))
    significance.REPLICATES = replicates
    return np.array(found)


def test_where_there_is_no_difference_one_is_found_in_a_twentieth(worlds):
    """240 worlds: 12 expected, 23 is the 0.999 quantile; a bootstrap over five seeds alone is far beyond."""
    with_rows, alone = (worlds[:, :2] < 0.05).sum(0)
    assert 2 <= with_rows <= 23
    assert worlds[:, 2].sum() > 30 and alone > with_rows  # other rows would say otherwise: seeds alone cannot know


def test_only_pretrainings_again_know_that_another_would_be_otherwise(monkeypatch):
    """100 worlds without a difference: 5 expected, 12 is the 0.999 quantile; of one pretraining each luck is gain."""
    monkeypatch.setattr(significance, "REPLICATES", 60)
    rng, found = np.random.default_rng(11), []
    for _ in range(100):
        arms = simulated(rng, seeds=5, repeats=3, of_repeat=0.03)
        once = [Sample({run: one.scores[run] for run in one.scores if run[0] == 1}, one.rows) for one in arms]
        found.append((difference(*arms).p < 0.05, difference(*once).p < 0.05))
    again, once = np.sum(found, axis=0)
    assert again <= 12 and once > 20


def test_a_detectable_difference_is_found_in_four_of_five(monkeypatch):
    monkeypatch.setattr(significance, "REPLICATES", 100)
    rng = np.random.default_rng(7)
    sizes = [difference(*simulated(rng)).detectable() for _ in range(20)]
    gain = float(np.mean(sizes)) / 100
    found = [difference(*simulated(rng, gain=gain)) for _ in range(120)]
    reached = np.mean([one.mean for one in found]) / 100 / gain  # where all is right, nothing more can be gained
    power = np.mean([one.p < 0.05 for one in found])
    assert 0.6 < reached <= 1.1 and 0.5 < power < 0.95
    assert {one.rows for one in found} == {250}


def test_rows_drawn_again_are_drawn_as_a_bootstrap_draws():
    """The deviation of an accuracy over samples of rows is that of a share: sqrt(p q / N)."""
    right = np.arange(400) % 4 > 0
    found = by_row("classes", "accuracy", said(["a"] * 400, [np.where(right, "a", "b")]))
    drawn = found.of_samples[0, 0]
    assert drawn.shape == (significance.REPLICATES,)
    assert drawn.std() == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 400), rel=0.1)
    again = by_row("classes", "accuracy", said(["a"] * 400, [np.where(right, "a", "b")]))
    assert np.array_equal(drawn, again.of_samples[0, 0])


def test_nothing_is_known_by_less_than_one_degree_of_freedom_and_the_power_of_many_is_still_known():
    """Where what both share is as large as the spread over pretrainings, what is left of them would have 0.8."""
    table = {(1, 0): 1.0, (1, 1): -1.0, (2, 0): 1.0, (2, 1): 3.0}
    found = difference(Sample(table), reached({0: 0, 1: 0}))
    assert found.freedom >= 1 and np.isfinite(found.detectable(500)) and found.detectable(500) > found.detectable()
