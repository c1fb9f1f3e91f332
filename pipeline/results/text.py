"""What the text of a run is: what was dropped from it, which words speak for a class, how it is masked.

`rows` reads a folder of shards, all columns or those named.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.masking.config import MaskingConfig
from pipeline.masking.drawing import Row, as_written, beside, drawn
from pipeline.masking.pages import CHINESE, text_of
from pipeline.masking.replacement import Vocabulary
from pipeline.masking.substitutes import words_of
from pipeline.metrics import telling
from pipeline.models import load_tokenizer
from pipeline.pages.parts import Masks, Part, Said, Section, Table
from pipeline.pages.plain import shortened
from pipeline.results.reasons import in_words
from pipeline.results.sections import CLASSES
from pipeline.run.artifact import MANIFEST, read_manifest
from pipeline.tokens import replaceable_ids

Rows = Callable[..., Iterable[Row]]

SPEAKING = 12
"""Words of a class that are shown."""
SENTENCES, VISITS = 3, 2
"""Sequences that are shown with their masks, and draws of each policy."""
FIRST, READABLE = 100, 40
"""Sequences that are looked at, and the ids of one that is easily taken in: those nearest to it are shown."""
OTHERS = {"whole_word": MaskingConfig(policy="whole_word"), "random": MaskingConfig(policy="random")}
"""Policies the recipe's own is put beside."""
LOOKED_AT = 20_000
"""Rows that are read to count words or to find examples, at most."""
TITLE = Said("What is masked", "遮盖了什么")


# ---- what cleaning dropped -----------------------------------------------------------------------------------------


def cleaning(runs: Sequence[Path], rows: Rows) -> Section:
    """Of each corpus its documents, how many were dropped for which reason, and the first that was of each."""
    there = _unlike([run for run in runs if (run / "corpus" / MANIFEST).exists()], "corpus")
    parts: list[Part] = []
    for run in there:
        parts += [Said(f"**{run.name}**", f"**{run.name}**")] if len(there) > 1 else []
        parts += _cleaned(read_manifest(run / "corpus")["metrics"], _rejected(run / "corpus" / "rejected", rows))
    return Section(Said("The text, and what cleaning dropped", "文本，以及清洗剔除了什么"), parts)


def _rejected(folder: Path, rows: Rows) -> list[tuple[str, str, str]]:
    """(reason, origin, text) of the first document that was dropped for each reason."""
    first: dict[str, tuple[str, str, str]] = {}
    if folder.exists():
        for row in islice(rows(folder, ("reason", "origin", "text")), LOOKED_AT):
            first.setdefault(row["reason"], (row["reason"], row["origin"], row["text"]))
    return [first[reason] for reason in sorted(first)]


def _cleaned(metrics: Mapping[str, float], examples: Sequence[tuple[str, str, str]]) -> list[Part]:
    sizes = {name: count for name, count in metrics.items() if name.endswith(("/train", "/dev", "/test"))}
    names = list(dict.fromkeys(name.rpartition("/")[0] for name in sizes))
    head = [Said("corpus", "语料"), Said("train", "训练"), Said("dev", "开发"), Said("test", "测试")]
    cell = lambda name, part: f"{sizes[f'{name}/{part}']:,}" if f"{name}/{part}" in sizes else ""
    parts: list[Part] = [Table(head, [[name, *(cell(name, p) for p in ("train", "dev", "test"))] for name in names])]
    reasons = {name.removeprefix("rejected/"): n for name, n in metrics.items() if name.startswith("rejected/")}
    if reasons:
        dropped = [[in_words(name), f"{count:,}"] for name, count in sorted(reasons.items(), key=_most)]
        parts.append(Table([Said("dropped because", "剔除原因"), Said("documents", "文档数")], dropped))
    if examples:
        rows = [[shortened(text), in_words(reason), origin] for reason, origin, text in examples]
        parts.append(
            Table(
                [Said("dropped, for example", "剔除的例子"), Said("because", "原因"), Said("from", "来源")],
                rows,
                worded=3,
            )
        )
    return parts if sizes else []


def _most(item: tuple[str, float]) -> tuple[float, str]:
    return -item[1], item[0]


# ---- which words speak for a class ---------------------------------------------------------------------------------


def speaking(runs: Sequence[Path], rows: Rows) -> Section:
    """The keywords that tell each class from the others, of every scorer that was asked."""
    scored = _unlike([run for run in runs if (run / "scores" / MANIFEST).exists()], "scores")
    names = [str(read_manifest(run / "scores")["config"]["scorer"]) for run in scored]
    several = len(scored) > 1
    lines = [
        [*([f"{run.name}: {scorer}"] if several else []), name, _telling(classes, name), f"{counts.total():,}"]
        for run, scorer in zip(scored, names, strict=True)
        for classes in [_keywords(run, rows)]
        for name, counts in classes.items()
        if counts
    ]
    asked = dict.fromkeys(names)
    told = Said(
        f"Words of the task's training text that the scorer ({', '.join(asked)}) calls keywords, those first that "
        "tell a class from the others.",
        f"打分器（{'、'.join(asked)}）认为是关键词的训练文本词语，最能区分该类别的在前。",
    )
    by = [Said("scorer", "打分器")] if several else []
    head = [*by, Said("class", "类别"), Said("keywords", "关键词"), Said("found", "出现次数")]
    table = Table(head, lines, worded=len(head) - 1)
    return Section(Said("Keywords by class", "各类别的关键词"), [told, table] if len(lines) > 1 else [])


