"""Which words are predicted."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import DataCollatorForLanguageModeling

from pipeline.batches import IGNORE, MaskedBatches
from pipeline.draws import CHOOSE, CROSS, RANK, document_keys, uniform
from pipeline.masking.config import IMPORTANT, MaskingConfig
from pipeline.masking.selection import choose

POLICIES = ["random", "whole_word", "selective"]
RATES = [0.02, 0.15, 0.3, 0.5, 0.85]


def rows(seed: int, count: int, words: int, longest: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """word_ids, importance, keys, epochs of `count` rows of up to `words` words between two special tokens."""
    draw = np.random.default_rng(seed)
    lists = [
        np.repeat(np.arange(n), draw.integers(1, longest + 1, n))
        for n in draw.integers(words // 2 + 1, words + 1, count)
    ]
    length = max(map(len, lists)) + 2
    word_ids = np.full((count, length), -1)
    for row, word in zip(word_ids, lists, strict=True):
        row[1 : len(word) + 1] = word
    importance = draw.integers(0, 256, (count, words))
    importance = np.where(word_ids >= 0, np.take_along_axis(importance, np.maximum(word_ids, 0), 1), 0).astype(
        np.uint8
    )
    return word_ids, importance, document_keys([f"row {i}" for i in range(count)]), draw.integers(0, 5, count)


def words_of(word_ids: np.ndarray, policy: str) -> list[list[int]]:
    """Positions of each unit of a row: a word, or a token where the policy is random."""
    inside = [place for place, word in enumerate(word_ids.tolist()) if word >= 0]
    if policy == "random":
        return [[place] for place in inside]
    return [list(places) for _, places in groupby(inside, key=lambda place: word_ids[place])]


def reference(config: MaskingConfig, word_ids: np.ndarray, importance: np.ndarray, key: int, epoch: int) -> list[bool]:
    """`choose` for one row, in plain Python."""
    units = words_of(word_ids, config.policy)
    budget, spent, chosen = config.mask_rate * sum(map(len, units)), 0, set()
    cross = uniform(config.seed, CROSS, key, epoch)

    def chance(unit: list[int]) -> float:
        return float(uniform(config.seed, CHOOSE, key, epoch, unit[0]))

    def score(unit: list[int]) -> float:
        return float(uniform(config.seed, RANK, key, epoch, unit[0])) - int(importance[unit].max())

    first = []
    if config.policy == "selective":
        for unit in sorted((u for u in units if importance[u].max() >= IMPORTANT), key=score):
            if sum(map(len, first)) < budget * config.selective_share:
                first.append(unit)
    for unit in first + sorted((u for u in units if u not in first), key=chance):
        if cross * len(unit) < budget - spent or (spent == 0 and not chosen and spent + len(unit) > budget):
            chosen |= set(unit)
        spent += len(unit)
    return [place in chosen for place in range(len(word_ids))]


@given(st.integers(0, 10**6), st.sampled_from(POLICIES), st.floats(0.01, 0.99), st.floats(0, 1))
def test_the_choice_is_that_of_a_plain_reference(seed, policy, rate, share):
    config = MaskingConfig(policy, rate, share, seed=seed % 7)
    word_ids, importance, keys, epochs = rows(seed, 4, words=8)
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
        assert all(len(set(row[unit].tolist())) == 1 for unit in words_of(words, policy))


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
    importance = np.array([[0, 10, 240, 0, 200, 130, 255, 100, 0, 0, 0, 0]], dtype=np.uint8)
    masked = choose(MaskingConfig("selective", 0.3), word_ids, importance, document_keys(["x"]), np.array([epoch]))
    assert np.flatnonzero(masked[0]).tolist() == [2, 4, 6]


def test_words_of_equal_importance_take_turns():
    word_ids = np.repeat(np.array([[-1, *range(10), -1]]), 3000, axis=0)
    importance = np.where(np.isin(np.arange(12), [2, 5, 9]), 200, 0).astype(np.uint8)[None].repeat(3000, 0)
    masked = choose(
        MaskingConfig("selective", 0.1), word_ids, importance, np.repeat(document_keys("x"), 3000), np.arange(3000)
    )
    share = masked.mean(0)
    assert share[[2, 5, 9]].sum() == 1 and abs(share[[2, 5, 9]] - 1 / 3).max() < 0.04


def test_what_important_words_leave_of_the_budget_is_drawn_at_random():
    word_ids = np.repeat(np.array([[-1, *range(10), -1]]), 5000, axis=0)
    importance = np.where(np.arange(12) == 4, 255, 20).astype(np.uint8)[None].repeat(5000, 0)
    masked = choose(
        MaskingConfig("selective", 0.4), word_ids, importance, np.repeat(document_keys("x"), 5000), np.arange(5000)
    )
    others = np.delete(masked[:, 1:-1], 3, axis=1)
    assert masked[:, 4].all() and (others.sum(1) == 3).all()
    assert abs(others.mean(0) - 3 / 9).max() < 4.5 * np.sqrt(2 / 9 / 5000)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_important_words_fill_no_more_than_their_share(share):
    word_ids = np.repeat(np.array([[-1, *range(100), -1]]), 500, axis=0)
    importance = np.where(np.arange(102) <= 40, 255, 0).astype(np.uint8)[None].repeat(500, 0)
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
    importance[:] = np.where(word_ids == 3, 255, 0)
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
