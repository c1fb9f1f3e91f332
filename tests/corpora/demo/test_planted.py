"""The demo corpus: what is planted can be found, and only where it is said to be."""

import logging
import math
import re
from collections import Counter
from functools import cache
from itertools import combinations, islice

import numpy as np
import pytest

from corpora.demo import planted as demo
from corpora.demo.grammars import CHINESE, ENGLISH
from corpora.demo.planted import CEILING, LABELS, SIZES, grammar, opinion_words, oracle, rows

LANGUAGES = ("zh", "en")
GRAMMARS = {"zh": CHINESE, "en": ENGLISH}
TASK_SPLITS = [(language, split) for language in LANGUAGES for split in ("train", "dev", "test")]

each_language = pytest.mark.parametrize("language", LANGUAGES)
each_corpus = pytest.mark.parametrize(("corpus", "split"), SIZES)


@cache
def documents(corpus, split, seed=0):
    return list(rows(corpus, split, seed))


def words(language, aspects, *polarities):
    return {word for polarity in polarities or (0, 1) for word in opinion_words(language, aspects, polarity)}


def same_polarity_share(language, corpus):
    """Among pairs of different opinion words in a document, the share of one polarity; and how many pairs."""
    polarity = {word: side for side in (0, 1) for word in words(GRAMMARS[language], GRAMMARS[language].families, side)}
    pairs = [
        polarity[one] == polarity[other]
        for row in documents(corpus, "unlabeled")
        for one, other in combinations(sorted(set(row["keywords"])), 2)
    ]
    return sum(pairs) / len(pairs), len(pairs)


def counts_of(documents_, vocabulary):
    """How often each word occurs in each document: `[documents, words]`."""
    return np.array([[row["keywords"].count(word) for word in vocabulary] for row in documents_], dtype=float)


def is_positive(documents_):
    return np.array([row["label"] == LABELS[0] for row in documents_])


def logistic_regression(inputs, targets, steps=500, rate=0.5):
    """Weights by plain gradient descent, the last one a bias."""
    inputs = np.hstack([inputs, np.ones((len(inputs), 1))])
    weights = np.zeros(inputs.shape[1])
    for _ in range(steps):
        weights -= rate * inputs.T @ (1 / (1 + np.exp(-inputs @ weights)) - targets) / len(inputs)
    return weights


@each_corpus
def test_a_corpus_is_the_same_every_time(corpus, split):
    assert list(islice(rows(corpus, split), 50)) == documents(corpus, split)[:50]


@each_corpus
def test_another_seed_is_another_corpus(corpus, split):
    first, second = ({row["text"] for row in islice(rows(corpus, split, seed), 50)} for seed in (0, 1))
    assert not first & second


def test_the_size_of_a_corpus_changes_no_row(monkeypatch):
    monkeypatch.setitem(SIZES, ("zh_domain", "unlabeled"), 5)
    assert list(rows("zh_domain", "unlabeled")) == documents("zh_domain", "unlabeled")[:5]


@each_corpus
def test_a_corpus_has_its_size_and_no_text_twice(corpus, split):
    texts = [row["text"] for row in documents(corpus, split)]
    assert len(texts) == len(set(texts)) == SIZES[corpus, split]


@each_corpus
def test_only_a_task_has_labels(corpus, split):
    fields = {"text", "keywords", "label"} if corpus.endswith("_task") else {"text", "keywords"}
    assert all(set(row) == fields for row in documents(corpus, split))


@each_language
def test_no_task_text_is_in_the_domain_or_in_another_split(language):
    texts = [row["text"] for _, split in TASK_SPLITS[:3] for row in documents(f"{language}_task", split)]
    texts += [row["text"] for row in documents(f"{language}_domain", "unlabeled")]
    assert len(texts) == len(set(texts))


def test_chinese_texts_have_20_to_60_characters_and_never_more_than_70():
    lengths = [len(row["text"]) for key in SIZES if key[0].startswith("zh_") for row in documents(*key)]
    assert min(lengths) >= 20 and max(lengths) <= 70
    assert np.mean(np.array(lengths) <= 60) > 0.99


