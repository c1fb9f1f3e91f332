"""the whole Chinese path, from text to segmented Parquet

Lines of a file become ids and, for whole-word masking, what belongs to which word, in Parquet. The peer is what users
of `run_mlm_wwm.py` do, written again after its `run_chinese_ref.py`, with jieba in the place of LTP (a neural
segmenter, slower by far): every line is cut into words; the tokenizer reads it; pieces that continue a Chinese word
are looked for among its words and their places written to a reference file, as JSON; then the text is loaded with
`datasets`, read by the tokenizer a second time, joined with the reference file and written to Parquet.

*Keymask, this alone*: our reader of files, cleaning, words, ids by tables (the library's, asked once for every
character and word) in one pass, our Parquet (page checksums, synced).
*Keymask, make corpus and make masked*: the two stages as a user runs them: exact duplicates as well, ids of documents,
words to predict chosen, a preview. The tokenizer is the same everywhere, and so are its ids (512 tokens at most).

*Alike*: Chinese tokens of which both say the same: that they continue a word, or do not.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import jieba
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import load_dataset
from transformers import BertConfig, PreTrainedTokenizerBase

from corpora.cards import Card
from corpora.cleaning.dedup import identified
from corpora.config import CorpusConfig
from corpora.keeping import cleaned, in_silence
from corpora.parquet import read_rows, write_corpus
from corpora.reading.sources import documents
from corpora.schemas import MASKED
from corpora.segment import Segmenter
from pipeline.tokens import sequence_rows
from stages.mask import MaskConfig, mask
from stages.prepare import prepare
from tests.benchmarks.segmentation import rows, timed
from tests.benchmarks.text import VOCABULARY, lines, tokenizer
from tests.benchmarks.timing import Found

ROUNDS, LINES, BATCH, LONGEST = 3, 8000, 512, 512
PEER = "run_mlm's chinese_ref, jieba"
SEQUENCES = pa.schema([MASKED.field(name) for name in ("id", "input_ids", "word_ids")])


def measure(quick: bool) -> Found:
    """What was read, and a table."""
    texts = lines(60 if quick else LINES)
    size = sum(len(text.encode()) for text in texts) / 1e6
    with TemporaryDirectory() as name:
        folder, bert = Path(name), tokenizer(LONGEST)
        path = folder / "texts.txt"
        path.write_text("\n".join(texts) + "\n", encoding="utf-8")
        bert.save_pretrained(folder / "base")
        BertConfig(vocab_size=VOCABULARY, max_position_embeddings=LONGEST).save_pretrained(folder / "base")
        arms: dict[str, Callable[[], object]] = {
            PEER: partial(by_reference, path, bert, folder / "theirs"),
            "Keymask, this alone": partial(alone, path, folder / "jieba", Segmenter("jieba")),
            "Keymask, this alone, rjieba": partial(alone, path, folder / "rjieba", Segmenter("rjieba")),
            "Keymask, make corpus and make masked": partial(stages, path, folder, "jieba"),
            "Keymask, both, rjieba": partial(stages, path, folder, "rjieba"),
        }
        rounds = 1 if quick else ROUNDS
        found = rows(timed(arms, rounds), size, PEER)
        same = alike(folder / "theirs" / "texts.parquet", folder / "jieba", bert)
    return [f"{len(texts):,} lines, {size:.2f} MB; {rounds} rounds; alike {same:.2%}.", found]


# ---- ours ----------------------------------------------------------------------------------------------------------


def alone(path: Path, out: Path, segmenter: Segmenter) -> None:
    """Text to ids and words in Parquet, by a tokenizer of its own: what it knows of the text is learned each round."""
    card = Card("bench", "", "zh", "", "", {"text": "text"}, {"unlabeled": (str(path),)})
    read = identified(cleaned(documents(card, "unlabeled", Path(), in_silence), 2, in_silence), "bench", "bench")
    write_corpus(out, SEQUENCES, sequences(read, tokenizer(LONGEST), segmenter.spans))


def sequences(read: Iterator[dict], bert: PreTrainedTokenizerBase, spans: Callable) -> Iterator[dict]:
    """Documents as ids with their words, some at a time."""
    batch: dict[str, list] = {"id": [], "text": [], "text_pair": []}
    for row in read:
        for name, values in batch.items():
            values.append(row[name])
        if len(batch["id"]) == BATCH:
            yield from sequence_rows(batch, bert, spans, LONGEST)
            batch = {name: [] for name in batch}
    yield from sequence_rows(batch, bert, spans, LONGEST) if batch["id"] else ()


def stages(path: Path, folder: Path, segmenter: str) -> None:
    """As a user runs it."""
    card = folder / "bench.toml"
    card.write_text(
        f'name = "bench"\ntitle = ""\nlanguage = "zh"\nlicence = ""\norigin = ""\n'
        f'[fields]\ntext = "text"\n[files]\nunlabeled = "{path}"\n',
        encoding="utf-8",
    )
    with TemporaryDirectory(dir=folder) as out:
        corpus = Path(out) / "corpus"
        prepare(CorpusConfig(domain=(str(card),)), Path(), corpus)
        config = MaskConfig(policy="whole_word", segmenter=segmenter, max_length=LONGEST)
        mask(config, folder / "base", corpus, None, None, None, Path(out) / "masked")


# ---- as it is written around run_mlm -------------------------------------------------------------------------------


def by_reference(path: Path, bert: PreTrainedTokenizerBase, out: Path) -> None:
    """Words, reference file, and the text read again beside it."""
    out.mkdir(exist_ok=True)
    found = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.isspace()]
    words = [{word for word in jieba.lcut(line) if len(word) > 1 and all(map(is_chinese, word))} for line in found]
    with open(out / "reference.txt", "w", encoding="utf-8") as file:
        for start in range(0, len(found), 100):
            coded = bert(found[start : start + 100], add_special_tokens=True, truncation=True, max_length=LONGEST)
            for ids, known in zip(coded["input_ids"], words[start : start + 100], strict=True):
                file.write(json.dumps(continued(bert.convert_ids_to_tokens(ids), known)) + "\n")
    read = load_dataset(
        "text", data_files=str(path), split="train", cache_dir=str(out), download_mode="force_redownload"
    )
    coded = read.map(
        lambda some: bert(some["text"], truncation=True, max_length=LONGEST),
        batched=True,
        remove_columns=["text"],
        load_from_cache_file=False,
    )
    references = [json.loads(line) for line in (out / "reference.txt").read_text(encoding="utf-8").splitlines()]
    coded.add_column("chinese_ref", references).to_parquet(out / "texts.parquet")


def continued(tokens: list[str], words: set[str]) -> list[int]:
    """Places of the tokens that continue a Chinese word, the longest first."""
    longest, found, place = max(map(len, words), default=1), [], 0
    while place < len(tokens):
        length = 1
        if is_chinese(tokens[place]):
            lengths = range(min(longest, len(tokens) - place), 1, -1)
            length = next((n for n in lengths if "".join(tokens[place : place + n]) in words), 1)
        found += range(place + 1, place + length)
        place += length
    return found


def is_chinese(char: str) -> bool:
    """One ideograph of the main block."""
    return len(char) == 1 and "\u4e00" <= char <= "\u9fff"


def alike(theirs: Path, ours: Path, bert: PreTrainedTokenizerBase) -> float:
    """The share of Chinese tokens of which both say the same; of a line that was cut, in its first sequence."""
    same = total = 0
    first = (row for row in read_rows(ours) if "#" not in row["id"])
    for one, other in zip(pq.read_table(theirs, columns=["chinese_ref"]).to_pylist(), first, strict=True):
        references, numbers = set(one["chinese_ref"]), other["word_ids"]
        for place, token in enumerate(bert.convert_ids_to_tokens(other["input_ids"])):
            if is_chinese(token):
                total += 1
                same += (place in references) == (numbers[place] == numbers[place - 1])
    return same / max(total, 1)
