"""Numbers by value."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import strategies as st

from pipeline.metrics import classification, mean_sd, precision_recall_f1, telling

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
    assert mean_sd([7]) == (7, None)


def test_what_is_said_more_here_than_there_tells_most():
    here, there = Counter(the=50, film=30, plot=20, a=50), Counter(the=500, a=500, film=3, river=90)
    assert telling(here, there)[:2] == ["film", "plot"] and len(telling(here, there)) == 4