def test_an_unknown_corpus_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="no demo corpus zh_task/unlabeled: there are zh_general/unlabeled, "):
        next(rows("zh_task", "unlabeled"))


@each_corpus
def test_every_slot_is_filled(corpus, split):
    assert not any(set("{}%") & set(row["text"]) for row in documents(corpus, split))


@each_corpus
def test_the_keywords_listed_are_the_opinion_words_of_the_text(corpus, split):
    planted = words(grammar(corpus), grammar(corpus).families)
    for row in documents(corpus, split):
        rest = row["text"]
        for word in row["keywords"]:
            assert word in planted
            _, found, rest = rest.partition(word)
            assert found
        if corpus.startswith("en_"):
            assert Counter(row["keywords"]) == Counter(w for w in re.findall(r"\w+", row["text"]) if w in planted)


def test_no_character_is_in_two_opinion_words():
    characters = Counter("".join(words(CHINESE, CHINESE.families)))
    assert set(characters.values()) == {1}


def test_unseen_words_share_no_character_with_seen_ones():
    assert not set("".join(words(CHINESE, CHINESE.seen))) & set("".join(words(CHINESE, CHINESE.unseen)))


def test_unseen_english_words_share_no_word_with_seen_ones():
    assert not words(ENGLISH, ENGLISH.seen) & words(ENGLISH, ENGLISH.unseen)


@each_language
def test_both_polarities_of_an_aspect_have_equally_many_words(language):
    assert {(len(good), len(bad)) for good, bad in GRAMMARS[language].families.values()} == {(5, 5)}


def test_every_opinion_word_is_one_word_to_jieba():
    jieba = pytest.importorskip("jieba")
    jieba.setLogLevel(logging.ERROR)
    assert [word for word in words(CHINESE, CHINESE.families) if len(word) != 2 or jieba.lcut(word) != [word]] == []


@pytest.mark.parametrize("corpus", ["zh_general", "zh_domain"])
def test_jieba_finds_nearly_every_opinion_word_in_its_sentence(corpus):
    jieba = pytest.importorskip("jieba")
    jieba.setLogLevel(logging.ERROR)
    found = [
        word in jieba.lcut(row["text"]) for row in documents(corpus, "unlabeled")[:400] for word in row["keywords"]
    ]
    assert sum(found) / len(found) > 0.97


@each_language
def test_general_text_has_every_character_and_word_of_the_reviews(language):
    split = list if language == "zh" else re.compile(r"\w+").findall
    known = {unit for row in documents(f"{language}_general", "unlabeled") for unit in split(row["text"])}
    for name in (f"{language}_domain", f"{language}_task"):
        for corpus, part in SIZES:
            if corpus == name:
                assert {unit for row in documents(corpus, part) for unit in split(row["text"])} <= known


@each_language
def test_general_text_says_nothing_about_polarity(language):
    share, pairs = same_polarity_share(language, f"{language}_general")
    size = len(opinion_words(GRAMMARS[language], tuple(GRAMMARS[language].families), 0))
    by_chance = (size - 1) / (2 * size - 1)  # the other word is one of all but this one
    assert abs(share - by_chance) < 4 * math.sqrt(0.25 / pairs)


@each_language
def test_words_of_one_polarity_go_together_in_the_domain(language):
    share, _ = same_polarity_share(language, f"{language}_domain")
    assert share > 0.7


@each_language
def test_seen_and_unseen_words_meet_in_the_domain(language):
    seen, unseen = (
        words(GRAMMARS[language], GRAMMARS[language].seen),
        words(GRAMMARS[language], GRAMMARS[language].unseen),
    )
    meet = [
        bool(seen & set(row["keywords"]) and unseen & set(row["keywords"]))
        for row in documents(f"{language}_domain", "unlabeled")
    ]
    assert sum(meet) / len(meet) > 0.8


