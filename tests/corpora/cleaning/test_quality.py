"""Gopher's rules: what each is against, what it lets stand, and that Chinese is not thrown away for being Chinese."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpora.cleaning.quality import AGAIN, JUDGED, LEAST, TOP, Rules, of_quality, share_again, top_share

WORDS = ["the", "of", "and", "a", "in", "to", "river", "city", "people", "water", "time", "music", "history", "season"]
RIVER = "这条河从山里流出来，穿过城市的中心，两岸住着许多靠水吃饭的人，他们的生活和河水一样有涨有落。"
REPORT = (
    "今年的汛期比往年来得早，水文站的工作人员在五月就开始了每天三次的测量。据他们介绍，上游的水库已经腾出了足够的库容，"
    "下游的堤防也在冬天完成了加固。尽管如此，低洼地带的居民还是提前把粮食和家具搬到了高处。老人们记得三十年前的那场大水，"
    "当时的水位比现在的警戒线高出两米多，整个老城区泡了一个星期。这一次大家都希望只是虚惊一场。"
)


def prose(count: int, seed: int = 0) -> str:
    """Running English of made-up words, with function words among them."""
    draw = random.Random(seed)
    return " ".join(draw.choice(WORDS) if i % 3 == 0 else f"w{draw.randrange(4000)}" for i in range(count))


def test_running_text_stands():
    assert Rules.of("en").fault(prose(400)) is None
    assert Rules.of("zh").fault(RIVER + REPORT) is None


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("repeats_lines", "\n".join([prose(20, 1), *["Share this page with your friends"] * 8, prose(20, 2)])),
        ("repeats_itself", prose(60, 3) + " buy the best cheap shoes now" * 12),
        ("repeats_itself", prose(80, 4) + " " + prose(80, 4)),
        ("mostly_bullets", "\n".join(f"- {prose(4, i)}" for i in range(20))),
        ("mostly_ellipses", "\n".join(f"{prose(6, i)} ..." for i in range(12))),
        ("mostly_symbols", prose(60, 5) + " #" * 20),
        ("mostly_symbols", prose(60, 6) + " | = + ~ ^" * 100),
        ("no_function_words", " ".join(f"w{i}" for i in range(200))),
    ],
)
def test_each_rule_finds_what_it_is_against(fault, text):
    assert Rules.of("en").fault(text) == fault


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("repeats_lines", "\n".join([RIVER, *["点击收藏本页，关注我们的公众号"] * 8, REPORT])),
        ("repeats_itself", REPORT + "全场特价包邮欢迎选购" * 20),
        ("repeats_itself", RIVER + REPORT + RIVER + REPORT),
        ("mostly_symbols", REPORT + "【】★☆◆■" * 60),
        ("no_function_words", "".join(chr(0x9000 + 7 * i) for i in range(300))),
    ],
)
def test_in_chinese_as_well(fault, text):
    assert Rules.of("zh").fault(text) == fault


def test_a_term_that_comes_again_is_no_spam():
    """Names are long in Chinese: four times nine characters among three hundred."""
    name = "国际奥林匹克委员会"
    parts = [REPORT[i : i + 50] for i in range(0, 200, 50)]
    assert Rules.of("zh").fault("".join(f"{name}{part}" for part in parts) + RIVER) is None


@pytest.mark.parametrize("text", ["好评好评好评好评好评！！！", "满意。。。。。。。。", "good good good good"])
def test_nothing_short_is_judged(text):
    assert Rules.of("zh").fault(text) is None and Rules.of("en").fault(text) is None
    assert len(text.split()) < JUDGED


def test_a_language_without_a_list_is_not_asked_for_function_words():
    assert Rules.of("fr").fault(" ".join(f"mot{i}" for i in range(200))) is None


def covered(units: list[int], length: int) -> float:
    """Written out: which units stand in a run that stood there before."""
    seen, inside = set(), set()
    for start in range(len(units) - length + 1):
        run = tuple(units[start : start + length])
        if run in seen:
            inside |= set(range(start, start + length))
        seen.add(run)
    return len(inside) / max(len(units), 1)


def most(units: list[int], length: int) -> float:
    runs = [tuple(units[i : i + length]) for i in range(len(units) - length + 1)]
    count = max(map(runs.count, runs), default=0)
    return count * length / len(units) if count >= LEAST else 0.0


@given(st.lists(st.integers(0, 3), max_size=40), st.integers(1, 5))
def test_shares_are_those_counted_by_hand(units, length):
    given = np.array(units, dtype=np.uint64)
    assert share_again(given, length) == pytest.approx(covered(units, length))
    assert top_share(given, length) == pytest.approx(most(units, length))


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.integers(0, 99), max_size=150))
def test_no_run_that_repeats_is_overlooked_where_shorter_ones_were_looked_at(again, other):
    units = np.array(again * 3 + other + again, dtype=np.uint64)
    above = [top_share(units, n) > share for n, share in TOP.items()]
    above += [share_again(units, n) > share for n, share in AGAIN.items()]
    assert Rules.of("en")._repeats(units) == any(above)


def test_the_thresholds_are_those_of_the_paper():
    assert TOP == {2: 0.20, 3: 0.18, 4: 0.16}
    assert AGAIN == {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def test_rows_in_are_rows_out_and_rows_told():
    told: list[str] = []
    rows = [{"place": str(i), "text": text} for i, text in enumerate([REPORT, REPORT * 3, RIVER])]
    kept = list(of_quality(rows, "zh", lambda place, reason, text: told.append(f"{place} {reason}")))
    assert [row["place"] for row in kept] == ["0", "2"] and told == ["1 repeats_itself"]
