"""Which words are predicted."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masking_toys import reference, rows, words_of
from transformers import DataCollatorForLanguageModeling

from pipeline.batches import IGNORE, MaskedBatches
from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.selection import choose

POLICIES = ["random", "whole_word", "selective"]
FIRST = MaskingConfig("selective", selective_share=1.0)
"""The most important words as long as the budget lasts."""
RATES = [0.02, 0.15, 0.3, 0.5, 0.85]


@st.composite
def configs(draw: st.DrawFn) -> MaskingConfig:
    """Any masking that is not refused."""
    policy = draw(st.sampled_from(POLICIES))
    units = {"random": ["word", "token"], "whole_word": ["word", "ngram", "span"]}
    return MaskingConfig(
        policy,
        mask_rate=draw(st.floats(0.01, 0.99)),
        unit=draw(st.sampled_from(units.get(policy, ["word", "ngram", "span", "token"]))),
        select=draw(st.sampled_from(["top", "sample", "threshold"])),
        threshold=draw(st.integers(1, 255)),
        temperature=draw(st.floats(0.1, 10)),
        selective_share=draw(st.floats(0, 1)),
        fill=draw(st.sampled_from(["random", "none"])),
        seed=draw(st.integers(0, 9)),
    )


@given(st.integers(0, 10**6), configs())
@settings(max_examples=300)
def test_the_choice_is_that_of_a_plain_reference(seed, config):
    word_ids, importance, keys, epochs = rows(seed, 4, words=8)
    importance[np.isin(word_ids, np.random.default_rng(seed).integers(0, 8, 2))] = 0  # never to be chosen
    found = choose(config, word_ids, importance, keys, epochs)
    wanted = [reference(config, *row) for row in zip(word_ids, importance, keys, epochs, strict=True)]
    assert found.tolist() == wanted


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_budget_is_hit_to_within_a_word(policy, rate):
    word_ids, importance, keys, epochs = rows(1, 300, words=30)
    masked = choose(MaskingConfig(policy, rate), word_ids, importance, keys, epochs)
    longest = 1 if policy == "random" else 4
    assert (abs(masked.sum(1) - rate * (word_ids >= 0).sum(1)) < longest).all()


@pytest.mark.parametrize("rate", RATES[1:])
@pytest.mark.parametrize("policy", POLICIES)
def test_the_expected_number_is_the_budget_exactly(policy, rate):
    word_ids, importance, keys, _ = rows(2, 1, words=40)
    word_ids, importance, keys = (np.repeat(x, 4000, axis=0) for x in (word_ids, importance, keys))
    counts = choose(MaskingConfig(policy, rate), word_ids, importance, keys, np.arange(4000)).sum(1)
    budget = rate * (word_ids[0] >= 0).sum()
    assert abs(counts.mean() - budget) < 4 * max(counts.std(), 0.01) / np.sqrt(4000)


@pytest.mark.parametrize("policy", ["random", "whole_word"])
def test_every_word_is_as_likely_as_any_other_of_its_length(policy):
    word_ids = np.repeat(np.array([[-1, *range(20), -1]]), 5000, axis=0)
    importance, keys = np.zeros(word_ids.shape, np.uint8), np.repeat(document_keys(["x"]), 5000)
    share = choose(MaskingConfig(policy, 0.25), word_ids, importance, keys, np.arange(5000)).mean(0)[1:-1]
    assert abs(share - 0.25).max() < 4.5 * np.sqrt(0.25 * 0.75 / 5000)


@pytest.mark.parametrize("policy", ["whole_word", "selective"])
@pytest.mark.parametrize("rate", RATES)
def test_a_word_is_taken_whole_or_not_at_all(policy, rate):
    word_ids, importance, keys, epochs = rows(3, 200, words=20)
    masked = choose(MaskingConfig(policy, rate), word_ids, importance, keys, epochs)
    for words, row in zip(word_ids, masked, strict=True):
        assert all(len(set(row[unit].tolist())) == 1 for unit in words_of(words, by_token=False))


@pytest.mark.parametrize("policy", POLICIES)
def test_special_tokens_and_padding_are_never_chosen(policy):
    word_ids, importance, keys, epochs = rows(4, 200, words=20)
    importance[:] = 255
    assert not choose(MaskingConfig(policy, 0.9), word_ids, importance, keys, epochs)[word_ids < 0].any()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_row_with_a_word_has_something_to_predict_and_one_without_has_not(policy):
    word_ids = np.array([[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1], [-1, -1, -1, -1, -1]])
    keys = document_keys("abc")
    masked = choose(MaskingConfig(policy, 0.01), word_ids, np.zeros((3, 5), np.uint8), keys, np.zeros(3, int))
    assert masked.any(1).tolist() == [True, True, False]


def test_a_batch_without_any_word_is_no_error():
    masked = choose(
        MaskingConfig(), np.full((2, 3), -1), np.zeros((2, 3), np.uint8), document_keys("ab"), np.zeros(2, int)
    )
    assert masked.shape == (2, 3) and not masked.any()


def test_a_word_with_an_unknown_token_in_it_is_one_word():
    word_ids, zeros = np.array([[-1, 0, -1, 0, -1]] * 200), np.zeros((200, 5), np.uint8)
    masked = choose(
        MaskingConfig("whole_word", 0.5), word_ids, zeros, np.repeat(document_keys("a"), 200), np.arange(200)
    )
    assert set(map(tuple, masked.tolist())) == {(False, True, False, True, False)}


@pytest.mark.parametrize("epoch", range(5))
def test_the_most_important_words_are_taken_first(epoch):
    word_ids = np.array([[-1, *range(10), -1]])
    importance = np.array([[0, 10, 240, 1, 200, 130, 255, 100, 1, 1, 1, 0]], dtype=np.uint8)
    masked = choose(
        replace(FIRST, mask_rate=0.3),
        word_ids,
        importance,
        document_keys(["x"]),
        np.array([epoch]),
    )
    assert np.flatnonzero(masked[0]).tolist() == [2, 4, 6]


def test_words_of_equal_importance_take_turns():
    word_ids = np.repeat(np.array([[-1, *range(10), -1]]), 3000, axis=0)
    importance = np.where(np.isin(np.arange(12), [2, 5, 9]), 200, 1).astype(np.uint8)[None].repeat(3000, 0)
    masked = choose(
        replace(FIRST, mask_rate=0.1),
        word_ids,
        importance,
        np.repeat(document_keys("x"), 3000),
        np.arange(3000),
    )
    share = masked.mean(0)
    assert share[[2, 5, 9]].sum() == 1 and abs(share[[2, 5, 9]] - 1 / 3).max() < 0.04


def test_what_important_words_leave_of_the_budget_is_drawn_at_random():
    word_ids = np.repeat(np.array([[-1, *range(10), -1]]), 5000, axis=0)
    importance = np.where(np.arange(12) == 4, 255, 20).astype(np.uint8)[None].repeat(5000, 0)
    masked = choose(
        replace(FIRST, mask_rate=0.4),
        word_ids,
        importance,
        np.repeat(document_keys("x"), 5000),
        np.arange(5000),
    )
    others = np.delete(masked[:, 1:-1], 3, axis=1)
    assert masked[:, 4].all() and (others.sum(1) == 3).all()
    assert abs(others.mean(0) - 3 / 9).max() < 4.5 * np.sqrt(2 / 9 / 5000)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_important_words_fill_no_more_than_their_share(share):
    word_ids = np.repeat(np.array([[-1, *range(100), -1]]), 500, axis=0)
    importance = np.where(np.arange(102) <= 40, 255, 1).astype(np.uint8)[None].repeat(500, 0)
    config = MaskingConfig("selective", 0.2, selective_share=share)
    masked = choose(config, word_ids, importance, np.repeat(document_keys("x"), 500), np.arange(500))
    wanted = 20 * share + 20 * (1 - share) * (40 - 20 * share) / (
        100 - 20 * share
    )  # those chosen, those met by chance
    assert abs(masked[:, 1:41].sum(1).mean() - wanted) < 0.6


@given(st.integers(0, 10**6), st.sampled_from(POLICIES), st.integers(0, 9))
def test_a_row_is_masked_the_same_whatever_is_beside_it(seed, policy, padding):
    config = MaskingConfig(policy, 0.3)
    word_ids, importance, keys, epochs = rows(seed, 5, words=10)
    together = choose(config, word_ids, importance, keys, epochs)
    wider = [np.pad(x, ((0, 0), (0, padding)), constant_values=fill) for x, fill in ((word_ids, -1), (importance, 0))]
    for i in reversed(range(5)):
        alone = choose(config, wider[0][[i]], wider[1][[i]], keys[[i]], epochs[[i]])[0]
        assert alone[: word_ids.shape[1]].tolist() == together[i].tolist() and not alone[word_ids.shape[1] :].any()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_visit_has_a_mask_of_its_own(policy):
    word_ids, importance, keys, _ = rows(5, 1, words=30)
    importance[:] = np.where(word_ids == 3, 255, 1)
    masks = {
        choose(MaskingConfig(policy, 0.3), word_ids, importance, keys, np.array([epoch])).tobytes()
        for epoch in range(20)
    }
    assert len(masks) == 20


SENTENCE = "我们爱吃这家店的菜"


@pytest.mark.filterwarnings("ignore:Random token replacement")
def test_whole_word_masking_of_the_library_masks_a_chinese_sentence_all_or_not_at_all(tokenizer):
    collate = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True, mlm_probability=0.3, seed=0)
    row = tokenizer(SENTENCE, return_offsets_mapping=True, return_special_tokens_mask=True)
    labels = collate([dict(row) for _ in range(40)])["labels"]
    assert {int(count) for count in (labels != -100).sum(1)} == {0, len(SENTENCE)}


def test_whole_word_masking_of_ours_masks_words_of_a_chinese_sentence():
    words = np.array([[-1, 0, 0, 1, 2, 3, 3, 3, 4, 5, -1]] * 40)  # 我们 爱 吃 这家店 的 菜
    masked = choose(MaskingConfig("whole_word", 0.3), words, np.zeros(words.shape, np.uint8),
                    np.repeat(document_keys("x"), 40), np.arange(40))  # fmt: skip
    assert {int(count) for count in masked.sum(1)} <= {1, 2, 3, 4, 5} and len({row.tobytes() for row in masked}) > 10


def test_a_schedule_decides_how_many_tokens_a_batch_predicts(sequences, vocabulary):
    config = MaskingConfig("random", 0.6, mask_rate_schedule="linear", final_mask_rate=0.1)
    batches = MaskedBatches(sequences, config, vocabulary, 0)
    everything = np.arange(len(sequences)), np.zeros(len(sequences), dtype=int)
    first, last = (int((batches.batch(*everything, elapsed)["labels"] != IGNORE).sum()) for elapsed in (0.0, 1.0))
    words = int((sequences.word_ids >= 0).sum())
    assert abs(first / words - 0.6) < 0.05 and abs(last / words - 0.1) < 0.06


@given(st.integers(0, 10**6), configs())
def test_what_is_never_to_be_chosen_is_not_and_a_row_with_anything_else_has_a_target(seed, config):
    word_ids, importance, keys, epochs = rows(seed, 6, words=12)
    importance[np.isin(word_ids, np.random.default_rng(seed).integers(0, 12, 5))] = 0
    masked = choose(config, word_ids, importance, keys, epochs)
    assert not masked[(word_ids < 0) | (importance == 0)].any()
    assert masked.any(1).tolist() == ((word_ids >= 0) & (importance > 0)).any(1).tolist()


def test_a_row_that_nobody_scored_is_chosen_from_as_if_all_its_words_were_alike():
    word_ids, importance, keys, epochs = rows(7, 20, words=20)
    found = [choose(MaskingConfig("whole_word"), word_ids, importance * part, keys, epochs) for part in (0, 1)]
    assert (found[0] == found[1]).all()


@given(st.integers(0, 10**6), configs())
def test_the_budget_is_never_missed_by_a_unit(seed, config):
    word_ids, importance, keys, epochs = rows(seed, 6, words=40)
    masked = choose(config, word_ids, importance, keys, epochs)
    longest = {"ngram": 4, "span": 10}.get(config.unit, 1) * (1 if config.by_token else 4)
    off = masked.sum(1) - config.mask_rate * (word_ids >= 0).sum(1)
    assert (off < longest).all() and (config.fill == "none" or (off > -longest).all())


def repeated(importance: list[int], visits: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One row of one-token words of this importance, visited so many times."""
    word_ids = np.repeat(np.arange(len(importance))[None], visits, axis=0)
    scores = np.repeat(np.array([importance], dtype=np.uint8), visits, axis=0)
    return word_ids, scores, np.repeat(document_keys(["x"]), visits), np.arange(visits)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_words_are_sampled_in_proportion_to_their_importance(temperature):
    importance = [10, 20, 40, 80, 100]
    config = replace(FIRST, mask_rate=0.2, select="sample", temperature=temperature)
    share = choose(config, *repeated(importance, 20_000)).mean(0)
    weights = np.array(importance) ** (1 / temperature)
    wanted = weights / weights.sum()
    assert (((share - wanted) ** 2) / wanted).sum() * 20_000 < 25  # chi-square of 4: beyond 25 once in 20,000


