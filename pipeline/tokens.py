"""Text -> ids, and the word each id belongs to, for every tokenizer family.

Words are character spans from a segmenter, tokens are character spans from a tokenizer, and neither knows the other:

- A token belongs to the words it shares a character with. The blank before a word, as in byte-level BPE and Metaspace,
  belongs to that word, or at the end of a text to the last one.
- Words that share a token are one word, with the number of the first: `的人` is one token to many a model, and whole
  words are masked so that no half of one is left to guess the other by.
- Several tokens in one character, as bytes are, belong to its word, and so do all tokens of a word.
- A special or unknown token belongs to no word (-1) and joins none: nothing can be learned from predicting it.

So the numbers never go back, the tokens of a word stand together (but for unknown ones among them), and a word of
which the tokenizer leaves nothing, such as a control character, has no token: its number is missing.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pipeline.run.errors import InputError

Spans = Callable[[str], np.ndarray]
"""Text -> int [words, 2]: character spans of its words."""

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Tokens:
    """Ids of one sequence with special tokens, and the word number of each (-1 for special and unknown tokens)."""

    input_ids: np.ndarray  # int32 [L]
    word_ids: np.ndarray  # int32 [L]


@dataclass(frozen=True)
class Frame:
    """The special tokens a tokenizer puts before, between and after texts."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase) -> "Frame":
        """Found by probing, so that every tokenizer family is served by the same lines.

        A decoder's tokenizer puts nothing after a text: there its end mark is, or the model would unlearn to stop.
        """
        probe = tokenizer("a", add_special_tokens=False)["input_ids"]
        single, pair = tokenizer("a")["input_ids"], tokenizer("a", "a")["input_ids"]
        start = _find(single, probe)
        before, after = single[:start], single[start + len(probe) :]
        between = pair[start + len(probe) : len(pair) - len(after) - len(probe)]
        if not after and tokenizer.eos_token_id is not None:
            after = [tokenizer.eos_token_id]
        return cls(tuple(before), tuple(between), tuple(after))

    def room(self, max_length: int) -> int:
        """How many tokens of a single text fit."""
        room = max_length - len(self.before) - len(self.after)
        if room < 1:
            raise InputError(f"max_length = {max_length} leaves no room for text between special tokens: raise it")
        return room


def _find(ids: list[int], probe: list[int]) -> int:
    return next(i for i in range(len(ids)) if ids[i : i + len(probe)] == probe)


def words_of_tokens(offsets: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """int32 [T]: the word of each token, never decreasing.

    offsets int [T, 2] and spans int [W, 2] are characters from and to, both in order; spans do not overlap, and the
    last one ends after every token has begun.
    """
    first = np.searchsorted(spans[:, 1], offsets[:, 0], side="right")
    last = np.maximum(np.searchsorted(spans[:, 0], offsets[:, 1]) - 1, first)  # before it: a blank alone
    return _joined(first, last, len(spans))[first]


def _joined(first: np.ndarray, last: np.ndarray, count: int) -> np.ndarray:
    """int32 [count]: of each word, the first of those joined with it by tokens that reach from `first` to `last`."""
    reach = np.cumsum(np.bincount(first, minlength=count) - np.bincount(last, minlength=count))
    numbers = np.arange(count, dtype=np.int32)
    numbers[1:][reach[:-1] > 0] = 0  # a token reaches into this word from the one before
    return np.maximum.accumulate(numbers)


def encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spans: Spans) -> Iterator[Tokens]:
    """Ids and words of whole texts, without special tokens and uncut.

    Special tokens written in a text, such as a literal `[MASK]`, are read as plain characters.
    """
    coded = uncut_reader(tokenizer).encode_batch(texts, add_special_tokens=False)
    lengths = np.array([len(each) for each in coded], dtype=np.int64)
    ids = np.fromiter(chain.from_iterable(each.ids for each in coded), np.int32, lengths.sum())
    pairs = chain.from_iterable(each.offsets for each in coded)
    offsets = np.fromiter(chain.from_iterable(pairs), np.int64, 2 * len(ids)).reshape(-1, 2)
    known = ~np.isin(ids, tokenizer.all_special_ids)
    words = _words_of_texts(texts, spans, lengths, offsets, known)
    if tokenizer.unk_token_id is not None:  # a unigram model may have special tokens among its pieces
        ids[~known] = tokenizer.unk_token_id
    for end, length in zip(np.cumsum(lengths).tolist(), lengths.tolist(), strict=True):
        yield Tokens(ids[end - length : end], words[end - length : end])


