"""Lists of function words."""

import pytest

from corpora.stop_words import stop_words


@pytest.mark.parametrize(("language", "inside", "outside"), [("zh", "的", "不"), ("en", "the", "not")])
def test_a_list_holds_function_words_and_no_negation(language, inside, outside):
    found = stop_words(language)
    assert inside in found and outside not in found and 100 < len(found) < 250
    assert all(word == word.lower() for word in found)


def test_a_language_without_a_list_is_refused_with_those_that_have_one():
    with pytest.raises(ValueError, match="no stop words for language = fr: known are en, zh"):
        stop_words("fr")
