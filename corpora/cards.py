"""Corpus cards: where a corpus comes from, which files hold it, which columns mean what.

    card, splits = parse_source("imdb:train+dev")

A card is a small TOML file, in `corpora/cards/` or anywhere:

    name = "imdb"
    title = "Film reviews, 2 classes"
    language = "en"
    licence = "none stated (Stanford)"
    origin = "https://github.com/dax44/AMLM"
    encoding = "gb18030"           # optional: of its text files; without it, the one that is beyond doubt
    documents = "blocks"           # optional: of a txt file lines up to a blank one, in place of each line

    [fields]                       # role = column, or a path into nested ones; text is required
    text = ["{title}：{author}", "review.body"]     # it and text_pair may be several, or templates
    label = "label"
    group = "author"               # optional: rows that have this in common go to one split

    [files]                        # split = path, glob, folder or a list of these, relative to DATA
    train = "imdb/train.parquet"

    [checksums]                    # optional: path = sha256, compared when the file is read
    "imdb/train.parquet" = "9f2c…"         # required of a file that [files] names as a URL

In place of [files], a data set of the Hugging Face hub has

    [hub]
    name = "stanfordnlp/imdb"
    revision = "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"      # the commit: a name such as main moves
    config = "plain_text"                                     # optional
    splits = { train = "train", unlabeled = "unsupervised" }  # ours = the hub's

and a corpus made by the program `[generated]` with `by`, `corpus` and `splits`.
"""

import difflib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from corpora.reading.columns import TEMPLATE, columns_of
from corpora.reading.encodings import CODECS
from corpora.schemas import InputError
from corpora.segment import LANGUAGE, NO_LANGUAGE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CARDS = Path(__file__).parent / "cards"

SPLITS = ("train", "dev", "test", "unlabeled")

TARGETS = ("label", "labels", "tags", "target", "score")
"""Roles a task can learn to predict, one of them a card."""

FIELDS = ("text", "text_pair", "label", "labels", "tokens", "tags", "source", "target", "score", "keywords", "group")
"""Roles a column can have: the columns of DOCUMENTS that come from outside, and the group that stays in one split."""

DOCUMENTS_ARE = ("lines", "blocks")
"""What a document is in a txt file: a line, or lines up to a blank one."""

_TEXT_KEYS = ("name", "title", "language", "licence", "origin")
_READING = {"encoding": tuple(CODECS), "documents": DOCUMENTS_ARE}
_TABLES = ("fields", "files", "checksums", "generated", "hub")
_GENERATED = ("by", "corpus", "splits")
_HUB = ("name", "revision", "config", "splits")
_NEEDS = {"tags": "tokens", "tokens": "tags", "target": "source", "source": "target"}

Table = dict[str, object]


@dataclass(frozen=True)
class Hub:
    """A data set of the Hugging Face hub, at one commit."""

    name: str
    revision: str
    splits: dict[str, str]
    """Split -> its name on the hub."""
    config: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.revision[:7]}"


