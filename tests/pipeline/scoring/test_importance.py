"""One scale for all scorers."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.masking.config import IMPORTANT
from pipeline.scoring.importance import Scale, top_edge

SCORES = st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=300).map(lambda x: np.array(x, np.float32))
SHARES = st.floats(0.01, 0.99)


@given(SCORES, SHARES)
def test_above_the_edge_is_at_most_the_share_and_one_more_would_be_too_many(values, share):
    edge = top_edge(values, share)
    assert (values > edge).sum() <= share * len(values)
    assert (values >= edge).sum() > int(share * len(values))


@given(SCORES, SHARES)
def test_importance_is_a_monotone_map_onto_the_levels_of_words(values, share):
    found = Scale.of(values, share)(np.sort(values)).astype(int)
    assert found.min() >= 1 and found.max() <= 255 and (np.diff(found) >= 0).all()


@given(SCORES, SHARES)
def test_what_is_important_is_what_is_above_the_edge(values, share):
    assert ((Scale.of(values, share)(values) >= IMPORTANT) == (values > top_edge(values, share))).all()


def test_levels_follow_the_rank_whatever_the_scorers_unit():
    values = np.random.default_rng(0).normal(size=20_000).astype(np.float32)
    found = Scale.of(values, 0.15)(values)
    assert abs((found >= IMPORTANT).mean() - 0.15) < 1e-3
    assert (Scale.of(np.exp(values) * 7, 0.15)(np.exp(values) * 7) == found).mean() > 0.999
    below = np.bincount(found)[1:IMPORTANT]
    assert below.max() < 1.1 * below.min()


def test_where_all_are_alike_none_is_important():
    assert Scale.of(np.zeros(100, np.float32), 0.15)(np.zeros(3, np.float32)).max() < IMPORTANT
    assert top_edge(np.zeros(0, np.float32), 0.15) == 0
