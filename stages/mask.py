"""Mask the domain and the task text where the important words are.

    make masked                                                         # by the tagger
    make masked SET="masked.scorer=tfidf"                               # or by any scorer, without one
    make masked SET="masked.scorer=excess_loss" REFERENCE=<checkpoint>

reads   base/            the tokenizer, the longest sequence the model takes; the model for keyword, entropy, loss, …
        corpus/          the documents: domain/ and task/; what is counted for log_odds, tfidf, pmi
        chosen/          the documents of the domain to learn from, where not all are
        tagger/          the keyword tagger (scorer = tagger)
        finetuned-base/  the classifier (prefix, occlusion, gradient, …): explains what it predicts
        a checkpoint     adapted to good text (excess_loss)
writes  masked/          domain/, task/ and, where it is asked for, general/, each train/ and dev/: one row a sequence
                         with its ids as written, word by word importance, and which words visit 0 predicts; preview.md

Under `accelerate launch` each process takes the next shard that nobody has, the largest first, so that none waits long
for another; a killed run goes on with those that are missing, and any number of processes writes the same rows.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache
from itertools import compress, islice
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.parquet import count_rows, metadata_of, read_batches, read_rows, shards, write_shard
from corpora.schemas import MASKED
from corpora.segment import Segmenter, WordsConfig
from corpora.splits import sample
from corpora.stop_words import stop_words
from corpora.words import training_words
from pipeline.masking.config import MaskingConfig
from pipeline.masking.counting import added, metrics_of
from pipeline.masking.marks import Marks
from pipeline.masking.masker import Masker
from pipeline.masking.pages import in_markdown, pieces_as_written
from pipeline.masking.substitutes import FILE, Substitutes, Word, from_words, read_words, same_sound, similar_words
from pipeline.masking.substitutes import words_of as token_words
from pipeline.masking.terms import terms_of
from pipeline.models import load_masked_lm, load_tokenizer
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.key import ADDED
from pipeline.run.processes import main_first, rank, total, wait_for_all
from pipeline.run.sharing import claimed, share, unmade
from pipeline.run.stage import run
from pipeline.scoring.importance import Scale
from pipeline.scoring.scorers import Score, Scorer, make_scorer
from pipeline.scoring.weighing import Cutter, Weigh, alike, by_scorer, by_tagger, scale_of
from pipeline.tokens import Frame, fingerprint

COLUMNS = ("id", "text", "text_pair", "keywords")

KINDS = ("domain", "task", "general")
"""What there may be of masked text."""

SAMPLE = 2000
"""Documents, spread over all shards, by which scores are put on the scale of importances."""

COUNTED = 200_000
"""Sequences whose words are counted, to know which are frequent enough to have similar ones."""


@dataclass(frozen=True)
class MaskConfig(WordsConfig, MaskingConfig):
    """How sequences are cut into words, weighed and masked; see also WordsConfig and MaskingConfig."""

    scorer: Literal["tagger", Scorer] = "tagger"
    """What weighs words where the policy asks for it: the tagger, or a scorer of pipeline/scoring/scorers.py without
    one; a classifier then explains what it predicts itself."""
    important_share: float = 0.15
    """Share of the words that are important to a scorer, at most: as many as are masked by default. The tagger decides
    by itself."""
    max_length: int = 128
    """Longest sequence in ids, special tokens included; a longer document becomes several sequences."""
    terms: str = field(default="", metadata={"file": True})
    """File of terms, one a line: each occurrence is masked whole, and as important as can be whatever the scorer says
    (salient spans). Its path is from the folder of the recipe."""
    substitutes: str = field(default="", metadata={"file": True})
    """File of what may stand for a word, a line `word<TAB>other<TAB>other…`, for replacement = similar or confusion;
    without one, neighbours among the base's embeddings, or characters of the same pinyin."""
    general_documents: int = field(default=0, metadata=ADDED)
    """So many documents of the general text, drawn by the hash of their ids, are masked as well, words at random, and
    at most as many of its dev text: to see what a training forgets (dev_general_loss), to replay and interpolate."""
    batch_documents: int = 512
    """Documents weighed together; they are sorted by length inside, so a larger number wastes less on padding."""

    def __post_init__(self) -> None:
        WordsConfig.__post_init__(self)
        MaskingConfig.__post_init__(self)
        if self.skip_stop_words:
            stop_words(self.language)  # a ValueError where there are none
        if self.substitutes and self.replacement == "mask":
            raise ValueError("substitutes are for replacement = similar or confusion, not mask")
        if not 0 < self.important_share < 1:
            raise ValueError(f"important_share = {self.important_share} must lie between 0 and 1")
        if self.general_documents < 0:
            raise ValueError(f"general_documents = {self.general_documents} must not be negative")