@dataclass(frozen=True)
class Card:
    """A corpus: its history, its columns and its files."""

    name: str
    title: str
    language: str
    licence: str
    origin: str
    fields: dict[str, str | list[str]]
    """Role -> column in the files; of a text, or several, or a template of columns."""
    files: dict[str, tuple[str, ...]]
    """Split -> paths as written in the card; empty for a corpus that is generated or on the hub."""
    checksums: dict[str, str] = field(default_factory=dict)
    generated: str = ""
    """Name of the corpus in `corpora.demo.planted`, when no file holds it."""
    generated_splits: tuple[str, ...] = ()
    hub: Hub | None = None
    """Where it is, when no file holds it."""
    encoding: str = ""
    """Of its text files; "" = the one that is beyond doubt."""
    documents: str = "lines"
    """What a document is in a txt file: one of DOCUMENTS_ARE."""
    path: Path = CARDS
    """The file this card was read from."""

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits there are, in the order of the card."""
        return self.generated_splits or tuple(self.hub.splits if self.hub else self.files)

    @property
    def text_splits(self) -> tuple[str, ...]:
        """The splits to take as plain text when a recipe names none."""
        return ("unlabeled",) if "unlabeled" in self.splits else self.splits

    def parts(self, role: str) -> tuple[str, ...]:
        """The columns, or templates of columns, a role is made of."""
        return tuple(_list(self.fields[role]))

    def columns(self, role: str) -> tuple[str, ...]:
        """The columns a role is read from."""
        return tuple(column for part in self.parts(role) for column in columns_of(part))

    @property
    def remedy(self) -> str:
        """Where wrong columns are put right; a file that is only predicted has a card made on the spot."""
        return "name the right one, as in predicted.text" if self._made else f"correct [fields] in {self.path}"

    @property
    def remedy_of_encoding(self) -> str:
        """Where it is declared."""
        return "say which, as in predicted.encoding" if self._made else f"write encoding = … into {self.path}"

    @property
    def _made(self) -> bool:
        return self.path.suffix != ".toml"

    @property
    def target(self) -> str | None:
        """The role a task on this corpus predicts."""
        return next((role for role in TARGETS if role in self.fields), None)


def parse_source(source: str, data: Path | None = None) -> tuple[Card, tuple[str, ...]]:
    """A recipe's `card` or `card:split+split` -> the card and the splits named, none where none are."""
    name, _, named = source.partition(":")
    card = load_card(name, data)
    splits = tuple(named.split("+")) if named else ()
    if unknown := [split for split in splits if split not in card.splits]:
        there = ", ".join(card.splits)
        raise InputError(f"{source}: card {card.name} has no split {', '.join(unknown)}: take of {there}")
    return card, splits


def load_card(name_or_path: str, data: Path | None = None) -> Card:
    """The card of that name in `corpora/cards/`, or at that path, as it stands or under `data`."""
    path = _find(str(name_or_path), data)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    if problems := _problems(table):
        raise InputError(f"card {path}: {'; '.join(problems)}")
    return _card(table, path)