def _words_of_texts(
    texts: Sequence[str], spans: Spans, lengths: np.ndarray, offsets: np.ndarray, known: np.ndarray
) -> np.ndarray:
    """int32 [T]: the word of each token of many texts, counted from 0 in each; -1 if not `known`, or without a word.

    lengths [texts] are numbers of tokens; offsets [T, 2] and known [T] are of all tokens, text after text. The texts
    are looked at as one, each moved behind the one before it: a short one costs no calls of its own.
    """
    found = [np.zeros((0, 2), dtype=np.int64), *map(spans, texts)]
    words = np.array([len(each) for each in found[1:]], dtype=np.int64)
    sizes = np.array([len(text) + 1 for text in texts], dtype=np.int64)
    ends, before = np.cumsum(sizes), np.cumsum(words) - words
    edges = np.concatenate(found) + np.repeat(ends - sizes, words)[:, None]
    edges[(before + words - 1)[words > 0], 1] = ends[words > 0]  # blanks at the end of a text belong to its last word
    text = np.repeat(np.arange(len(texts)), lengths)
    inside = known & (words > 0)[text]
    numbers, text = np.full(len(known), -1, dtype=np.int32), text[inside]
    numbers[inside] = words_of_tokens(offsets[inside] + (ends - sizes)[text, None], edges) - before[text]
    return numbers


