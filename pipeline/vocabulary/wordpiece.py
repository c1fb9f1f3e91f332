"""A BERT tokenizer from text, for a base that starts from scratch."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(
    texts: Callable[[], Iterable[str]], vocab_size: int, max_length: int, lowercase: bool
) -> PreTrainedTokenizerFast:
    """A BERT tokenizer trained on text: Chinese characters stand alone, other words become word pieces.

    The trainer of `tokenizers` breaks ties by the order of a hash map, another one in every process. Here the alphabet
    and the order of the single-character pieces are given to it, so that one text makes one tokenizer. The alphabet is
    limited as well: the trainer does not count it against `vocab_size` and returns more entries than asked for.
    """
    alphabet = _alphabet(texts(), lowercase, vocab_size * 2 // 3)
    single = sorted(t for t in _wordpiece(texts(), 0, alphabet, SPECIAL_TOKENS, lowercase) if t.startswith("##"))
    vocabulary = _wordpiece(texts(), vocab_size, alphabet, [*SPECIAL_TOKENS, *single], lowercase)
    tokenizer = _bert_tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"), lowercase)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{kind}_token": token for kind, token in names.items()},
    )


def _bert_tokenizer(model: models.WordPiece, lowercase: bool) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _alphabet(texts: Iterable[str], lowercase: bool, size: int) -> list[str]:
    """The most frequent characters, in order of their code points."""
    normalizer, counts = normalizers.BertNormalizer(lowercase=lowercase), Counter()
    for text in texts:
        counts.update(normalizer.normalize_str(text))
    ranked = sorted((char for char in counts if not char.isspace()), key=lambda char: (-counts[char], char))
    return sorted(ranked[:size])


def _wordpiece(
    texts: Iterable[str], vocab_size: int, alphabet: Sequence[str], first: Sequence[str], lowercase: bool
) -> dict[str, int]:
    """A vocabulary: `first`, the alphabet, its single-character pieces, then pieces merged up to `vocab_size`."""
    tokenizer = _bert_tokenizer(models.WordPiece(unk_token="[UNK]"), lowercase)
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        initial_alphabet=list(alphabet),
        limit_alphabet=len(alphabet),
        min_frequency=2,
        special_tokens=list(first),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.get_vocab()