def test_the_second_sampled_word_is_drawn_from_those_that_are_left():
    weights = np.array([1.0, 2.0, 5.0])
    share = choose(replace(FIRST, mask_rate=2 / 3, select="sample"), *repeated([10, 20, 50], 20_000)).mean(0)
    p = weights / weights.sum()
    wanted = p + [sum(p[j] * p[i] / (1 - p[j]) for j in range(3) if j != i) for i in range(3)]
    assert abs(share - wanted).max() < 0.015


def test_above_the_threshold_no_word_is_preferred():
    config = replace(FIRST, mask_rate=0.2, select="threshold", threshold=100)
    share = choose(config, *repeated([99, 100, 255, 150, 1, 1, 1, 1, 1, 1], 6000)).mean(0)
    assert abs(share[1:4] - 2 / 3).max() < 0.03 and share[0] == share[4:].sum() == 0


def test_budget_that_important_words_leave_may_stay_unused():
    importance = [255, 200, *[1] * 18]
    config = replace(FIRST, mask_rate=0.5, fill="none")
    masked = choose(config, *repeated(importance, 50))
    assert masked[:, :2].all() and not masked[:, 2:].any()
    mixed = choose(replace(config, selective_share=0.5), *repeated(importance, 50))
    assert mixed[:, :2].all() and set(mixed.sum(1).tolist()) == {7}  # two of the five that may be, five at random


