"""Ids and the word of each, whatever the tokenizer family and the text."""

import re

import numpy as np
import pytest
from conftest import TEXTS, WORDS, wordpiece
from hypothesis import given
from hypothesis import strategies as st

from pipeline.run.errors import InputError
from pipeline.tokens import (
    Frame,
    Tokens,
    check_tokenizer,
    cut_points,
    encode,
    fingerprint,
    planted_words,
    replaceable_ids,
    sequence_rows,
    unknown_rate,
    words_of_tokens,
)

FAMILIES = ["wordpiece", "byte-level", "byte-level trimmed", "metaspace"]
CJK = "\u4e00-\u9fff"
WORD = re.compile(rf"[{CJK}]{{1,2}}|[^\W{CJK}]+|[^\w\s]")


def spans(text: str) -> np.ndarray:
    """Words as a toy sees them: one or two ideographs, a run of letters, any other visible character."""
    return np.array([match.span() for match in WORD.finditer(text)], dtype=np.int32).reshape(-1, 2)


def read(tokenizer, text: str) -> Tokens:
    return next(encode(tokenizer, [text], spans))


@pytest.fixture(params=FAMILIES, scope="session")
def family(request, families):
    return families[request.param]


def test_no_texts_are_no_tokens(tokenizer):
    assert list(encode(tokenizer, [], spans)) == []


def test_word_pieces_of_one_word_share_its_number(tokenizer):
    found = read(tokenizer, "unplayed 好吃 film，played")
    assert tokenizer.convert_ids_to_tokens(found.input_ids) == ["[UNK]", "好", "吃", "film", "[UNK]", "play", "##ed"]
    assert found.word_ids.tolist() == [-1, 1, 1, 2, -1, 4, 4]


@pytest.mark.parametrize("name", FAMILIES[1:3])
def test_the_blank_before_a_word_belongs_to_the_word(families, name):
    found = read(families[name], "the film  is")
    tokens = families[name].convert_ids_to_tokens(found.input_ids)
    assert tokens == ["the", "Ġfilm", "Ġ", "Ġ", "is"] and found.word_ids.tolist() == [0, 1, 2, 2, 2]


def test_all_bytes_of_a_character_belong_to_its_word(families):
    assert read(families["byte-level"], "a👍").word_ids.tolist() == [0, 1, 1, 1, 1]


def test_a_special_token_written_in_a_text_is_plain_text(family):
    text = f"a {family.mask_token} film{family.sep_token}{family.pad_token}"
    batch = {"id": ["x"], "text": [text], "text_pair": [None]}
    [row] = sequence_rows(batch, family, spans, max_length=64)
    kinds = {family.mask_token_id, family.pad_token_id, family.cls_token_id, family.sep_token_id}
    assert not kinds & set(row["input_ids"][1:-1].tolist())


def test_white_space_belongs_to_the_next_word_and_at_the_end_to_the_last(families):
    found = list(encode(families["byte-level"], [" the  film ", " ", " is"], spans))
    assert [each.word_ids.tolist() for each in found] == [[0, 0, 1, 1, 1], [-1], [0, 0]]


def test_words_that_share_a_token_are_one_word_with_the_number_of_the_first():
    words = np.array([(0, 1), (1, 3), (3, 4), (5, 6)])
    assert words_of_tokens(np.array([(0, 1), (1, 2), (2, 4), (5, 6)]), words).tolist() == [0, 1, 1, 3]
    assert words_of_tokens(np.array([(0, 2), (2, 4), (4, 6)]), words).tolist() == [0, 0, 3]


@pytest.mark.parametrize(
    ("name", "before", "between", "after"),
    [
        ("wordpiece", ["[CLS]"], ["[SEP]"], ["[SEP]"]),
        ("byte-level", ["<s>"], ["</s>"], ["</s>"]),
        ("byte-level trimmed", ["<s>"], ["</s>", "</s>"], ["</s>"]),
        ("metaspace", ["[CLS]"], ["[SEP]"], ["[SEP]"]),
    ],
)
def test_the_frame_is_what_the_tokenizer_puts_around_texts(families, name, before, between, after):
    tokenizer = families[name]
    frame = Frame.of(tokenizer)
    parts = [tokenizer.convert_ids_to_tokens(part) for part in (frame.before, frame.between, frame.after)]
    assert parts == [before, between, after]


@pytest.mark.parametrize("text", ["film is good", ""])
def test_framing_gives_the_ids_of_the_tokenizer_itself(family, text):
    found = Frame.of(family).around(read(family, text))
    assert found.input_ids.tolist() == family(text)["input_ids"]
    assert len(found.word_ids) == len(found.input_ids)


def test_special_tokens_are_of_no_word(tokenizer):
    assert Frame.of(tokenizer).around(read(tokenizer, "好吃 film")).word_ids.tolist() == [-1, 0, 0, 1, -1]


