"""The word of each token, for nine kinds of tokenizer, any text and any way to cut it into words.

The tokenizers are built of the same parts as the ones they are named for and trained on a few lines, so that their
tokens fall as they like: inside characters, across words, over the blank before a word.
"""

import re
from collections.abc import Callable
from itertools import cycle

import numpy as np
import pytest
from conftest import names as NAMES
from conftest import template
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from pipeline.batches import padded
from pipeline.draws import document_keys
from pipeline.masking.config import MaskingConfig
from pipeline.masking.selection import choose
from pipeline.tokens import Tokens, encode, sequence_rows

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LINES = [
    "我们都喜欢这家店的人和菜，这里的人很好。价格是3.14元（约2美元）",
    "the film isn't good, well-made (and) naïve café! www.example.com/a?b=1",
    "日本語のテキスト ｆｕｌｌ　ｗｉｄｔｈ １２３ Привет 👍🏽 éèêñüß",
]


def word_piece(lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return trained(tokenizer, trainers.WordPieceTrainer(vocab_size=230, special_tokens=SPECIAL, show_progress=False))


def bytes_of(prefix: bool, trim: bool, normalizer: normalizers.Normalizer | None = None) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    trained(tokenizer, trainer)
    if trim:
        ends = [(name, tokenizer.token_to_id(name)) for name in ("[SEP]", "[CLS]")]
        tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=prefix)
    return tokenizer


def unigram(normalizer: normalizers.Normalizer) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizer, normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=190, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False)
    return trained(tokenizer, trainer)


def byte_fallback() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    spare = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=SPECIAL + spare, limit_alphabet=90, max_token_length=5, show_progress=False
    )
    return trained(tokenizer, trainer)