def known_cards() -> list[str]:
    """Names of the cards in `corpora/cards/`."""
    return sorted(path.stem for path in CARDS.glob("*.toml"))


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean x?)`, or nothing where no known name is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def _find(name: str, data: Path | None) -> Path:
    places = [Path(name)] + ([data / name] if data else []) if name.endswith(".toml") else [CARDS / f"{name}.toml"]
    for path in places:
        if path.is_file():
            return path
    known = known_cards()
    raise InputError(f"no card {name}{nearest(name, known)}: take one of {', '.join(known)}, or a path to a .toml")


def _card(table: Table, path: Path) -> Card:
    files = {split: tuple(_list(paths)) for split, paths in table.get("files", {}).items()}
    generated = table.get("generated", {})
    return Card(
        **{key: table.get(key, "") for key in _TEXT_KEYS},
        fields=dict(table["fields"]),
        files=files,
        checksums=dict(table.get("checksums", {})),
        generated=generated.get("corpus", ""),
        generated_splits=tuple(generated.get("splits", ())),
        hub=Hub(**table["hub"]) if "hub" in table else None,
        encoding=table.get("encoding", ""),
        documents=table.get("documents", "lines"),
        path=path,
    )


def _problems(table: Table) -> list[str]:
    """All that is wrong with a card, so that one look mends it."""
    found = _unknown("key", table, (*_TEXT_KEYS, *_READING, *_TABLES))
    found += [f"{key} must be a string" for key in _TEXT_KEYS if not isinstance(table.get(key, ""), str)]
    found += [
        problem for key, known in _READING.items() if key in table for problem in _unknown(key, [table[key]], known)
    ]
    found += [f"{key} is missing" for key in ("name", "language") if not table.get(key)]
    found += _language_problems(table.get("language"))
    found += [f"{key} must be a table [{key}]" for key in _TABLES if not isinstance(table.get(key, {}), dict)]
    if any(not isinstance(table.get(key, {}), dict) for key in _TABLES):
        return found
    return (
        found
        + _field_problems(table.get("fields", {}))
        + _file_problems(table)
        + _generated_problems(table)
        + _hub_problems(table.get("hub", {}))
    )


def _language_problems(language: object) -> list[str]:
    told = isinstance(language, str) and language and not LANGUAGE.fullmatch(language)
    return [NO_LANGUAGE.format(language)] if told else []


def _field_problems(fields: Table) -> list[str]:
    found = _unknown("field", fields, FIELDS)
    found += [f"field {role} must name a column" for role, column in fields.items() if not _columns(role, column)]
    found += ["field text is missing: name the column that holds the text"] if "text" not in fields else []
    found += [f"field {role} needs field {_NEEDS[role]}" for role in fields if _NEEDS.get(role, role) not in fields]
    if fields.get("source", fields.get("text")) != fields.get("text"):
        found.append("field text must be the column of field source: that is what is read")
    targets = [role for role in TARGETS if role in fields]
    return found + ([f"fields {' and '.join(targets)} are both targets: keep one"] if len(targets) > 1 else [])


def _file_problems(table: Table) -> list[str]:
    files, checksums = table.get("files", {}), table.get("checksums", {})
    found = _unknown("split", files, SPLITS)
    found += [
        f"files.{split} must be a path or a list of paths" for split, paths in files.items() if not _paths(paths)
    ]
    found += [f"checksum of {path} is not a sha256" for path, digest in checksums.items() if not _sha256(digest)]
    if sum(bool(table.get(key)) for key in ("files", "generated", "hub")) != 1:
        found.append("needs either [files], [hub] or [generated]")
    return found


def _hub_problems(hub: Table) -> list[str]:
    if not hub:
        return []
    found = _unknown("key of [hub]", hub, _HUB)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(hub.get("name", ""))):
        found.append('hub.name must be as "owner/name"')
    if Path(str(hub.get("name", ""))).exists():
        found.append(f"hub.name {hub['name']} is a folder here, which would be read in its place: name it in [files]")
    if not isinstance(hub.get("config", ""), str):
        found.append("hub.config must be a string")
    if not re.fullmatch("[0-9a-f]{40}", str(hub.get("revision", ""))):
        found.append("hub.revision must be a commit of 40 hex digits (Files and versions, History on its page)")
    splits = hub.get("splits")
    if not isinstance(splits, dict) or not splits or not all(isinstance(name, str) for name in splits.values()):
        return [*found, 'hub.splits must say which is which, as { train = "train" }']
    return found + _unknown("split", splits, SPLITS)


def _generated_problems(table: Table) -> list[str]:
    generated = table.get("generated", {})
    if not generated:
        return []
    found = _unknown("key of [generated]", generated, _GENERATED)
    found += [f"generated.{key} is missing" for key in _GENERATED if not generated.get(key)]
    found += ['generated.by must be "demo"'] if generated.get("by", "demo") != "demo" else []
    return found + _unknown("split", _list(generated.get("splits", [])), SPLITS)


def _unknown(what: str, names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    return [
        f"unknown {what} {name}{nearest(str(name), known)}; known: {', '.join(known)}"
        for name in names
        if name not in known
    ]


def _list(value: object) -> list:
    return list(value) if isinstance(value, list) else [value]


def _paths(value: object) -> bool:
    return bool(value) and all(isinstance(path, str) and path for path in _list(value))


def _columns(role: str, value: object) -> bool:
    if role in ("text", "text_pair"):
        return isinstance(value, str) or (isinstance(value, list) and _paths(value))
    return isinstance(value, str) and not TEMPLATE.search(value)


def _sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and not set(value.lower()) - set("0123456789abcdef")