WORD_IDS = st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=12).map(
    lambda words: np.repeat([-1 if none else i for i, (_, none) in enumerate(words)], [n for n, _ in words]).astype(
        int
    )
)


@given(WORD_IDS, st.integers(1, 10))
def test_pieces_are_cut_between_words_and_lose_nothing(words, room):
    pieces = cut_points(words, room)
    edges = [start for start, _ in pieces] + [len(words)]
    assert edges[0] == 0 and [end for _, end in pieces] == edges[1:]
    assert all(end - start <= room for start, end in pieces)
    for start, end in pieces[:-1]:
        inside = words[end] == words[end - 1]
        assert not inside or (end - start == room and len(set(words[start:end])) == 1)  # longer than the room


@given(WORD_IDS, st.integers(1, 10))
def test_a_piece_is_as_long_as_fits(words, room):
    for (start, end), (_, next_end) in zip(cut_points(words, room), cut_points(words, room)[1:], strict=False):
        word_end = end + int(np.flatnonzero(np.diff(words[end:next_end], append=-9))[0]) + 1
        assert word_end - start > room


@given(text=st.lists(st.sampled_from(["好吃", "味道", "film", "played", "unable", "[MASK]", "，", "👍"]), max_size=30))
def test_a_long_document_becomes_sequences_that_together_are_the_document(family, text):
    text = " ".join(text)
    whole = read(family, text)
    batch = {"id": ["x"], "text": [text], "text_pair": [None]}
    rows = list(sequence_rows(batch, family, spans, max_length=12))
    assert [row["id"] for row in rows] == ["x", *(f"x#{number}" for number in range(1, len(rows)))]
    assert all(len(row["input_ids"]) <= 12 for row in rows)
    for column in ("input_ids", "word_ids"):
        assert [x for row in rows for x in row[column][1:-1].tolist()] == getattr(whole, column).tolist()


def test_a_pair_is_read_as_two_lines(tokenizer):
    batch = {"id": ["x"], "text": ["a film"], "text_pair": ["is good"]}
    [row] = sequence_rows(batch, tokenizer, spans, 16)
    assert row["input_ids"].tolist() == tokenizer("a film\nis good")["input_ids"]


def test_a_length_without_room_for_text_is_refused(tokenizer):
    batch = {"id": ["x"], "text": ["a film"], "text_pair": [None]}
    with pytest.raises(InputError, match="max_length = 2"):
        list(sequence_rows(batch, tokenizer, spans, 2))


def test_the_fingerprint_tells_tokenizers_apart_and_copies_not(families, tmp_path):
    assert len({fingerprint(tokenizer) for tokenizer in families.values()}) == len(families)
    assert fingerprint(wordpiece()) == fingerprint(families["wordpiece"])


def test_what_a_tokenizer_was_told_to_cut_or_pad_changes_neither_fingerprint_nor_ids():
    plain, told = wordpiece(), wordpiece()
    told.backend_tokenizer.enable_truncation(3)
    told.backend_tokenizer.enable_padding(length=9)
    assert fingerprint(told) == fingerprint(plain)
    assert read(told, TEXTS[0]).input_ids.tolist() == plain(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert fingerprint(told) == fingerprint(plain)


def test_nothing_special_or_unused_stands_in_for_a_masked_token(tokenizer):
    assert [WORDS[i] for i in replaceable_ids(tokenizer)] == [word for word in WORDS if not word.startswith("[")]


def test_the_unknown_rate_is_the_share_of_unknown_tokens(tokenizer):
    assert unknown_rate(tokenizer, ["the film zzz", "yyy"]) == 2 / 4
    assert unknown_rate(tokenizer, [""]) == 0


def test_a_tokenizer_without_mask_token_is_refused():
    tokenizer = wordpiece()
    tokenizer.mask_token = None
    with pytest.raises(InputError, match="no mask token"):
        check_tokenizer(tokenizer, 1000, "toy")


def test_a_tokenizer_larger_than_the_model_is_refused_with_both_sizes(tokenizer):
    with pytest.raises(InputError, match=rf"{len(WORDS)} entries, its model only 5 embeddings"):
        check_tokenizer(tokenizer, 5, "toy")


@given(st.text("ab ", max_size=15), st.lists(st.text("ab", min_size=1, max_size=3), max_size=3))
def test_planted_words_are_those_that_share_a_character_with_a_keyword(text, keywords):
    inside = {
        place for k in keywords for start in range(len(text)) if text.startswith(k, start)
        for place in range(start, start + len(k))
    }  # fmt: skip
    edges = spans(text)
    assert planted_words(text, edges, keywords).tolist() == [
        bool(inside & set(range(*edge))) for edge in edges.tolist()
    ]