def characters() -> Tokenizer:
    known = [*SPECIAL, *sorted({char for line in LINES[:2] for char in line})]
    tokenizer = Tokenizer(models.WordLevel({char: number for number, char in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


def trained(tokenizer: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    tokenizer.train_from_iterator(LINES * 3, trainer)
    tokenizer.post_processor = template(tokenizer, "[CLS]", "[SEP]")
    return tokenizer


FAMILIES: dict[str, Callable[[], Tokenizer]] = {
    "bert-base-chinese": lambda: word_piece(lowercase=False),
    "bert-base-uncased": lambda: word_piece(lowercase=True),  # and accents stripped
    "roberta": lambda: bytes_of(prefix=False, trim=True),
    "roberta, prefix space": lambda: bytes_of(prefix=True, trim=True),
    "modernbert": lambda: bytes_of(prefix=False, trim=False, normalizer=normalizers.NFC()),
    "xlm-roberta": lambda: unigram(normalizers.NFKC()),
    "albert": lambda: unigram(normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents()])),
    "gemma": byte_fallback,
    "characters": characters,
}

ODD = "我们的人这里好 the film'sn.,()3.14-/:\u3000\t\n\u00a0\x00\x85"
ODD += "éïß①ﬁ½Ａｆ\u0301\u0315\u200b\u200d\ufe0f👍🏽👩🇨🇳饕각क्षעבר"
PIECES = ["[MASK]", "[UNK]", "的人", "这里的人", " ,", "don't", "3.14", "https://a.cn/的?b=1", "👩\u200d👧", "e\u0301"]
TEXT = st.one_of(
    st.text(ODD, max_size=25),
    st.lists(st.sampled_from([*PIECES, *ODD]), max_size=12).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
LENGTHS = st.lists(st.integers(1, 4), min_size=1, max_size=4)
"""How many characters the words of a text have, over and over."""


@pytest.fixture(params=FAMILIES, scope="module")
def tokenizer(request) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=FAMILIES[request.param](), model_max_length=64, **NAMES)


def cut(text: str, lengths: list[int]) -> np.ndarray:
    """Words of these lengths, shorter at white space, that cover every other character."""
    edges, sizes = [], cycle(lengths)
    for run in re.finditer(r"\S+", text):
        start = run.start()
        while start < run.end():
            edges.append((start, min(start + next(sizes), run.end())))
            start = edges[-1][1]
    return np.array(edges, dtype=np.int32).reshape(-1, 2)


def read(tokenizer, text: str, lengths: list[int]) -> tuple[Tokens, list[tuple[int, int]], list[list[int]]]:
    """What `encode` finds; the offsets of transformers, and the words."""
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True)
    words = cut(text, lengths)
    return next(encode(tokenizer, [text], lambda _: words)), coded["offset_mapping"], words.tolist()


def by_hand(offsets: list[tuple[int, int]], known: np.ndarray, words: list[list[int]]) -> list[int]:
    """The rules of pipeline/tokens.py, word by word."""
    touched = [[n for n, (a, b) in enumerate(words) if a < end and b > start] for start, end in offsets]
    glued = {n for found, is_known in zip(touched, known, strict=True) if is_known for n in found[1:]}
    after = [next((n for n, (_, b) in enumerate(words) if b > start), len(words) - 1) for start, _ in offsets]
    numbers = [found[0] if found else following for found, following in zip(touched, after, strict=True)]
    head = lambda number: head(number - 1) if number in glued else number
    return [head(n) if is_known and words else -1 for n, is_known in zip(numbers, known, strict=True)]


@settings(max_examples=60)
@given(text=TEXT, lengths=LENGTHS)
@example(text="这里的人很好", lengths=[2, 1])
@example(text="我们 , the (and)", lengths=[1])
@example(text="", lengths=[1])
def test_words_are_those_of_the_rules(tokenizer, text, lengths):
    found, offsets, words = read(tokenizer, text, lengths)
    known = ~np.isin(found.input_ids, tokenizer.all_special_ids)
    assert found.word_ids.tolist() == by_hand(offsets, known, words)


@settings(max_examples=30)
@given(text=TEXT, lengths=LENGTHS)
def test_no_character_lies_in_two_words(tokenizer, text, lengths):
    """So no part of a word is left to see when the rest is masked."""
    found, offsets, words = read(tokenizer, text, lengths)
    seen: dict[int, int] = {}
    for (start, end), number in zip(offsets, found.word_ids.tolist(), strict=True):
        for n, (a, b) in enumerate(words):
            if number >= 0 and a < end and b > start:
                assert seen.setdefault(n, number) == number <= n


@settings(max_examples=30)
@given(text=TEXT, lengths=LENGTHS)
def test_every_token_but_special_and_unknown_ones_has_a_word_and_words_never_go_back(tokenizer, text, lengths):
    found, _, words = read(tokenizer, text, lengths)
    special = np.isin(found.input_ids, tokenizer.all_special_ids)
    assert ((found.word_ids == -1) == (special | (not words))).all()
    assert (np.diff(found.word_ids[found.word_ids >= 0]) >= 0).all()


@settings(max_examples=30)
@given(text=TEXT, lengths=LENGTHS)
def test_ids_are_those_of_the_tokenizer_and_cutting_loses_none(tokenizer, text, lengths):
    whole, _, words = read(tokenizer, text, lengths)
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    special = {*tokenizer.all_special_ids}  # a unigram model has them among its pieces
    assert whole.input_ids.tolist() == [tokenizer.unk_token_id if i in special else i for i in ids]
    batch = {"id": ["x"], "text": [text], "text_pair": [None]}
    rows = list(sequence_rows(batch, tokenizer, lambda _: np.array(words).reshape(-1, 2), max_length=7))
    for column in ("input_ids", "word_ids"):
        assert [x for row in rows for x in row[column][1:-1].tolist()] == getattr(whole, column).tolist()


@settings(max_examples=20)
@given(texts=st.lists(TEXT, max_size=4), lengths=LENGTHS)
def test_texts_read_together_are_read_as_each_alone(tokenizer, texts, lengths):
    together = list(encode(tokenizer, texts, lambda text: cut(text, lengths)))
    alone = [read(tokenizer, text, lengths)[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert one.input_ids.tolist() == other.input_ids.tolist()
        assert one.word_ids.tolist() == other.word_ids.tolist()


def test_half_a_word_never_stands_beside_its_masked_half(tokenizer):
    """Of words that share a token, all or none are masked; over many visits the budget is met."""
    text = "".join(LINES)
    found, offsets, words = read(tokenizer, text, [2, 1, 3])
    visits, keys = 300, np.repeat(document_keys("x"), 300)
    word_ids = np.repeat(found.word_ids[None], visits, axis=0)
    masked = choose(MaskingConfig("whole_word", 0.2), word_ids, np.zeros(word_ids.shape, np.uint8), keys,
                    np.arange(visits))  # fmt: skip
    inside = found.word_ids >= 0
    for start, end in words:
        shared = inside & [a < end and b > start for a, b in offsets]
        assert (masked[:, shared].all(1) | ~masked[:, shared].any(1)).all()
    assert masked[:, inside].mean() == pytest.approx(0.2, abs=0.02)


@pytest.mark.filterwarnings("ignore:Random token replacement")
@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("bert-base-chinese", "我们都喜欢这家店的人和菜这里的人很好"),
        ("modernbert", "the film is good and well made he said"),
    ],
)
def test_where_the_library_masks_all_or_nothing_ours_masks_words_to_the_budget(family, text):
    """Offsets that touch are one word to transformers: every Chinese clause, and blanks that are part of a token."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=FAMILIES[family](), **NAMES)
    collate = DataCollatorForLanguageModeling(tokenizer, whole_word_mask=True, mlm_probability=0.3, seed=0)
    row = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    theirs = (collate([dict(row) for _ in range(60)])["labels"] != -100).sum(1).numpy()
    word_ids = padded([read(tokenizer, text, [2, 1, 4])[0].word_ids] * 400, -1)
    ours = choose(MaskingConfig("whole_word", 0.3), word_ids, np.zeros(word_ids.shape, np.uint8),
                  np.repeat(document_keys("x"), 400), np.arange(400)).sum(1)  # fmt: skip
    length = word_ids.shape[1]
    assert set(theirs.tolist()) == {0, length}
    assert ours.min() > 0 and ours.max() < length and ours.mean() == pytest.approx(0.3 * length, rel=0.1)