def mask(
    config: MaskConfig,
    init: Path,
    corpus: Path,
    tagger: Path | None,
    classifier: Path | None,
    reference: Path | None,
    out: Path,
    chosen: Path | None = None,
) -> dict[str, float]:
    """Write the masked corpus; metrics with sequences, tokens and the realised mask rate."""
    tokenizer, segmenter = load_tokenizer(init, config.max_length), Segmenter.of(config)
    inputs = _inputs(corpus, chosen)
    spans = lru_cache(maxsize=8 * config.batch_documents)(segmenter.spans)  # asked for by tokens, words and counts
    cut = Cutter(tokenizer, spans, config.max_length)
    if config.policy != "selective":
        weigh: Weigh = alike
    elif config.scorer == "tagger":
        weigh = by_tagger(tagger, tokenizer)
    else:
        models = {"classifier": classifier, "base": init, "reference": reference}
        score = make_scorer(config.scorer, tokenizer, models, training_words(corpus, segmenter))
        scale = main_first(lambda: _scale(config, [*inputs], cut, score, out))
        weigh = by_scorer(score, scale, Frame.of(tokenizer))
    masker = Masker(config, cut, weigh, _marks(config, segmenter))
    targets = {path: out / place for path, place in inputs.items()}
    general = {path: out / place for path, place in _general(config, corpus).items()}
    drawn = _drawn(config, general)
    for source in claimed(unmade(targets | general), "shards"):
        if source in general:
            _mask_shard(config, masker.at_random(), source, general[source], drawn)
        else:
            _mask_shard(config, masker, source, targets[source])
    wait_for_all()
    metrics = metrics_of(total(added([json.loads(metadata_of(path)["counts"]) for path in share(targets.values())])))
    metrics |= {f"general_{part}": count_rows(out / "general" / part) for part in ("train", "dev") if general}
    if rank() == 0:
        tokenizer.save_pretrained(out / "tokenizer")
        if config.replacement != "mask":
            metrics |= _write_substitutes(config, init, tokenizer, out)
        (out / "preview.md").write_text(_preview(config, out, tokenizer), encoding="utf-8")
    return metrics


# ---- how words are weighed and marked ------------------------------------------------------------------------------


