"""A tokenizer made from text."""

from conftest import TEXTS

from pipeline.tokens import fingerprint
from pipeline.vocabulary.wordpiece import train_wordpiece


def test_a_trained_tokenizer_keeps_to_its_size_and_to_its_text():
    texts = [text + chr(0x4E00 + i) for i in range(300) for text in TEXTS]
    trained = train_wordpiece(lambda: texts, 60, 16, lowercase=True)
    assert len(trained) == 60
    assert trained.convert_ids_to_tokens(trained("味道太差")["input_ids"]) == ["[CLS]", *"味道太差", "[SEP]"]


def test_one_text_makes_one_tokenizer():
    texts = [f"{chr(0x4E00 + i)} {'abcdefgh'[i % 5 :]}{'xyz'[i % 3 :]}" for i in range(100)]
    assert len({fingerprint(train_wordpiece(lambda: texts, 60, 16, lowercase=True)) for _ in range(4)}) == 1