def uncut_reader(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """What reads for a tokenizer, set to cut and pad nothing; transformers sets all three anew at each call of its."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = True
    return backend


def encode_tokens(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[str]]) -> Iterator[Tokens]:
    """Ids of rows of tokens, and the token each belongs to, unknown ones too; without special tokens and uncut.

    Tokens are read with a blank between them, as words of a text are: what stood between them is not known. One that
    the tokenizer makes nothing of has no id.
    """
    coded = uncut_reader(tokenizer).encode_batch([" ".join(tokens) for tokens in rows], add_special_tokens=False)
    for tokens, each in zip(rows, coded, strict=True):
        ends = np.cumsum([len(token) + 1 for token in tokens], dtype=np.int64)
        spans = np.stack([ends - [len(token) + 1 for token in tokens], ends - 1], axis=1) if tokens else ends
        offsets = np.array(each.offsets, dtype=np.int64).reshape(-1, 2)
        words = words_of_tokens(offsets, spans) if len(offsets) else np.zeros(0, dtype=np.int32)
        yield Tokens(np.array(each.ids, dtype=np.int32), words)


def cut_points(word_ids: np.ndarray, room: int) -> list[tuple[int, int]]:
    """Pieces of at most `room` tokens, cut between words; a word longer than the room is cut inside."""
    if len(word_ids) <= room:
        return [(0, len(word_ids))]
    edges = np.flatnonzero(np.diff(word_ids, prepend=-2))  # a token at an edge begins a word
    pieces, start = [], 0
    while len(word_ids) - start > room:
        last = edges[np.searchsorted(edges, start + room, side="right") - 1]
        end = int(last) if last > start else start + room
        pieces.append((start, end))
        start = end
    return [*pieces, (start, len(word_ids))]


def framed(frame: Frame, parts: Sequence[Tokens]) -> Tokens:
    """One text, or two, between its special tokens; the words of the second text count on from the first."""
    ids, words, next_word = [list(frame.before)], [[-1] * len(frame.before)], 0
    for i, part in enumerate(parts):
        if i:
            ids.append(list(frame.between))
            words.append([-1] * len(frame.between))
        ids.append(part.input_ids)
        words.append(np.where(part.word_ids >= 0, part.word_ids + next_word, -1))
        next_word += int(part.word_ids.max(initial=-1)) + 1
    ids.append(list(frame.after))
    words.append([-1] * len(frame.after))
    return Tokens(np.concatenate(ids).astype(np.int32), np.concatenate(words).astype(np.int32))


def sequence_rows(
    batch: dict[str, list], tokenizer: PreTrainedTokenizerBase, spans: Spans, max_length: int
) -> Iterator[dict[str, object]]:
    """Sequences of at most `max_length` ids from a batch of documents: `id`, `input_ids`, `word_ids`.

    Nothing is cut off: a longer document becomes several sequences, `id`, `id#1`, `id#2`, … A pair is joined with the
    separator between its texts.
    """
    frame = Frame.of(tokenizer)
    texts = [t if p is None else f"{t}\n{p}" for t, p in zip(batch["text"], batch["text_pair"], strict=True)]
    for name, whole in zip(batch["id"], encode(tokenizer, texts, spans), strict=True):
        for number, (start, end) in enumerate(cut_points(whole.word_ids, frame.room(max_length))):
            part = framed(frame, [Tokens(whole.input_ids[start:end], whole.word_ids[start:end])])
            yield {
                "id": f"{name}#{number}" if number else name,
                "input_ids": part.input_ids,
                "word_ids": part.word_ids,
            }


def fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """What a tokenizer does, as a hash: two corpora of ids with one fingerprint mean the same by an id.

    Truncation and padding are left out: they belong to the last call, or to what a checkpoint was used for.
    """
    backend = tokenizer.backend_tokenizer
    if backend.truncation or backend.padding:
        backend = Tokenizer.from_str(backend.to_str())
        backend.no_truncation()
        backend.no_padding()
    return hashlib.sha256(backend.to_str().encode()).hexdigest()[:16]


def replaceable_ids(tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """int32: ids that may stand in for a masked token: no special, added or unused one."""
    out = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    vocabulary = tokenizer.get_vocab()
    out |= {i for token, i in vocabulary.items() if token.lower().startswith("[unused")}
    return np.array(sorted(set(vocabulary.values()) - out), dtype=np.int32)


def unknown_rate(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> float:
    """Share of tokens that are unknown."""
    unknown = total = 0
    for ids in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]:
        unknown += ids.count(tokenizer.unk_token_id)
        total += len(ids)
    return unknown / max(total, 1)


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


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, rows: int, place: str, masks: bool = True) -> None:
    """Refuse a tokenizer that cannot serve a model of `rows` embeddings, which `masks` or predicts next tokens."""
    if not tokenizer.is_fast:
        raise InputError(f"the tokenizer of {place} is a slow one without offsets: save it as tokenizer.json first")
    if masks and tokenizer.mask_token_id is None:
        raise InputError(
            f"the tokenizer of {place} has no mask token: choose a model made for masked language modelling"
        )
    if len(tokenizer) > rows:
        raise InputError(
            f"the tokenizer of {place} has {len(tokenizer)} entries, its model only {rows} embeddings: "
            "they do not belong together; take both from one checkpoint"
        )


def planted_words(text: str, spans: np.ndarray, keywords: Sequence[str]) -> np.ndarray:
    """bool [words]: the words of a text that are among `keywords`, or lie inside an occurrence of one."""
    truth = np.zeros(len(spans), dtype=bool)
    for keyword in keywords:
        start = text.find(keyword)
        while start >= 0:
            truth |= (spans[:, 0] < start + len(keyword)) & (spans[:, 1] > start)
            start = text.find(keyword, start + 1)
    return truth
