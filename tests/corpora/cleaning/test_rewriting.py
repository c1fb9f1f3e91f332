"""HTML read as a browser shows it, and numbers that lead to a person: what changes, what does not, what is counted."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.cleaning.markup import without_markup
from corpora.cleaning.privacy import without_private
from corpora.cleaning.rewriting import noted_by, noted_in, rewrites, rewrites_named, rewritten
from corpora.cleaning.simplified import simplified, simplified_each


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<p>很好 &amp; 便宜</p><p>下次再来</p>", "很好 & 便宜\n下次再来"),
        ("good<br/>very <b>good</b>", "good\nvery good"),
        ("<script>alert('x')</script>a<style>p {}</style>b", "ab"),
        ("<!-- hidden -->seen", "seen"),
        ("&#8220;quoted&#8221;&nbsp;&lt;tag&gt;", "“quoted”\xa0<tag>"),
        ("<div><ul><li>one</li><li>two</li></ul></div>", "one\ntwo"),
    ],
)
def test_markup_is_read_as_a_browser_shows_it(written, read):
    assert without_markup(written) == read


@pytest.mark.parametrize("text", ["a < b and b > c", "我 <3 你", "R&D", "1 <2", "plain\ntext  with blanks", "x<-y"])
def test_what_is_no_markup_stays(text):
    assert without_markup(text) == text


@given(st.text(alphabet="<>/&;#!-ab \n\"'=", max_size=60))
def test_no_markup_however_broken_is_an_error(text):
    assert isinstance(without_markup(text), str)


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        ("打13812345678找我", "打00000000000找我"),
        ("+86 138-1234-5678。", "+00 000-0000-0000。"),
        ("座机 010-62345678", "座机 000-00000000"),
        ("客服400-810-8888", "客服000-000-0000"),
        ("call (415) 555-2671 now", "call (000) 000-0000 now"),
        ("+44 20 7946 0958", "+00 00 0000 0000"),
        ("写信到li.wei+a@mail.example.com.cn吧", "写信到name@example.com吧"),
        ("身份证11010519491231002X。", "身份证00000000000000000X。"),
    ],
)
def test_what_leads_to_a_person_is_made_anonymous(written, masked):
    assert without_private(written) == masked


@pytest.mark.parametrize(
    "text",
    [
        "2024-11-26 15:30",
        "价格 1999.00 元, 买了 3 件",
        "订单号 110105194912310021",  # the last place does not check the others
        "ISBN 978-7-111-54493-7",
        "3.14159265358979",
        "a@b, @li, x @ y",
        "版本 1.2.3.4, 20241126",
    ],
)
def test_other_numbers_stay(text):
    assert without_private(text) == text


def test_rows_that_change_are_counted_by_what_changed_them():
    rows = [{"text": "<b>好</b>", "text_pair": "13812345678"}, {"text": "好", "text_pair": None}, {"text": None}]
    changed: Counter[str] = Counter()
    found = list(rewritten(rows, rewrites(markup=True, private=True, simplify=False), changed))
    assert found == [{"text": "好", "text_pair": "00000000000"}, {"text": "好", "text_pair": None}, {"text": None}]
    assert changed == {"markup": 1, "private": 1}
    pair = {"text": "打13812345678", "source": "打13812345678", "target": "拨13812345678"}
    [found] = rewritten([pair], rewrites(markup=False, private=True, simplify=False), changed)
    assert found == {"text": "打00000000000", "source": "打00000000000", "target": "拨00000000000"}
    assert not rewrites(markup=False, private=False, simplify=False)


@pytest.mark.parametrize("asked", [(True, True, True), (False, True, False), (True, False, True), (False,) * 3])
def test_what_was_done_to_a_corpus_is_noted_in_it_and_found_again(asked):
    done = rewrites(*asked)
    assert bool(noted_in(done)) == any(asked) and rewrites_named(noted_by(noted_in(done))) == done


def test_traditional_characters_are_simplified_by_their_words():
    assert simplified("乾淨的乾坤，著名的頭髮") == "干净的乾坤，著名的头发"
    assert simplified(kept := "头发发展，𠮷 é\0 plain") == kept and simplified("漢\ud800") == "漢\ud800"


@given(st.text(alphabet="乾坤淨著名發頭髮後裡門a1。 \u0301\ud800", max_size=12))
def test_what_is_simplified_character_by_character_stays_as_long(text):
    found = simplified_each(text)
    assert len(found) == len(text) and found == "".join(map(simplified_each, text))


def test_what_stands_beside_a_text_is_simplified_with_it_and_stays_aligned():
    tagged = {"text": "乾坤門", "tokens": ["乾坤", "門"], "tags": ["B-門", "O"], "label": "門"}
    pair = {"text": "乾坤門", "source": "乾坤門", "target": "乾坤们"}
    plain = {"text": "乾坤門", "keywords": ["乾坤", "門"], "target": None}
    changed: Counter[str] = Counter()
    found = list(rewritten([tagged, pair, plain], rewrites(markup=False, private=False, simplify=True), changed))
    assert found == [
        {"text": "干坤门", "tokens": ["干坤", "门"], "tags": ["B-門", "O"], "label": "門"},
        {"text": "干坤门", "source": "干坤门", "target": "干坤们"},
        {"text": "乾坤门", "keywords": ["乾坤", "门"], "target": None},
    ]
    assert changed == {"simplified": 3}