@each_language
def test_neutral_words_are_as_frequent_in_both_polarities(language):
    for word in GRAMMARS[language].neutral:
        with_word = [
            number % 2
            for number, row in enumerate(documents(f"{language}_domain", "unlabeled"))
            if word in row["text"]
        ]
        assert abs(sum(with_word) / len(with_word) - 0.5) < 4 * math.sqrt(0.25 / len(with_word))


@each_language
def test_the_first_words_of_a_family_are_the_most_frequent_in_the_domain(language):
    counts = Counter(word for row in documents(f"{language}_domain", "unlabeled") for word in row["keywords"])
    for family in (family for pair in GRAMMARS[language].families.values() for family in pair):
        assert counts[family[0]] > 1.5 * counts[family[1]] > 1.5 * counts[family[-1]] > 0


@each_language
def test_task_training_never_shows_an_unseen_family(language):
    shown = {word for row in documents(f"{language}_task", "train") for word in row["keywords"]}
    assert shown == words(GRAMMARS[language], GRAMMARS[language].seen)


@pytest.mark.parametrize("split", ["dev", "test"])
@each_language
def test_evaluation_shows_all_families_and_mostly_unseen_words_alone(language, split):
    task = documents(f"{language}_task", split)
    unseen = words(GRAMMARS[language], GRAMMARS[language].unseen)
    assert {word for row in task for word in row["keywords"]} == words(GRAMMARS[language], GRAMMARS[language].families)
    assert 0.5 < sum(set(row["keywords"]) <= unseen for row in task) / len(task) < 0.7


@pytest.mark.parametrize(("language", "split"), TASK_SPLITS)
def test_labels_are_balanced(language, split):
    task = documents(f"{language}_task", split)
    assert abs(is_positive(task).mean() - 0.5) < 4 * math.sqrt(demo.LABEL_NOISE / len(task))


@pytest.mark.parametrize(("language", "split"), TASK_SPLITS)
def test_the_oracle_reaches_the_ceiling_and_only_noise_stops_it(language, split):
    task = documents(f"{language}_task", split)
    accuracy = np.mean([oracle(GRAMMARS[language], row["text"]) == row["label"] for row in task])
    assert abs(accuracy - CEILING) < 4 * math.sqrt(CEILING * (1 - CEILING) / len(task))


@each_language
def test_the_oracle_is_never_wrong_without_noise(language):
    for number, row in enumerate(documents(f"{language}_domain", "unlabeled")):
        assert oracle(GRAMMARS[language], row["text"]) == LABELS[number % 2]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("这家很美味。", "positive"),
        ("这家一点也不美味。", "negative"),
        ("朋友说很美味，这家难吃。", "negative"),
        ("不难吃，又耀眼又热情，点了两份米饭。", "positive"),
    ],
)
def test_the_oracle_reads_denials_and_hearsay(text, label):
    assert oracle(CHINESE, text) == label


@each_language
def test_a_bag_of_words_learns_the_seen_families_and_has_to_guess_the_others(language):
    vocabulary = sorted(words(GRAMMARS[language], GRAMMARS[language].families))
    train, test = documents(f"{language}_task", "train"), documents(f"{language}_task", "test")
    weights = logistic_regression(counts_of(train, vocabulary), is_positive(train))
    right = ((counts_of(test, vocabulary) @ weights[:-1] + weights[-1]) > 0) == is_positive(test)
    seen, unseen = (
        words(GRAMMARS[language], aspects) for aspects in (GRAMMARS[language].seen, GRAMMARS[language].unseen)
    )
    assert np.mean([ok for ok, row in zip(right, test, strict=True) if set(row["keywords"]) <= seen]) > 0.8
    guessed = [ok for ok, row in zip(right, test, strict=True) if set(row["keywords"]) <= unseen]
    assert abs(np.mean(guessed) - 0.5) < 4 * math.sqrt(0.25 / len(guessed))
