"""Counting: the formulas written out plainly, on texts that can be counted by eye."""

import math
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from scoring_toys import document

from pipeline.run.errors import InputError
from pipeline.scoring import lexicon
from pipeline.scoring.documents import Document
from pipeline.scoring.lexicon import Lexicon, log_odds, pmi, tfidf

REVIEWS = [
    (["the", "film", "is", "good"], "good"),
    (["the", "film", "is", "very", "good"], "good"),
    (["the", "film", "is", "bad"], "bad"),
    (["a", "bad", "plot", "and", "a", "bad", "film"], "bad"),
    (["the", "plot", "is", "there"], "none"),
]


def said(text: str) -> Document:
    words = text.split()
    empty = np.zeros(0, dtype=np.int32)
    return Document("x", empty, empty, words)


def test_a_lexicon_weighs_the_words_it_knows_in_any_case():
    [found] = Lexicon({"good": 2.0})([said("Good films are good")])
    assert found.tolist() == [2, 0, 0, 2] and found.dtype == np.float32


def z_score(word: str, label: str) -> float:
    """Equations 15, 19 and 22 of Monroe et al. (2008), one class against the others, prior: all counts."""
    inside = Counter(w for words, of in REVIEWS if of == label for w in words)
    outside = Counter(w for words, of in REVIEWS if of != label for w in words)
    prior = inside + outside
    alpha, alpha_0 = prior[word], sum(prior.values())
    odds = lambda counts: (counts[word] + alpha) / (sum(counts.values()) + alpha_0 - counts[word] - alpha)
    delta = math.log(odds(inside)) - math.log(odds(outside))
    return delta / math.sqrt(1 / (inside[word] + alpha) + 1 / (outside[word] + alpha))


def test_log_odds_are_the_z_scores_of_the_class_where_they_are_largest():
    found = log_odds(REVIEWS).weights
    assert found.keys() == {word for words, _ in REVIEWS for word in words}
    for word, weight in found.items():
        assert weight == pytest.approx(max(z_score(word, label) for label in ("good", "bad", "none")))
    assert max(found, key=found.get) == "bad" and found["good"] > found["film"]


def test_log_odds_of_one_class_are_refused():
    with pytest.raises(InputError, match="compares classes, and the task text has one"):
        log_odds(REVIEWS[:2])


def test_domain_words_weigh_by_how_often_they_are_said_and_how_much_more_than_elsewhere():
    domain, general = [["a", "b", "b"], ["b"]], [["a", "a", "c"]]
    found = tfidf(domain, general).weights  # counts 1 3 0 and 2 0 1, one added to each
    assert found == {
        "a": pytest.approx(math.log((2 / 7) / (3 / 6))),
        "b": pytest.approx((1 + math.log(3)) * math.log((4 / 7) / (1 / 6))),
    }
    assert found["b"] > 0 > found["a"]


def collocations() -> list[list[str]]:
    draw = np.random.default_rng(0)
    texts = [list(draw.choice(list("abcdefgh"), 6)) for _ in range(200)]
    return texts + [[*draw.choice(list("abcdefgh"), 2), "new", "york", "city", *draw.choice(list("abcdefgh"), 2)]] * 30


def pmi_plainly(texts: list[list[str]]) -> dict[tuple[str, ...], float]:
    """log p(n-gram) less that of its best cut into two or more parts, all cuts tried."""
    counts = Counter(tuple(t[i:j]) for t in texts for i in range(len(t)) for j in range(i + 1, min(i + 4, len(t)) + 1))
    totals = Counter()
    for ngram, count in counts.items():
        totals[len(ngram)] += count
    log = lambda ngram: math.log(counts[ngram] / totals[len(ngram)])
    found = {}
    for ngram in (n for n in counts if len(n) > 1 and counts[n] >= 10):
        inner = range(1, len(ngram))
        cuts = [c for size in range(1, len(ngram)) for c in combinations(inner, size)]
        parts = [[ngram[i:j] for i, j in zip((0, *cut), (*cut, len(ngram)), strict=True)] for cut in cuts]
        found[ngram] = min(log(ngram) - sum(map(log, cut)) for cut in parts)
    return found


def test_mutual_information_is_the_smallest_over_all_cuts():
    texts = collocations()
    found, wanted = pmi(texts).weights, pmi_plainly(texts)
    assert found.keys() == wanted.keys() and any(len(ngram) == 4 for ngram in found)
    assert all(found[ngram] == pytest.approx(wanted[ngram]) for ngram in wanted)


def test_a_word_is_as_important_as_the_best_n_gram_it_is_part_of():
    known = pmi(collocations())
    [found] = known([said("Old New York city far york")])
    assert found[1] == found[2] == found[3] > 1 and found[5] < found[2] and found[0] == 0


def test_counting_forgets_what_was_seen_once_when_there_is_too_much(monkeypatch):
    wanted = pmi(collocations()).weights
    monkeypatch.setattr(lexicon, "ENTRIES", 2000)
    found = pmi(collocations()).weights
    assert ("new", "york", "city") in found and found.keys() <= wanted.keys()


def test_of_no_words_there_are_no_weights():
    assert [x.tolist() for x in pmi([])([document([], [])])] == [[]]
