"""Documents like the task: by brute force, by distribution, and the same for any block."""

import numpy as np
import pytest

from corpora import choosing
from corpora.choosing import (
    BUCKETS,
    Bags,
    buckets_of,
    by_importance,
    by_mean_ratio,
    highest,
    log_ratios,
    nearest,
    nearest_vectors,
    places,
)

DRAW = np.random.default_rng(0)
WORDS = [f"w{i}" for i in range(60)]


def documents(count: int, low: int, high: int) -> list[list[str]]:
    return [DRAW.choice(WORDS[low:high], DRAW.integers(1, 12)).tolist() for _ in range(count)]


@pytest.fixture
def bags(tmp_path) -> tuple[Bags, Bags, list[list[str]], list[list[str]]]:
    """Task words are the last third; half of the domain has them."""
    task, domain = documents(7, 40, 60), documents(40, 0, 40) + documents(40, 30, 60) + [[]]
    made = [Bags.written(texts, tmp_path / name) for texts, name in ((task, "task"), (domain, "domain"))]
    return *made, task, domain


def test_a_document_is_its_words_and_pairs_whatever_their_case(bags):
    assert len(buckets_of(["a", "b", "c"])) == 5 and len(buckets_of([])) == 0
    assert buckets_of(["A", "b"]).tolist() == buckets_of(["a", "B"]).tolist() != buckets_of(["b", "a"]).tolist()
    _, domain, _, texts = bags
    assert len(domain) == len(texts) and domain.counts.sum() == sum(max(2 * len(text) - 1, 0) for text in texts)
    assert all(domain.offsets[i + 1] - domain.offsets[i] == len(buckets_of(text)) for i, text in enumerate(texts))


def dense(bags: Bags) -> np.ndarray:
    rows = np.zeros((len(bags), BUCKETS))
    for i in range(len(bags)):
        np.add.at(rows[i], bags.buckets[bags.offsets[i] : bags.offsets[i + 1]], 1)
    return rows


def test_the_nearest_are_those_of_all_pairs(bags, monkeypatch):
    task, domain, *_ = bags
    one, other = dense(task), dense(domain)
    idf = np.log((1 + len(other)) / (1 + (other > 0).sum(0))) + 1
    weigh = lambda rows: np.where(rows > 0, 1 + np.log(np.maximum(rows, 1)), 0) * idf
    unit = lambda rows: rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosine = unit(weigh(one)) @ unit(weigh(other)).T
    wanted = {}
    for row in cosine:
        for i in np.argsort(-row, kind="stable")[:3]:
            if row[i] > 0:
                wanted[int(i)] = max(wanted.get(int(i), 0), row[i])
    for size in (2048, 7):
        monkeypatch.setattr(Bags.blocks, "__defaults__", (size,))
        numbers, scores = nearest(task, domain, 3)
        assert numbers.tolist() == sorted(wanted)
        np.testing.assert_allclose(scores, [wanted[i] for i in sorted(wanted)], atol=1e-9)


@pytest.mark.parametrize("size", [2048, 7])
def test_the_nearest_vectors_are_those_of_all_pairs_away_from_their_mean(monkeypatch, size):
    monkeypatch.setattr(choosing, "BLOCK", size)
    task, domain = (DRAW.normal(5, 1, (count, 4)).astype(np.float32) for count in (9, 40))
    domain[30] = domain[3]  # equally near: the earlier is taken first
    one, other = (rows - domain.mean(0, dtype=np.float64) for rows in (task, domain))
    cosine = one @ other.T / np.linalg.norm(one, axis=1)[:, None] / np.linalg.norm(other, axis=1)
    cosine[:, 30] = cosine[:, 3]
    taken = np.argsort(-cosine, axis=1, kind="stable")[:, :3]
    numbers, scores = nearest_vectors(task, domain, 3)
    assert numbers.tolist() == sorted(set(taken.ravel().tolist()))
    np.testing.assert_allclose(scores, [cosine[(taken == i).any(1), i].max() for i in numbers], atol=1e-9)


def test_fewer_documents_than_are_asked_for_are_all_taken():
    vectors = np.eye(3, dtype=np.float32)
    numbers, scores = nearest_vectors(vectors[:1], vectors, 9)
    assert numbers.tolist() == [0, 1, 2] and scores == pytest.approx([1.0, -0.5, -0.5])


def test_ratios_are_those_of_two_smoothed_distributions(bags):
    task, domain, *_ = bags
    ratios = log_ratios(task, domain)
    ours, theirs = task.counts, domain.counts
    bucket = int(ours.argmax())
    share = lambda counts: (counts[bucket] + 1) / (counts.sum() + BUCKETS)
    assert ratios[bucket] == pytest.approx(np.log(share(ours)) - np.log(share(theirs)))
    means = by_mean_ratio(task, domain)
    rows = dense(domain)
    np.testing.assert_allclose(means[:-1], (rows @ ratios)[:-1] / rows.sum(1)[:-1])
    assert means[-1] == -np.inf and means[40:80].mean() > means[:40].mean()


def test_resampling_takes_documents_as_often_as_they_are_important(bags):
    """First draws over many seeds follow exp(log importance), as Gumbel-max sampling does."""
    task, domain, *_ = bags
    logs = by_importance(task, domain, np.full(len(domain), np.exp(-1.0)))  # noise 0
    wanted = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    names = [str(i) for i in range(len(domain))]
    firsts = [int(by_importance(task, domain, places(names, f"{seed}")).argmax()) for seed in range(600)]
    found = np.bincount(firsts, minlength=len(domain)) / 600
    assert np.abs(found - wanted).max() < 0.08


def test_the_highest_come_in_order_and_the_earlier_of_equals():
    assert highest(np.array([1.0, 3.0, 3.0, 2.0, 3.0]), 2).tolist() == [1, 2]
    assert highest(np.array([1.0]), 9).tolist() == [0]
