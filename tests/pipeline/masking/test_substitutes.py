"""What may stand for a word."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.masking import substitutes
from pipeline.masking.substitutes import (
    Substitutes,
    from_words,
    hashes,
    read_words,
    same_sound,
    similar_words,
    words_of,
)
from pipeline.run.errors import InputError

WORD = st.lists(st.integers(0, 20), min_size=1, max_size=4).map(tuple)
TABLES = st.dictionaries(WORD, st.lists(WORD, max_size=4), max_size=12)


def entries(table: Substitutes, words: list[tuple[int, ...]]) -> np.ndarray:
    lengths = np.array([len(word) for word in words], dtype=int)
    names = hashes(np.array([i for word in words for i in word], dtype=int), np.cumsum(lengths) - lengths)
    return table.find(names, lengths)


def candidates(table: Substitutes, entry: int, draws: int = 200) -> set[tuple[int, ...]]:
    """All that may be drawn."""
    length = int(table.lengths[entry])
    ids = table.tokens_of(np.full(draws, entry), np.linspace(0, 1, draws, endpoint=False))
    return set(map(tuple, ids.reshape(draws, length).tolist()))


@given(TABLES, st.lists(WORD, max_size=5))
def test_a_table_is_the_mapping_it_was_made_of_without_words_of_another_length(mapping, others):
    table, words = Substitutes.of(mapping), [*mapping, *others]
    sound = {word: {w for w in mapping.get(word, []) if len(w) == len(word) and w != word} for word in words}
    for word, entry in zip(words, entries(table, words), strict=True):
        assert (entry >= 0) == bool(sound[word])
        if entry >= 0:
            assert candidates(table, entry) == sound[word]


def test_a_table_comes_back_from_its_file(tmp_path):
    table = Substitutes.of({(1, 2): [(3, 4), (5, 6)], (7,): [(8,)]})
    table.save(tmp_path / substitutes.FILE)
    found = Substitutes.load(tmp_path / substitutes.FILE)
    for name in ("hashes", "lengths", "offsets", "ids"):
        assert getattr(found, name).tolist() == getattr(table, name).tolist()
        assert getattr(found, name).dtype == getattr(table, name).dtype


def test_a_missing_table_says_how_to_make_it(tmp_path):
    with pytest.raises(InputError, match="run make masked"):
        Substitutes.load(tmp_path / "none")


def test_the_order_of_the_ids_is_part_of_a_word():
    assert len(set(hashes(np.array([1, 2, 2, 1, 1, 2, 0]), np.array([0, 2, 4])).tolist())) == 3


def test_the_words_of_a_sequence_are_the_ids_that_share_a_number():
    ids, words = np.array([2, 10, 11, 12, 1, 13, 3]), np.array([-1, 0, 0, 1, -1, 1, -1])
    assert words_of(ids, words) == [(10, 11), (12, 13)] and words_of(ids, np.full(7, -1)) == []


@pytest.mark.parametrize("block", [2, 1000])
def test_similar_words_are_the_nearest_frequent_words_of_as_many_tokens(block, monkeypatch):
    monkeypatch.setattr(substitutes, "BLOCK", block)
    draw = np.random.default_rng(0)
    embeddings = draw.normal(size=(30, 8)).astype(np.float32)
    counts = {(i,): 9 for i in range(12)} | {(i, i + 1): 5 for i in range(12, 20)} | {(25,): 4}
    found = similar_words(counts, embeddings, neighbours=3, min_count=5)
    mean = {word: embeddings[list(word)].mean(0) for word in counts}
    cosine = lambda a, b: mean[a] @ mean[b] / np.linalg.norm(mean[a]) / np.linalg.norm(mean[b])
    for word in set(counts) - {(25,)}:
        others = [w for w in counts if len(w) == len(word) and w not in (word, (25,))]
        assert found[word] == sorted(others, key=lambda other: -cosine(word, other))[:3]
    assert set(found) == set(counts) - {(25,)}


def test_a_word_without_others_of_its_length_has_no_similar_ones():
    assert similar_words({(1,): 9, (2, 3): 9}, np.eye(4), min_count=1) == {(1,): [], (2, 3): []}
    assert len(Substitutes.of({(1,): []})) == 0


def test_a_list_of_words_becomes_one_of_ids(tmp_path):
    (tmp_path / "words.tsv").write_text("好\t妙\t不错\n\n差\t坏\n", encoding="utf-8")
    words = read_words(tmp_path / "words.tsv")
    assert words == {"好": ["妙", "不错"], "差": ["坏"]}
    ids = {"好": 1, "妙": 2, "不": 3, "错": 4, "差": 5, "坏": 6}
    found = from_words(words, lambda texts: [[ids[char] for char in text] for text in texts])
    assert found == {(1,): [(2,), (3, 4)], (5,): [(6,)]}


def test_a_missing_list_says_what_it_should_look_like(tmp_path):
    with pytest.raises(InputError, match="word<TAB>other"):
        read_words(tmp_path / "none.tsv")


def test_characters_of_one_pinyin_stand_for_each_other():
    pytest.importorskip("pypinyin")
    found = same_sound({"a": 0, "他": 1, "她": 2, "好": 3, "##它": 4, "号": 5, "它": 6, "吃": 7})
    assert found == {(1,): [(2,), (6,)], (2,): [(1,), (6,)], (6,): [(1,), (2,)], (3,): [(5,)], (5,): [(3,)], (7,): []}


def test_without_the_package_pinyin_is_refused_in_one_line(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pypinyin", None)
    with pytest.raises(InputError, match="pip install pypinyin"):
        same_sound({"好": 1})
