"""Words become one token, and other text is read as before: for each family of tokenizers, as everybody opens it."""

import json
from itertools import accumulate

import numpy as np
import pytest
from conftest import TEXTS, WORDS
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import BertTokenizer, PreTrainedTokenizerFast, RobertaTokenizer

from corpora.segment import Segmenter
from pipeline.run.errors import InputError
from pipeline.tokens import encode, fingerprint, replaceable_ids
from pipeline.vocabulary.choosing import VocabularyConfig, counted, taken
from pipeline.vocabulary.extending import extended
from pipeline.vocabulary.families import family_of
from pipeline.vocabulary.pages import vocabulary_line

DOMAIN = [
    "the filmplays unplayed filmplays, playedable",
    "(filmplays) Filmplays 卍 in 2019 2019 2019 !! badfilms badfilm",
    "filmplays un卍able good badger badger badfilms",
]
SPANS = Segmenter("unicode", "en").spans
FAMILIES = ["wordpiece", "byte-level", "byte-level trimmed", "bert", "roberta"]


@pytest.fixture(params=FAMILIES)
def old(request, families) -> PreTrainedTokenizerFast:
    """A toy, or the class of transformers that makes it anew of vocabulary and merges whenever it is opened."""
    if request.param == "bert":
        return BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)})
    toy = families.get(request.param, families["byte-level trimmed"])
    if request.param == "roberta":
        merges = json.loads(toy.backend_tokenizer.to_str())["model"]["merges"]
        return RobertaTokenizer(vocab=toy.get_vocab(), merges=list(map(tuple, merges)))
    return toy


def adapted(old, words: int = 5, texts: list[str] = DOMAIN, spans=SPANS, min_count: int = 1):
    """What was taken, and the tokenizer with it."""
    family = family_of(old, "the toy")
    found = taken(family, counted(family, old, texts, spans), VocabularyConfig(words, min_count))
    return found, extended(old, family, "the toy")


def tokens_of(tokenizer, text: str) -> list[str]:
    return tokenizer.convert_ids_to_tokens(next(encode(tokenizer, [text], SPANS)).input_ids.tolist())


def random_texts() -> list[str]:
    """Of pieces of the domain's text, joined anyhow."""
    draw, whole = np.random.default_rng(0), " ".join(DOMAIN + TEXTS)
    cuts = lambda: (whole[i : i + draw.integers(1, 12)] for i in draw.integers(0, len(whole), 8))
    return ["".join(cuts()) for _ in range(200)]


def test_a_new_word_is_one_token_after_all_there_were(old):
    found, new = adapted(old)
    assert len(found) == 5
    for word in found:
        ids = next(encode(new, [word.written], SPANS)).input_ids
        assert len(ids) == 1 and ids[0] >= len(old) and ids[0] in replaceable_ids(new)
    kept = {token: new.get_vocab()[token] for token in old.get_vocab()}
    assert kept == old.get_vocab() and len(new) == max(new.get_vocab().values()) + 1


def test_text_without_new_entries_keeps_its_tokens(old):
    _, new = adapted(old)
    same = 0
    for text in random_texts():
        before, now = tokens_of(old, text), tokens_of(new, text)
        if not any(new.get_vocab()[token] >= len(old) for token in now):
            assert before == now
            same += 1
    assert 20 < same < 200  # both kinds are there


@pytest.mark.parametrize("family", ["byte-level", "byte-level trimmed"])
def test_merges_only_join_what_were_tokens(families, family):
    """Of any text: so it is never read in more of them."""
    old = families[family]
    _, new = adapted(old, words=9)
    edges = lambda tokens: set(accumulate(map(len, tokens)))
    for text in random_texts():
        before, now = tokens_of(old, text), tokens_of(new, text)
        assert "".join(now) == "".join(before) and edges(now) <= edges(before)


def test_tokens_of_a_new_word_have_the_number_of_their_word(old):
    _, new = adapted(old)
    for text in DOMAIN:
        before, now = (next(encode(tokenizer, [text], SPANS)) for tokenizer in (old, new))
        assert set(now.word_ids.tolist()) >= set(before.word_ids.tolist()) - {-1}
        if -1 not in before.word_ids:
            assert set(now.word_ids.tolist()) == set(before.word_ids.tolist())
            assert len(now.word_ids) < len(before.word_ids)


