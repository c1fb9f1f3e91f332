"""Numbers by value."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from pipeline.metrics import classification, holm, mean_sd, paired_difference, paired_p, precision_recall_f1, telling

SCORES = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=10)


def test_accuracy_and_macro_f1_are_in_percent():
    found = classification(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]))
    assert found == {"accuracy": 75, "macro_f1": pytest.approx(100 * (4 / 5 + 2 / 3) / 2)}


def test_a_class_nobody_guessed_counts_as_zero_not_as_nothing():
    assert classification(np.array([0, 1]), np.array([0, 0]))["macro_f1"] == pytest.approx(100 * (2 / 3 + 0) / 2)


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [((2, 4, 8), (50, 25, 100 / 3)), ((0, 0, 5), (0, 0, 0)), ((0, 5, 0), (0, 0, 0)), ((3, 3, 3), (100, 100, 100))],
)
def test_precision_recall_and_f1_come_from_counts(counts, wanted):
    assert tuple(precision_recall_f1(*counts).values()) == pytest.approx(wanted)


def test_mean_and_deviation_of_a_sample():
    assert mean_sd([1, 2, 3, 4]) == pytest.approx((2.5, np.sqrt(5 / 3)))
    assert mean_sd([7]) == (7, 0)


@given(SCORES, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_a_paired_difference_is_that_of_the_t_test(scores, confidence):
    values, base = [dict(enumerate(column)) for column in zip(*scores, strict=True)]
    differences = np.subtract(*map(list, (values.values(), base.values())))
    found = paired_difference(values, base, confidence)
    if differences.std() > 1e-6:
        interval = ttest_rel(list(values.values()), list(base.values())).confidence_interval(confidence)
        assert found == pytest.approx((differences.mean(), interval.low, interval.high), abs=1e-6)
    else:
        assert found == pytest.approx((differences.mean(),) * 3, abs=1e-3)


def test_only_seeds_that_both_have_are_compared():
    assert paired_difference({1: 5, 2: 7, 9: 0}, {2: 6, 1: 4, 3: 100}, 0.95) == (1, 1, 1)


def test_a_single_seed_says_nothing_about_noise():
    assert paired_difference({1: 5}, {1: 4}, 0.95) == (1, -np.inf, np.inf)


def test_what_is_said_more_here_than_there_tells_most():
    here, there = Counter(the=50, film=30, plot=20, a=50), Counter(the=500, a=500, film=3, river=90)
    assert telling(here, there)[:2] == ["film", "plot"] and len(telling(here, there)) == 4


@given(SCORES)
def test_the_p_of_a_difference_is_that_of_the_paired_t_test(pairs):
    values, base = ({seed: float(pair[i]) for seed, pair in enumerate(pairs)} for i in (0, 1))
    differences = np.subtract(*zip(*pairs, strict=True))
    if np.ptp(differences) > 1e-6 * np.abs(differences).max():
        wanted = ttest_rel(*zip(*pairs, strict=True)).pvalue
        assert paired_p(values, base) == pytest.approx(wanted, abs=1e-9)
    assert paired_p(values, values) == 1 and paired_p({1: 2.0}, {1: 1.0}) == 1


def test_many_p_values_are_corrected_by_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []
