"""Ids by tables are those of the tokenizer library, whatever the text."""

import numpy as np
import pytest
from conftest import TEXTS, WORDS, wordpiece
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers
from transformers import PreTrainedTokenizerFast

from pipeline import lookup
from pipeline.lookup import Read, Table, read
from pipeline.vocabulary.wordpiece import train_wordpiece

HOSTILE = (
    "aAzZéÉßİǅﬀ\u0301\u0316\u0338\u302e ,.·—…!?！。、「$+<~٣½Ⅳ"
    "\u0000\u0085\u00a0\u00ad\u200b\u200d\u2028\u3000\ufeff\ufffd\t\n\r\x0b"
    "好吃㐀豈\U00020000\U0002f800々ガか゛한กำ\u0e33한เ\ufe0f\U0001f468\U0001f3fb\u1112\u1161\u11ab[MASK]##"
)
PIECES = [*WORDS, "[MASK]", "[SEP]", "##a", "played", "unplayed", "film\u0301", "x" * 101]
texts = st.lists(st.lists(st.one_of(st.sampled_from(HOSTILE), st.sampled_from(PIECES)), max_size=12).map("".join))


def bert(**rules: bool) -> PreTrainedTokenizerFast:
    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer(**rules)
    return tokenizer


RULES = [{"lowercase": True}, {"lowercase": False}, {"strip_accents": False}, {"clean_text": False}]
TOKENIZERS = [*(bert(**rules) for rules in RULES), train_wordpiece(lambda: [*TEXTS, HOSTILE], 150, 32, lowercase=True)]


def same(one: Read, other: Read) -> bool:
    pairs = zip((one.ids, one.offsets, one.lengths), (other.ids, other.offsets, other.lengths), strict=True)
    return all(mine.dtype == theirs.dtype and np.array_equal(mine, theirs) for mine, theirs in pairs)


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=range(len(TOKENIZERS)))
@given(texts)
def test_tables_and_library_agree(tokenizer, texts):
    assert lookup._parts_alone(tokenizer.backend_tokenizer)
    assert same(read(tokenizer, texts), lookup._by_library(tokenizer.backend_tokenizer, texts))


@pytest.mark.parametrize("tokenizer", TOKENIZERS, ids=range(len(TOKENIZERS)))
def test_they_agree_on_every_character_between_others(tokenizer):
    chars = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    some = [f"a{char}好{char}{char}." for char in chars[:: 41 if tokenizer is not TOKENIZERS[0] else 7]]
    assert same(read(tokenizer, some), lookup._by_library(tokenizer.backend_tokenizer, some))


def test_what_stands_alone_is_found_by_asking():
    kinds = lookup._kinds(train_wordpiece(lambda: ["好 吃 , 。 a b か"] * 3, 40, 32, True).backend_tokenizer)
    assert [char for char in "好吃,。abか" if kinds[ord(char)] >= 0] == list("好吃,。")


@pytest.mark.parametrize("kind", ["byte-level", "metaspace"])
def test_other_tokenizers_are_read_by_the_library(families, kind):
    tokenizer = families[kind]
    assert not lookup._parts_alone(tokenizer.backend_tokenizer)
    assert same(read(tokenizer, TEXTS), lookup._by_library(tokenizer.backend_tokenizer, TEXTS))


def test_ideographs_that_are_not_set_apart_are_not_looked_up():
    tokenizer = bert(handle_chinese_chars=False)
    assert same(read(tokenizer, ["好吃film"]), lookup._by_library(tokenizer.backend_tokenizer, ["好吃film"]))


def test_words_added_later_are_found():
    tokenizer = wordpiece()
    before = read(tokenizer, ["好吃 filmstars"]).ids.tolist()
    tokenizer.add_tokens(["filmstars"])
    after = read(tokenizer, ["好吃 filmstars"]).ids.tolist()
    assert before != after == tokenizer("好吃 filmstars", add_special_tokens=False)["input_ids"]


def test_what_is_kept_of_runs_is_bounded(tokenizer, monkeypatch):
    monkeypatch.setattr(lookup, "KEPT", 20)
    table = Table(tokenizer.backend_tokenizer)
    for number in range(50):
        some = [f"film{number} 好吃{number}", "is"]
        assert same(table.read(some), lookup._by_library(tokenizer.backend_tokenizer, some))
        assert len(table._numbers) < 20
