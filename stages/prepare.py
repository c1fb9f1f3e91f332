"""Make raw text into clean, split documents.

    make corpus

reads   the files that the recipe's corpus cards name, under DATA
        slices/     what tasks read and cleaned of them before (make corpus WORKERS=8), where there is any
writes  corpus/general/  train, dev         everyday text, to build a base model from
        corpus/domain/   train, dev         text of the domain, for DAPT
        corpus/task/     train, dev, test   labelled documents, for TAPT and fine-tuning; pairs of [corpus.noise]
        corpus/beside/<card>/   the same    other tasks, to learn beside this one
        corpus/elsewhere/<card>/    test    rows of another source with the same labels, to be tested on as well
        corpus/rejected/ preview.md         what was dropped and why; a look at the rest
        corpus/README.md                    a dataset card: other programs open the folder by it
        corpus/sources.mk                   the raw files, for make

Dev and test of all labelled corpora are read first. No text of theirs is left in any train, and no run of 24
characters or 13 words of it in domain or general. The state kept while documents stream through are fingerprints,
those runs, and the documents held back as dev.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from corpora.cleaning.dedup import numbered
from corpora.cleaning.rewriting import noted_in
from corpora.config import CorpusConfig
from corpora.dataset_card import write_dataset_card
from corpora.keeping import Rejected
from corpora.labelled import CUT, noting_labels, refuse_unknown
from corpora.parquet import Row, write_corpus
from corpora.parts import all_parts, check, parts, sources
from corpora.preparation import Preparation
from corpora.previews import write_preview
from corpora.reading.sources import other_encodings
from corpora.schemas import DOCUMENTS, InputError
from corpora.slices import remove_stale
from corpora.splits import HoldOut
from pipeline.run.progress import Progress, say, size
from pipeline.run.stage import run

VERSION = 7

Write = Callable[[str, Iterable[Row]], int]
"""Name and rows of a split, which is written -> how many they are."""


def prepare(config: CorpusConfig, data: Path, out: Path, slices: Path | None = None) -> dict[str, float]:
    """Write the corpora of the recipe; documents by corpus and split, and dropped ones by reason."""
    check(config, data)
    named = all_parts(config, data)
    read = Progress(None, "read", written=size)
    watch = lambda more: read.step(more=more)
    slices = slices if slices and slices.is_dir() else None
    work = Preparation(config, data, out, Rejected(out / "rejected"), watch=watch, slices=slices)
    read.count = work.bytes
    work.found.encodings.extend(
        dict.fromkeys(line for card, splits in named for line in other_encodings(card, splits, data))
    )
    for line in work.found.encodings:
        say(f"  {line}")
    done = noted_in(work.rewrites)
    write = lambda name, rows: write_corpus(out / name, DOCUMENTS, read.noting(rows, name), config.shard_rows, done)
    counts = _tasks(work, write) if config.task or config.noise.text else {}
    for corpus in ("domain", "general"):
        counts |= _text(corpus, work, write) if getattr(config, corpus) else {}
    read.close()
    work.rejected.flush()
    work.found.templates.extend(sorted(work.templates) if config.task_templates else ())
    counts |= {"task/templates": len(work.found.templates)} if work.found.templates else {}
    counts |= {f"repaired/{kind}": count for kind, count in sorted(work.repaired.items()) if count}
    write_preview(out / "preview.md", counts, work.rejected, work.found)
    write_dataset_card(out, config.language, counts, named)
    write_dependencies(out / "sources.mk", sources(config, data))
    if slices:
        remove_stale(config, data, slices)
    return counts | {f"rejected/{reason}": count for reason, count in work.rejected.reasons().most_common()}


def raw_files(config: CorpusConfig, data: Path, slices: Path | None) -> list[Path]:
    """What a corpus is made from. Slices are none of it: without them it is the same."""
    return sources(config, data)


def _text(corpus: str, work: Preparation, write: Write) -> dict[str, float]:
    """Write a corpus of plain text, a part of it held back."""
    back = HoldOut(work.config.dev_share, work.config.dev_documents)
    train = write(f"{corpus}/train", back.rest(work.text(corpus)))
    dev = write(f"{corpus}/dev", back.held)
    _some_left(corpus, train, train + dev, work.rejected.reasons(corpus))
    return {f"{corpus}/train": train, f"{corpus}/dev": dev}


def _tasks(work: Preparation, write: Write) -> dict[str, float]:
    """Write the labelled corpora; all dev and test text first, so that no train row is part of it."""
    if not work.config.task:
        return _noise_alone(work, write)
    tasks = work.tasks()
    elsewhere: dict[str, dict[str, str]] = {}
    counts = _elsewhere(work, write, tasks[0].card.target, elsewhere)
    for task in tasks:
        for split in ("test", "dev"):
            counts = _split(work, write, task.name, split, task.rows(split)) | counts
    for task in tasks:
        counts = _split(work, write, task.name, "train", task.rows("train")) | counts
        task.check_labels()
        counts |= {f"{task.name}/classes": len(task.labels["train"])} if task.labels["train"] else {}
        counts |= {f"{task.name}/not_sampled": task.not_sampled} if task.not_sampled else {}
    for name, labels in elsewhere.items():
        refuse_unknown(labels, tasks[0].labels["train"], name, "task", "name another card, or other splits of it")
    return counts


def _noise_alone(work: Preparation, write: Write) -> dict[str, float]:
    """Write a task that is made of [corpus.noise], all of its splits."""
    counts: dict[str, float] = {}
    for split in CUT:
        counts = _split(work, write, "task", split, work.misspelt(split, CUT)) | counts
    return counts


def _elsewhere(work: Preparation, write: Write, target: str, labels: dict[str, dict[str, str]]) -> dict[str, float]:
    """Write the rows of other sources, as they are, and note which labels they have."""
    counts: dict[str, float] = {}
    for card, splits in parts(work.config, "elsewhere", work.data):
        name = f"elsewhere/{card.name}"
        rows = numbered(work.elsewhere(name, card, splits, target))
        counts |= _split(work, write, name, "test", noting_labels(rows, labels.setdefault(name, {})))
    return counts


def _split(work: Preparation, write: Write, name: str, split: str, rows: Iterable[Row]) -> dict[str, float]:
    """Write a split of a labelled corpus; how many rows it has."""
    count = write(f"{name}/{split}", rows if split == "train" else work.held(rows))
    _some_left(f"{name} {split}", count, count, work.rejected.reasons(name))
    return {f"{name}/{split}": count}


def _some_left(what: str, train: int, kept: int, reasons: Counter[str]) -> None:
    if not train:
        top = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(1)) or "the files are empty"
        total = kept + reasons.total()
        raise InputError(f"0 of {total} documents left for {what}; top reason: {top}: look into the files of its card")


def write_dependencies(path: Path, files: list[Path]) -> None:
    """What make has to look at; the empty rule of each file lets it go on when one was moved away."""
    names = [_for_make(file) for file in files]
    rule = " \\\n  ".join(["$(RUN)/corpus/manifest.json:", *names])
    targets = [name.replace("%", "\\%") + ":" for name in names]  # in a target, and only there, % is a pattern
    path.write_text("\n".join([rule, "", *targets, ""]), encoding="utf-8")


def _for_make(path: Path) -> str:
    name = str(path).replace("$", "$$")
    for special in " #:":
        name = name.replace(special, f"\\{special}")
    return name


if __name__ == "__main__":
    run(prepare, version=VERSION, sources=raw_files)
