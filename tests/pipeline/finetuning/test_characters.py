"""Texts as their characters: what is a place, what should stand there, windows."""

import numpy as np
import pytest
from conftest import WORDS
from hypothesis import given, settings
from hypothesis import strategies as st
from spelling_toys import read, reader

from pipeline.batches import IGNORE
from pipeline.finetuning.characters import UNWRITABLE, Characters, codes_in, codes_of, text_of
from pipeline.run.errors import InputError

MIXED = st.text(
    st.sampled_from([*"我们爱好吃龘𠀀", *"abgAＡ１2 　,，。…!?é\u0301\u200b\r\n\t😀👨‍👩‍👧ﬁ㈱", *"play film "]),
    max_size=40,
)


def places_of(text: str, **how) -> dict[int, str]:
    """Places of a text -> what the label there says."""
    found = {}
    spelt = read([text, "我"], [how.pop("target", text), "我"], **how)
    for window, labels in zip(spelt.windows[:-1], spelt.labels[:-1], strict=True):
        for column, place in zip(window.columns, window.places, strict=True):
            label = labels[column]
            found[int(place)] = WORDS[label] if label >= 0 else "?"
    return found


def test_ideographs_and_marks_are_places_and_what_shares_a_token_is_none():
    assert places_of("我爱played film,好！") == {0: "我", 1: "爱", 13: ",", 14: "好", 15: "[UNK]"}
    assert places_of("我a ab") == {0: "我", 1: "a"}  # a letter beside an ideograph is a word of its own


def test_labels_say_what_should_stand_at_a_place():
    assert places_of("我差龘好", target="我吃好龘") == {0: "我", 1: "吃", 2: "好", 3: "?"}  # ? = not in the vocabulary
    assert places_of("龘A", target="龘a") == {0: "[UNK]", 1: "a"}  # what is right is what is read, unknown or not


@given(MIXED)
@settings(max_examples=150)
def test_whatever_a_text_holds_its_places_are_its_characters_one_token_each(text):
    tokenizer, spelt = reader().tokenizer, read([text, "我们"])
    assert text_of(spelt.written) == text + "我们"
    met = []
    for ids, window, labels in zip(spelt.input_ids, spelt.windows, spelt.labels, strict=True):
        np.testing.assert_array_equal(np.flatnonzero(labels != IGNORE), window.columns)
        np.testing.assert_array_equal(labels[window.columns], ids[window.columns])  # nothing is wrong
        for column, place in zip(window.columns, window.places, strict=True):
            alone = tokenizer(chr(spelt.written[place]), add_special_tokens=False)["input_ids"]
            assert alone == [ids[column]]
        met += window.places.tolist()
    assert met == sorted(set(met))  # each in one window


@given(
    st.text(st.sampled_from("我们爱这家店的菜很好吃 a"), min_size=1, max_size=60), st.sampled_from([0.0, 0.25, 0.6])
)
def test_windows_cover_a_long_text_and_a_place_is_answered_far_from_the_edges(text, overlap):
    spelt = read([text + "我"], max_length=12, overlap=overlap)
    ids = reader().tokenizer(text + "我", add_special_tokens=False)["input_ids"]
    assert all(len(row) <= 12 for row in spelt.input_ids)
    whole = read([text + "我"], max_length=500)
    assert np.concatenate([w.places for w in spelt.windows]).tolist() == whole.windows[0].places.tolist()
    if len(ids) <= 10:
        assert len(spelt.windows) == 1
    for number, window in enumerate(spelt.windows):
        ahead = len(spelt.input_ids[number]) - 2 - (window.columns - 1)
        if number:
            assert (window.columns > round(overlap * 10) // 2).all()
        if number + 1 < len(spelt.windows):
            assert (ahead > (round(overlap * 10) - 1) // 2).all()


def test_a_tokenizer_without_characters_is_refused(families):
    one = reader()
    one.tokenizer = families["byte-level"]
    with pytest.raises(InputError, match="of 6 ideographs the tokenizer reads 0 as tokens of their own"):
        Characters(one).read(["我们爱好吃的"])
    one.tokenizer = families["metaspace"]
    with pytest.raises(InputError, match="needs a tokenizer of characters"):
        Characters(one).read(["我们爱好吃的"])


def test_only_ids_that_are_a_character_can_be_written(tokenizer):
    codes = codes_of(tokenizer)
    assert text_of(codes[codes >= 0]) == "".join(word for word in WORDS if len(word) == 1)
    assert (codes[tokenizer.all_special_ids] == -1).all() and codes_in("我😀").tolist() == [ord("我"), ord("😀")]
    assert UNWRITABLE not in tokenizer.get_vocab().values()


def test_texts_without_a_place_and_empty_ones_are_read():
    spelt = read(["", "play", "我"])
    assert [window.places.tolist() for window in spelt.windows] == [[], [], [4]]
