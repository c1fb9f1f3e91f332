"""Agreement against scipy, and by counting."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from scoring_toys import document, random_documents

from pipeline.scoring.agreement import Opinion, between_seeds, overlap, rank_correlation, side_by_side
from pipeline.scoring.documents import Document, Scored


def scored(documents: list[Document], seed: int, levels: int) -> list[Scored]:
    """Importances of few levels, so that many are equal; a keyword is what is above the middle."""
    draw = np.random.default_rng(seed)
    values = [draw.integers(levels, size=len(d.words)).astype(np.float32) for d in documents]
    return [Scored(value, value > levels / 2) for value in values]


@pytest.fixture
def documents() -> list[Document]:
    return [d for d in random_documents(60) if len(d.known)]


@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_rank_correlation_is_the_mean_of_scipys_over_documents_that_have_an_order(documents, levels):
    one, two = scored(documents, 1, levels), scored(documents, 2, levels)
    pairs = [(a.importance[d.known], b.importance[d.known]) for d, a, b in zip(documents, one, two, strict=True)]
    wanted = np.nanmean([spearmanr(*pair).statistic for pair in pairs if len(pair[0]) > 1])
    found = rank_correlation(Opinion.of(documents, one, 0), Opinion.of(documents, two, 0))
    assert found == pytest.approx(wanted)


def test_overlap_is_that_of_the_sets_of_words_chosen(documents):
    chosen = []
    for seed in (1, 2):
        found = scored(documents, seed, 9)
        chosen.append({(d.id, w) for d, s in zip(documents, found, strict=True) for w in d.known if s.keyword[w]})
    a, b = (Opinion.of(documents, scored(documents, seed, 9), 0) for seed in (1, 2))
    assert overlap(a, b) == pytest.approx(len(chosen[0] & chosen[1]) / len(chosen[0] | chosen[1]))
    assert overlap(a, a) == 1 and rank_correlation(a, a) == pytest.approx(1)


def test_without_an_order_or_a_choice_there_is_no_agreement():
    toy = [document([5, 6], [0, 1])]
    none = Opinion.of(toy, [Scored(np.ones(2, np.float32), np.zeros(2, bool))], 0)
    assert np.isnan(rank_correlation(none, none)) and np.isnan(overlap(none, none))


def test_seeds_are_compared_with_like_and_a_scorer_without_them_with_all(documents):
    of = lambda seed: Opinion.of(documents, scored(documents, seed, 9), seed)
    seeds, alone = [of(0), of(1), of(2)], [of(9)]
    seconds = lambda pairs: [(a.seconds, b.seconds) for a, b in pairs]
    assert seconds(side_by_side(seeds, seeds)) == [(0, 0), (1, 1), (2, 2)]
    assert seconds(side_by_side(alone, seeds)) == [(9, 0), (9, 1), (9, 2)]
    assert seconds(between_seeds(seeds)) == [(0, 1), (0, 2), (1, 2)] and between_seeds(alone) == []