def test_words_are_taken_that_save_the_most_when_it_is_their_turn(old):
    """Against a search that opens a tokenizer for each choice and asks it about every word."""
    found, _ = adapted(old, 4)
    family = family_of(old, "the toy")
    counts = counted(family, old, DOMAIN, SPANS)
    family.see(counts)
    now = old
    for word in found:
        saved = {unit: count * (_size(now, family.written(unit)) - 1) for unit, count in counts.items()}
        letters = [unit for unit in saved if any(map(str.isalpha, family.written(unit)))]
        best = min(letters, key=lambda unit: (-saved[unit], family.written(unit)))
        assert (word.written, word.count, word.saved) == (family.written(best), counts[best], saved[best])
        assert family.take(best)
        now = extended(old, family, "the toy")


def _size(tokenizer, text: str) -> int:
    ids = next(encode(tokenizer, [text], SPANS)).input_ids.tolist()
    return 2 if ids == [tokenizer.unk_token_id] else len(ids)


def test_rare_words_numbers_and_signs_are_left_out(old):
    found, _ = adapted(old, words=100, min_count=2)
    written = {word.written.strip() for word in found}
    assert "2019" not in written and "!!" not in written and all(word.count >= 2 for word in found)
    assert "badfilms" in written and "badfilm" not in written  # once


def test_the_order_of_documents_changes_nothing(old):
    assert fingerprint(adapted(old)[1]) == fingerprint(adapted(old, texts=DOMAIN[::-1])[1])


def test_a_word_that_would_leave_others_a_rest_nobody_knows_is_not_taken():
    """`abc` would leave of `abcd` a `##d` that is not there, and of `abcee` two pieces more than `##cee`."""
    entries = ["[UNK]", "ab", "##c", "##cd", "##cee", "##e", "x", "##y"]
    backend = Tokenizer(models.WordPiece({entry: i for i, entry in enumerate(entries)}, unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    old = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    for other in ("abcd", "abcee"):
        found, new = adapted(old, texts=["abc abc abc xy xy " + other], words=1)
        assert [word.written for word in found] == ["xy"] and tokens_of(new, other) == tokens_of(old, other)
    assert adapted(old, texts=["abc abc abc xy xy abce"], words=1)[0][0].written == "abc"


def test_of_chinese_bert_is_given_characters_it_does_not_know(tokenizer):
    spans = Segmenter("jieba", "zh").spans
    found, new = adapted(tokenizer, 9, ["我们爱这家餐馆的味道"], spans)
    assert {word.written for word in found} == {"餐", "馆"}
    [read] = encode(new, ["这家餐馆"], spans)
    assert new.convert_ids_to_tokens(read.input_ids.tolist()) == list("这家餐馆")
    assert read.word_ids[2] == read.word_ids[3]  # two tokens of one word


def test_of_chinese_a_byte_level_tokenizer_is_given_words_inside_of_running_text(families):
    spans = Segmenter("jieba", "zh").spans
    found, new = adapted(families["byte-level"], 1, ["我们爱餐馆的味道", "餐馆太差"], spans)
    assert [word.written for word in found] == ["餐馆"]
    [read] = encode(new, ["我们爱餐馆的味道"], spans)
    place = read.input_ids.tolist().index(len(new) - 1)
    assert np.sum(read.word_ids == read.word_ids[place]) == 1


def test_other_families_are_refused(families):
    with pytest.raises(InputError, match="of the kind Unigram, and words can be added to WordPiece"):
        adapted(families["metaspace"])


def test_a_class_that_makes_itself_anew_without_the_words_is_refused(families):
    class Forgetful(PreTrainedTokenizerFast):
        def save_pretrained(self, folder, **more):
            BertTokenizer(vocab={word: i for i, word in enumerate(WORDS[:-3])}).save_pretrained(folder)

    toy = Forgetful(tokenizer_object=families["wordpiece"].backend_tokenizer, unk_token="[UNK]")
    with pytest.raises(InputError, match="does not keep new entries when it is opened"):
        adapted(toy)


def test_what_was_added_is_told_in_both_languages_with_the_texts_that_were_measured():
    metrics = {
        "words_added": 1200,
        "entries_added": 1300,
        "task/tokens_per_word_before": 1.5,
        "task/tokens_per_word": 1.25,
    }
    told = vocabulary_line(metrics)
    assert told.en == (
        "1,200 words (1,300 entries) were added to the vocabulary; tokens a word, held-out: task text 1.50 → 1.25."
    )
    assert told.zh == "词表加入了 1,200 个词（1,300 个词元）；留出文本每词的词元数：任务文本 1.50 → 1.25。"
    assert vocabulary_line({}) is None