def test_without_an_important_word_one_word_is_drawn_though_nothing_is_filled():
    masked = choose(replace(FIRST, fill="none"), *repeated([1] * 20, 200))
    assert set(masked.sum(1).tolist()) == {1} and masked.any(0).sum() > 15


@given(st.integers(0, 10**6), configs())
def test_the_control_has_as_many_targets_row_by_row_to_within_a_word(seed, config):
    word_ids, importance, keys, epochs = rows(seed, 8, words=30)
    config = replace(config, policy="selective")
    wanted = choose(config, word_ids, importance, keys, epochs).sum(1)
    found = choose(replace(config, control=True), word_ids, importance, keys, epochs).sum(1)
    longest = {"ngram": 4, "span": 10}.get(config.unit, 1) * (1 if config.by_token else 4)
    assert (abs(found - wanted) < longest).all()


def test_the_control_has_the_same_number_on_average_and_does_not_look_at_importance():
    config = replace(FIRST, mask_rate=0.23, fill="none", control=True)
    word_ids = np.repeat(np.repeat(np.arange(20), [1, 2, 3, 4] * 5)[None], 8000, axis=0)
    importance = np.where(word_ids < 5, 200, 1).astype(np.uint8)
    visits = np.repeat(document_keys("x"), 8000), np.arange(8000)
    wanted = choose(replace(config, control=False), word_ids, importance, *visits)
    found = choose(config, word_ids, importance, *visits)
    assert abs(found.sum(1).mean() - wanted.sum(1).mean()) < 0.06
    assert abs(found[:, importance[0] > 1].mean() - found[:, importance[0] == 1].mean()) < 0.02


def test_rows_beyond_what_one_key_can_number_are_chosen_the_same():
    word_ids, importance, keys, epochs = rows(8, 2100, words=6)
    config = MaskingConfig("selective", 0.3)
    together = choose(config, word_ids, importance, keys, epochs)
    parts = [choose(config, *(x[part] for x in (word_ids, importance, keys, epochs)))
             for part in (slice(0, 1000), slice(1000, None))]  # fmt: skip
    assert (together == np.concatenate(parts)).all()