def _unlike(runs: Sequence[Path], name: str) -> list[Path]:
    """One run of each that share an artifact."""
    first: dict[object, Path] = {}
    for run in runs:
        first.setdefault(read_manifest(run / name)["digest"], run)
    return list(first.values())


def _telling(classes: Mapping[str, Counter[str]], name: str) -> str:
    rest = sum((counts for other, counts in classes.items() if other != name), Counter())
    return "  ".join(telling(classes[name], rest)[:SPEAKING])


def _keywords(run: Path, rows: Rows) -> dict[str, Counter[str]]:
    """Class -> the keywords of the task's training text that stand in its documents, counted; the largest classes."""
    task, found = run / "corpus" / "task" / "train", {}
    if not task.exists() or not (run / "base").exists():
        return {}
    labels = {row["id"]: row["labels"] or [row["label"]] for row in rows(task, ("id", "label", "labels"))}
    tokenizer = load_tokenizer(run / "base")
    for row in islice(rows(run / "scores" / "task", ("id", "input_ids", "word_ids", "keyword")), LOOKED_AT):
        words = [text_of(np.array(word), tokenizer) for word in _of_row(row)]
        for label in filter(None, labels.get(row["id"], [])):
            found.setdefault(label, Counter()).update(words)
    return {label: found[label] for label in sorted(sorted(found, key=lambda n: (-found[n].total(), n))[:CLASSES])}


def _of_row(row: Mapping[str, list]) -> list[tuple[int, ...]]:
    """The words of a row of SCORES that are keywords."""
    ids, words, keyword = (np.array(row[name]) for name in ("input_ids", "word_ids", "keyword"))
    return words_of(ids[keyword], words[keyword]) if keyword.any() else []


# ---- how it is masked ----------------------------------------------------------------------------------------------


def masks(runs: Sequence[Path], rows: Rows) -> Section:
    """Sequences of the domain, or of the task: as every run weighs them, and under each policy of the first."""
    there = [run for run in runs if (run / "masked" / MANIFEST).exists()]
    places = {run.name: place for run in _unlike(there, "masked") if (place := _text(run / "masked"))}
    if not places:
        return Section(TITLE, [])
    (name, first), *others = places.items()
    tokenizer = load_tokenizer(first.parents[1] / "tokenizer")
    settings = read_manifest(first.parents[1])["config"]
    recipe = MaskingConfig(**{one.name: settings[one.name] for one in fields(MaskingConfig) if one.name in settings})
    policies = beside(recipe, OTHERS, Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer)), first.parent)
    read = lambda place: islice(rows(place), FIRST)
    shown = sorted(read(first), key=lambda row: abs(len(row["input_ids"]) - READABLE))[:SENTENCES]
    sequences = drawn(shown, policies, VISITS, tokenizer)
    weighed = [(other, found) for other, place in others if (found := _weighed_by(read(place), shown))]
    if weighed:
        lines = [(who, [as_written(row, tokenizer) for row in found]) for who, found in [(name, shown), *weighed]]
        heats = [[(who, line[number]) for who, line in lines] for number in range(len(shown))]
        sequences = [replace(one, heats=heat) for one, heat in zip(sequences, heats, strict=True)]
    weighs = any(piece.importance > 1 for one in sequences for _, heat in one.heats for piece in heat)
    return Section(TITLE, [_told(recipe.policy, weighs), Masks(sequences)])


def _text(masked: Path) -> Path | None:
    """Of the domain, or of the task."""
    return next((place for kind in ("domain", "task") if (place := masked / kind / "train").exists()), None)


def _weighed_by(rows: Iterable[Row], shown: Sequence[Row]) -> list[Row]:
    """What is shown as another run weighs it; nothing where it has not all of that, or weighs all words alike."""
    wanted = {row["id"]: row for row in shown}
    same = lambda row: row["id"] in wanted and row["input_ids"] == wanted[row["id"]]["input_ids"]
    found = {row["id"]: row for row in rows if same(row)}
    weighs = any(max(row["importance"]) > 1 for row in found.values())
    return [found[name] for name in wanted] if len(found) == len(wanted) and weighs else []


def _told(policy: str, weighs: bool) -> Said:
    what = Said(" with the importance of their words", "及其词的重要性") if weighs else Said("", "")
    return Said(
        f"Sentences of the corpus{what.en}, and what a training reads of them: under this recipe's policy, {policy}, "
        "and under others at the same rate.",
        f"语料中的句子{what.zh}，以及训练实际读到的内容：本配方的策略（{CHINESE.get(policy, policy)}），"
        "和相同比例下的其他策略。",
    )
