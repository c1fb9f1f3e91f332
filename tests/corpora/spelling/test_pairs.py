"""Pairs of spelling correction: aligned, repaired where it is no spelling, refused with a reason."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.spelling.pairs import aligned, changed_share, with_pairs


@pytest.mark.parametrize(
    ("source", "target", "fixed", "repaired"),
    [
        ("我门很好", "我们很好", "我们很好", ""),
        ("我门，很好", "我们,很好", "我们，很好", "form"),  # the width of a comma
        ("买ipone和ＩＢＭ", "买iPone和ibm", "买ipone和ＩＢＭ", "form"),
        ("我门很好", "我们 很好\n", "我们很好", "layout"),
        ("我 门很好。", "我们很好", "我 们很好。", "layout"),
        ("他说...我门", "他说…我们", "他说...我们", "layout"),
        ("\ufeff我门\r\n好", "我们\n好", "我们\n好", ""),
        ("价钱是2十元", "价钱是二十元", "价钱是二十元", ""),
    ],
)
def test_a_pair_has_one_character_for_one(source, target, fixed, repaired):
    pair, reason = aligned(source, target)
    assert (pair.target, pair.repaired, reason) == (fixed, repaired, "")
    assert len(pair.source) == len(pair.target)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("我很好", "我很好啊", "unequal_length"),
        ("我们很好", "他去北京", "mostly_changed"),
        ("今天天气好了吗", "今天气好了吗吧 ", "mostly_changed"),  # one lost, one added: all behind it is shifted
    ],
)
def test_what_is_another_task_is_refused_with_a_reason(source, target, reason):
    assert aligned(source, target) == (None, reason)


@given(st.text(max_size=30), st.text(max_size=30))
def test_whatever_the_texts_are_the_source_stays_and_the_lengths_agree(source, target):
    pair, reason = aligned(source, target)
    assert (pair is None) == bool(reason)
    if pair:
        assert len(pair.source) == len(pair.target)
        again, _ = aligned(pair.source, pair.target)
        assert (again.source, again.target) == (pair.source, pair.target)
        assert changed_share(pair.source, pair.target) <= 0.75


def test_rows_are_counted_by_what_became_of_them():
    told, repaired = [], Counter()
    pairs = [
        ("我门", "我们"),
        ("我门。", "我们"),
        ("我门", None),
        (None, "我们"),
        ("我门", 3),
        ("我门", "\0们"),
        ("我", "我们"),
    ]
    rows = [{"place": str(i), "text": s, "source": s, "target": t} for i, (s, t) in enumerate(pairs)]
    kept = list(with_pairs(rows, lambda place, reason, text: told.append((place, reason)), repaired))
    found = [(row["text"], row["source"], row["target"]) for row in kept]
    assert found == [("我门", "我门", "我们"), ("我门。", "我门。", "我们。")]
    assert repaired == {"layout": 1}
    assert told == [
        ("2", "no_label"),
        ("3", "no_source"),
        ("4", "source_or_target_not_a_string"),
        ("5", "target_nul_character"),
        ("6", "unequal_length"),
    ]
