"""Show what masking does: the same sequences under the recipe's policy, random tokens and MacBERT's, side by side.

    make show

reads   base/    the tokenizer, and the embeddings in which similar words are found
        masked/  sequences and their importance
        corpus/  general text, to compare words with (where there is some)
writes  shown/   index.html, for a browser; shown.txt and shown.ansi, which make prints
"""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import metadata_of, read_batches, read_rows
from corpora.segment import Segmenter
from pipeline.masking.config import MaskingConfig
from pipeline.masking.drawing import beside, drawn
from pipeline.masking.pages import Drawn, in_terminal, text_of
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import Substitutes, Word, similar_words, words_of
from pipeline.metrics import telling
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.pages.html import write_html
from pipeline.pages.parts import Masks, Said, Section, Table
from pipeline.run.artifact import read_manifest
from pipeline.run.stage import run
from pipeline.tokens import replaceable_ids, sequence_rows

COUNTED = 20_000
"""Sequences whose words are counted."""
MAC = MaskingConfig(policy="whole_word", unit="ngram", replacement="similar")
"""MacBERT's masking (Cui et al. 2020)."""
OTHERS = {"random": MaskingConfig(policy="random"), "macbert": MAC}
"""What the recipe's own policy is put beside."""
TITLE = Said("What is masked", "遮盖了什么")
NAMES = {"domain": Said("Domain text", "领域文本"), "task": Said("Task text", "任务文本")}
HEAD = [Said("word", "词"), Said("targets", "目标"), Said("domain", "领域"), Said("general", "通用")]
NOTE = Said(
    "Of a thousand targets, of a thousand words of the domain, of a thousand words of general text.",
    "每千个目标词、每千个领域词、每千个通用词中的次数。",
)


@dataclass(frozen=True)
class ShowConfig:
    """How much is shown."""

    sequences: int = 8
    """Of the domain, and of the task."""
    visits: int = 3
    """Draws of each policy."""
    words: int = 40
    """In the table of words predicted most."""


def show(config: ShowConfig, init: Path, masked: Path, corpus: Path, out: Path) -> dict[str, float]:
    """Write the page; metrics with the number of sequences shown."""
    tokenizer = load_tokenizer(init)
    domain = masked / "domain" / "train"
    counts, targets = _counted(domain)
    table = Substitutes.of(similar_words(counts, load_masked_lm(init).get_input_embeddings().weight.detach().numpy()))
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer), table)
    folders = {name: masked / name / "train" for name in ("domain", "task") if (masked / name / "train").exists()}
    shown = {name: _drawn(config, folder, tokenizer, vocabulary) for name, folder in folders.items()}
    words = _words(config, tokenizer, counts, targets, _general(masked, corpus, tokenizer))
    sections = [Section(NAMES[name], [Masks(sequences)]) for name, sequences in shown.items()]
    sections.append(Section(Said("Words predicted most", "预测最多的词"), [NOTE, Table(HEAD, words)]))
    write_html(out / "index.html", TITLE, sections, str(read_manifest(masked)["config"]["language"]))
    first = [one for sequences in shown.values() for one in sequences[:2]]
    for name, colour in (("shown.txt", False), ("shown.ansi", True)):
        (out / name).write_text(in_terminal(first, colour), encoding="utf-8")
    return {"sequences": sum(map(len, shown.values())), "words": len(words)}


def _drawn(
    config: ShowConfig, folder: Path, tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary
) -> list[Drawn]:
    """The first sequences of a folder under each policy."""
    rows = list(islice(read_rows(folder), config.sequences))
    recipe = MaskingConfig(**json.loads(metadata_of(folder)["masking"]))
    policies = beside(recipe, OTHERS, vocabulary, folder.parent)
    return drawn(rows, policies, config.visits, tokenizer)


def _counted(folder: Path) -> tuple[Counter[Word], Counter[Word]]:
    """How often each word occurs, and how often visit 0 predicts one of its tokens."""
    words, targets = Counter(), Counter()
    for row in islice(read_rows(folder, ("input_ids", "word_ids", "masked")), COUNTED):
        numbers = np.array(row["word_ids"])
        found = words_of(np.array(row["input_ids"]), numbers)
        words.update(found)
        targets.update(w for w, m in zip(found, words_of(np.array(row["masked"]), numbers), strict=True) if any(m))
    return words, targets


def _general(masked: Path, corpus: Path, tokenizer: PreTrainedTokenizerBase) -> Counter[Word]:
    """How often words occur in general text, cut as the masked corpus was; nothing where there is no such text."""
    counts, folder = Counter(), corpus / "general" / "train"
    if not folder.exists():
        return counts
    made = read_manifest(masked)["config"]
    spans = Segmenter(made["segmenter"], made["language"], made.get("user_dictionary")).spans
    for batch in islice(read_batches(folder, ("id", "text", "text_pair"), 500), 10):
        for row in sequence_rows(batch, tokenizer, spans, made["max_length"]):
            counts.update(words_of(row["input_ids"], row["word_ids"]))
    return counts


def _words(
    config: ShowConfig,
    tokenizer: PreTrainedTokenizerBase,
    domain: Counter[Word],
    targets: Counter[Word],
    general: Counter[Word],
) -> list[list[str]]:
    """The words whose share of the targets is largest beside their share of general text, or of the domain's."""
    per_thousand = lambda counts, word: f"{1000 * counts[word] / counts.total():.2f}" if counts.total() else "–"
    return [
        [text_of(np.array(word), tokenizer), *(per_thousand(counts, word) for counts in (targets, domain, general))]
        for word in telling(targets, general or domain)[: config.words]
    ]


if __name__ == "__main__":
    run(show)
