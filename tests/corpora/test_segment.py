"""Words: each character that can be seen is in one word, whatever the text."""

import stat
from functools import lru_cache

import jieba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpora import segment
from corpora.schemas import InputError
from corpora.segment import Segmenter, WordsConfig

NAMES = ("jieba", "rjieba", "unicode")

ODD = "我们爱北京𠀀々é\u0301naïve don't-x3.5,，。！ \t\r\n\u2028\u3000\x1c\u200b\u200d\ufe0f\ufeff👍🏽עבר"
ODD += "\ud800\udfff_+#&%"
TEXTS = st.one_of(st.text(), st.text(alphabet=ODD), st.text(alphabet=st.characters()))


@lru_cache
def segmenter(name: str) -> Segmenter:
    return Segmenter(name)


@pytest.mark.parametrize("name", NAMES)
@settings(deadline=None, max_examples=200)
@given(text=TEXTS)
def test_spans_are_in_order_apart_and_cover_all_that_is_no_space(name, text):
    spans = segmenter(name).spans(text)
    assert spans.dtype == np.int32 and spans.shape == (len(spans), 2)
    assert (spans[:, 0] < spans[:, 1]).all() and (spans[1:, 0] >= spans[:-1, 1]).all()
    words = [text[start:end] for start, end in spans.tolist()]
    assert "".join("".join(words).split()) == "".join(text.split())
    assert not any(word.isspace() for word in words)


@pytest.mark.parametrize("name", ["jieba", "rjieba"])
def test_chinese_is_cut_into_words(name):
    assert segmenter(name).words("我爱北京天安门。") == ["我", "爱", "北京", "天安门", "。"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I don't like it.", ["I", "don't", "like", "it", "."]),
        ("well-made, (3.5kg)!", ["well-made", ",", "(", "3.5", "kg", ")", "!"]),
        ("1,000 it’s snake_case", ["1,000", "it’s", "snake", "_", "case"]),
        ("ok我们 iPhone15", ["ok", "我", "们", "iPhone15"]),
        ("cafe\u0301 - 'tis", ["cafe\u0301", "-", "'", "tis"]),
        ("https://a.cn/b?c=3.14", ["https", ":", "/", "/", "a", ".", "cn", "/", "b", "?", "c", "=", "3.14"]),
        ("日本語のスーパーへ行った", ["日", "本", "語", "の", "スーパー", "へ", "行", "った"]),
        ("한국어는 क्षत्रिय שלום", ["한국어는", "क्षत्रिय", "שלום"]),
        ("ไทยน้ำ", ["ไ", "ท", "ย", "น้", "ำ"]),
        ("👩‍👩‍👧x👍🏽🇨🇳🇩🇪1️⃣❤️", ["👩‍👩‍👧", "x", "👍🏽", "🇨🇳", "🇩🇪", "1️⃣", "❤️"]),
        ("葛\U000e0100城", ["葛\U000e0100", "城"]),
        ("", []),
    ],
)
def test_other_languages_are_cut_by_letters_and_punctuation(text, words):
    assert segmenter("unicode").words(text) == words


def test_auto_is_jieba_for_chinese_and_unicode_for_the_rest():
    assert [WordsConfig(language).segmenter for language in ("zh", "zh-TW", "en")] == ["jieba", "jieba", "unicode"]
    assert segmenter("auto").name == "jieba"


@lru_cache
def plain_jieba() -> jieba.Tokenizer:
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(segment.private_cache())
    tokenizer.add_word("键面罩")
    return tokenizer


@settings(deadline=None, max_examples=200)
@given(text=st.one_of(TEXTS, st.text("中国人民大学生活动物理想法院长期待遇到达成为了键面罩子", max_size=40)))
def test_the_faster_search_cuts_as_jieba_does(text, dictionary):
    assert dictionary._cut(text) == plain_jieba().lcut(text)


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory) -> Segmenter:
    path = tmp_path_factory.mktemp("words") / "words.txt"
    path.write_text("键面罩\n", encoding="utf-8")
    return Segmenter("jieba", "zh", path)


@pytest.mark.parametrize("name", ["jieba", "rjieba"])
def test_a_user_dictionary_adds_words_to_one_segmenter_only(name, tmp_path):
    (tmp_path / "words.txt").write_text("\ufeff键面罩 1000 n\n\n洗面奶儿\n", encoding="utf-8")
    text = "买了键面罩和洗面奶儿"
    assert {"键面罩", "洗面奶儿"} <= set(Segmenter(name, "zh", tmp_path / "words.txt").words(text))
    assert "键面罩" not in segmenter(name).words(text)


def test_a_broken_line_of_a_user_dictionary_is_named(tmp_path):
    (tmp_path / "words.txt").write_text("好 3 a b\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.txt:1"):
        Segmenter("jieba", "zh", tmp_path / "words.txt")


def test_a_user_dictionary_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="no user dictionary"):
        Segmenter("jieba", "zh", tmp_path / "words.txt")


def test_the_unicode_rules_refuse_a_user_dictionary(tmp_path):
    with pytest.raises(InputError, match="takes no user dictionary"):
        Segmenter("unicode", "en", tmp_path / "words.txt")


def test_a_recipe_says_which_segmenter_and_its_words_are_kept_whole(tmp_path):
    (tmp_path / "words.txt").write_text("键面罩\n", encoding="utf-8")
    found = Segmenter.of(WordsConfig(segmenter="rjieba", user_dictionary=str(tmp_path / "words.txt")))
    assert found.name == "rjieba" and "键面罩" in found.words("买了键面罩")


def test_what_is_wrong_with_the_settings_is_said_before_anything_runs():
    with pytest.raises(InputError, match="auto, jieba, rjieba, unicode"):
        WordsConfig(segmenter="jeiba")
    with pytest.raises(InputError, match="takes no user dictionary"):
        WordsConfig("en", user_dictionary="words.txt")


def test_an_unknown_segmenter_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="auto, jieba, rjieba, unicode"):
        Segmenter("jeiba")


def test_the_cache_is_a_folder_nobody_else_can_write_to(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = segment.private_cache()
    assert folder == tmp_path / "keymask" and stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_cache_others_can_write_to_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "keymask").mkdir()
    (tmp_path / "keymask").chmod(0o777)
    folder = segment.private_cache()
    assert folder != tmp_path / "keymask" and stat.S_IMODE(folder.stat().st_mode) == 0o700
