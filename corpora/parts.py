"""The cards that a recipe names, each with the splits to read of it, and whether they can be what it makes of them.

check(config, data)                                        # all that is wrong, before the first file is read
for card, splits in parts(config, "domain", data): ...
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from corpora.cards import TARGETS, Card, parse_source
from corpora.cleaning.languages import Tongue
from corpora.config import CorpusConfig
from corpora.reading.raw import Raw
from corpora.reading.sources import files_of
from corpora.schemas import InputError

CORPORA = ("general", "domain", "task", "beside", "elsewhere", "noise")
"""What a recipe can make of cards."""

Part = tuple[Card, tuple[str, ...]]
"""A card and the splits to read of it."""


def parts(config: CorpusConfig, corpus: str, data: Path) -> list[Part]:
    """The cards of a corpus, each with the splits to read."""
    named = config.noise.text if corpus == "noise" else getattr(config, corpus)
    parsed = [parse_source(source, data) for source in ([named] if isinstance(named, str) else named) if source]
    if corpus == "elsewhere":
        return [(card, splits or tuple(s for s in card.splits if s == "test")) for card, splits in parsed]
    if corpus in ("task", "beside"):
        parsed = [(_with_columns(card, config) if corpus == "task" else card, splits) for card, splits in parsed]
        return [(card, splits or tuple(s for s in card.splits if s != "unlabeled")) for card, splits in parsed]
    return [(card, splits or card.text_splits) for card, splits in parsed]


def all_parts(config: CorpusConfig, data: Path) -> list[Part]:
    """Those of every corpus."""
    return [part for corpus in CORPORA for part in parts(config, corpus, data)]


def sources(config: CorpusConfig, data: Path) -> list[Path]:
    """Every file here the documents depend on: the cards, and the raw files these name. Of those elsewhere the cards
    name the content."""
    found = all_parts(config, data)
    cards = [_near(card.path) for card, _ in found]
    files = [file for card, splits in found for split in splits for file in files_of(card, split, data)]
    files = [file for file in files if isinstance(file, Path)]
    return list(dict.fromkeys(cards + files + [*config.noise.confusion_files(data).values()]))


def bytes_of(card: Card, splits: Iterable[str], data: Path) -> int:
    """Bytes of the raw files of these splits; 0 of what is in no file."""
    return sum(Raw(path).size for split in splits for path in files_of(card, split, data))


def check(config: CorpusConfig, data: Path) -> None:
    """All that is wrong with the cards of a recipe, before the first file is read."""
    found = all_parts(config, data)
    if not found:
        raise InputError("the recipe names no corpus: set corpus.general, corpus.domain or corpus.task")
    config.noise.confusion_files(data)  # refuses one that is not there
    if other := [f"{card.name} ({card.language})" for card, _ in found if card.language != config.language]:
        raise InputError(f"corpus.language is {config.language}, but not that of {', '.join(other)}: set one language")
    if config.drop_other_languages:
        Tongue(config.language)  # refuses one that is not known
    tasks = [*parts(config, "task", data), *parts(config, "beside", data)]
    for card, splits in tasks:
        if card.target is None or ("train" not in splits and not config.noise.text):
            raise InputError(
                f"card {card.name} cannot be a task: it needs a train split and one of {', '.join(TARGETS)}"
            )
    for card, _ in parts(config, "task", data):
        _check_task(card, config)
    for card, _ in [*tasks, *parts(config, "elsewhere", data)]:
        _check_tags(card, config)
    for card, splits in parts(config, "elsewhere", data):
        if card.target != tasks[0][0].target or not splits:
            raise InputError(
                f"card {card.name} cannot be tested on elsewhere: it needs a test split and, as {tasks[0][0].name}, "
                f"a {tasks[0][0].target} (name splits as in {card.name}:dev+test)"
            )
    names = [card.name for card, _ in tasks]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"corpus.beside names {', '.join(sorted(twice))} again: name each labelled corpus once")


def _check_task(card: Card, config: CorpusConfig) -> None:
    """What settings ask of the task, against what its card has."""
    if config.noise.text and card.target != "target":
        raise InputError(
            f"corpus.noise makes pairs of source and target, and card {card.name} has {card.target}: leave it out"
        )
    if card.target == "target" and (config.task_text or config.task_text_pair):
        raise InputError("corpus.task_text is not for spelling correction: what is read is the source")
    if config.task_templates and card.target in ("tags", "target"):
        raise InputError(f"corpus.task_templates would part text from {card.target}: leave it out")


def _check_tags(card: Card, config: CorpusConfig) -> None:
    """Tokens have a tag each, and cannot be rewritten as the text is."""
    for name in ("strip_markup", "mask_private"):
        if card.target == "tags" and getattr(config, name):
            raise InputError(f"corpus.{name} would part text from tags in card {card.name}: leave it out")


def _with_columns(card: Card, config: CorpusConfig) -> Card:
    """The task's card, its texts read from other columns where the recipe says so."""
    others = {"text": list(config.task_text), "text_pair": list(config.task_text_pair)}
    return replace(card, fields=card.fields | {role: columns for role, columns in others.items() if columns})


def _near(path: Path) -> Path:
    """Relative where it lies below, so that a project can be moved."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