def _scale(config: MaskConfig, paths: list[Path], cut: Cutter, score: Score, out: Path) -> Scale:
    """The scale of a scorer, by the first documents of every shard; kept, so that all processes have the same one."""
    kept = out / SCRATCH / "scale.npy"
    if not kept.exists():
        parts = (cut(next(read_batches(path, COLUMNS, -(-SAMPLE // len(paths))))) for path in paths)
        scale = scale_of(score, parts, Frame.of(cut.tokenizer), config.important_share, config.scorer)
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, scale.edges)
    return Scale(np.load(kept))


def _marks(config: MaskConfig, segmenter: Segmenter) -> Marks:
    """As the recipe wants them."""
    stop = stop_words(config.language) if config.skip_stop_words else frozenset()
    lines = Path(config.terms).read_text(encoding="utf-8").splitlines() if config.terms else []
    return Marks(stop, not config.skip_punctuation, terms_of(lines, segmenter.words))


# ---- what may stand for what ---------------------------------------------------------------------------------------


def _write_substitutes(
    config: MaskConfig, init: Path, tokenizer: PreTrainedTokenizerBase, out: Path
) -> dict[str, float]:
    """A table beside the sequences of each kind, for replacement = similar or confusion; how many words each knows."""
    sizes = {}
    for kind in KINDS:
        if (out / kind / "train").exists():
            table = Substitutes.of(_candidates(config, init, tokenizer, out / kind / "train"))
            table.save(out / kind / FILE)
            sizes[f"substitutes_{kind}"] = len(table)
    return sizes


def _candidates(
    config: MaskConfig, init: Path, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> dict[Word, list[Word]]:
    if config.substitutes:
        encode = lambda texts: tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        return from_words(read_words(Path(config.substitutes)), encode)
    if config.replacement == "confusion":
        return same_sound(tokenizer.get_vocab())
    counts: Counter[Word] = Counter()
    for row in islice(read_rows(folder, ("input_ids", "word_ids")), COUNTED):
        counts.update(token_words(np.array(row["input_ids"]), np.array(row["word_ids"])))
    return similar_words(counts, load_masked_lm(init).get_input_embeddings().weight.detach().numpy())


# ---- shard by shard ------------------------------------------------------------------------------------------------


def _inputs(corpus: Path, chosen: Path | None) -> dict[Path, Path]:
    """Shards of the domain, or of what was chosen of it, and of the task's train and dev text, never of its test text;
    and where each belongs."""
    homes = {"domain": chosen or corpus, "task": corpus}
    folders = [(homes[kind], Path(kind) / part) for kind in homes for part in ("train", "dev")]
    there = [(home, place) for home, place in folders if (home / place).exists()]
    return {path: path.relative_to(home) for home, place in there for path in shards(home / place)}


def _general(config: MaskConfig, corpus: Path) -> dict[Path, Path]:
    """Shards of the general text, and where each belongs; none where none is wanted."""
    if not config.general_documents:
        return {}
    folders = [Path("general") / part for part in ("train", "dev")]
    if not (corpus / folders[0]).exists():
        raise InputError(
            f"masked.general_documents = {config.general_documents}, and {corpus} has no general text: name some in "
            "[corpus] general"
        )
    there = [folder for folder in folders if (corpus / folder).exists()]
    return {path: path.relative_to(corpus) for folder in there for path in shards(corpus / folder)}


def _drawn(config: MaskConfig, paths: Iterable[Path]) -> frozenset[str]:
    """Ids of the documents of train and of dev that are masked, of these shards of general text."""
    ids = {part: [path for path in paths if path.parent.name == part] for part in ("train", "dev")}
    names = lambda part: (name for path in ids[part] for batch in read_batches(path, ("id",)) for name in batch["id"])
    return frozenset(name for part in ids for name in sample(names(part), config.general_documents, config.seed))


def _mask_shard(
    config: MaskConfig, masker: Masker, source: Path, target: Path, drawn: Collection[str] | None = None
) -> None:
    """One shard of documents, or those drawn of it -> one shard of sequences, with its counts in the footer."""
    counts: dict[str, float] = {}
    masking = {field.name: getattr(masker.config, field.name) for field in fields(MaskingConfig)}
    metadata = {"tokenizer": fingerprint(masker.cut.tokenizer), "masking": json.dumps(masking)}

    def rows() -> Iterator[dict[str, object]]:
        batches = read_batches(source, COLUMNS, config.batch_documents)
        yield from masker.rows(batches if drawn is None else _only(batches, drawn), counts)
        metadata["counts"] = json.dumps(counts)

    write_shard(target, MASKED, rows(), metadata)


def _only(batches: Iterable[dict[str, list]], names: Collection[str]) -> Iterator[dict[str, list]]:
    """The rows that have these ids, of the batches where there are any."""
    for batch in batches:
        kept = [name in names for name in batch["id"]]
        if any(kept):
            yield {column: list(compress(values, kept)) for column, values in batch.items()}


def _preview(config: MaskConfig, out: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    lines = ["# Masked corpus", "", f"**Bold**: important to {config.scorer}. `[brackets]`: predicted at visit 0.", ""]
    for kind in KINDS:
        if (out / kind / "train").exists():
            rows = islice(read_rows(out / kind / "train"), 15)
            lines += [f"## {kind}", "", *(f"- {_shown(row, tokenizer)}" for row in rows), ""]
    return "\n".join(lines)


def _shown(row: dict, tokenizer: PreTrainedTokenizerBase) -> str:
    ids, words, importance, masked = (np.array(row[n]) for n in ("input_ids", "word_ids", "importance", "masked"))
    return in_markdown(pieces_as_written(ids, words, importance, tokenizer, masked))


if __name__ == "__main__":
    run(mask, version=3)
