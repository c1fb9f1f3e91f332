"""Text read and cleaned in slices of its raw files, by any number of tasks anywhere, to be made a corpus of later.

    for one in slices_of(config, data): write_slice(one, folder / one.name(config), config, data)       # in any order
    Slices(config, data, folder).rows(card, "train", reject, repaired)         # the same rows with slices and without

A slice holds what can be said of its documents one by one, which takes nearly all of the time where a recipe asks for
much: read, rewritten, clean; in which other language, against which rule of quality; the fingerprint, the signature.
What is decided in the order of a corpus (repeated lines, duplicates, dev and test, what is held back) is decided when
the corpus is made, by the same code as without slices. The name of a slice is a hash of all that it depends on, and
nothing of that, and no other file, is among it: one that is there is whole, and is the right one.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from corpora.cards import Card
from corpora.cleaning.contamination import batches
from corpora.cleaning.dedup import fingerprint
from corpora.cleaning.known import Known
from corpora.cleaning.languages import Tongue
from corpora.cleaning.near import Met, signatures_of
from corpora.cleaning.quality import Rules
from corpora.cleaning.rewriting import rewrites, rewritten
from corpora.config import CorpusConfig
from corpora.keeping import Reject, cleaned, printable
from corpora.parquet import Row, metadata_of, read_rows, write_shard
from corpora.parts import parts
from corpora.reading.formats import parts_of
from corpora.reading.raw import WHOLE, Part, Raw, Watch, unwatched
from corpora.reading.remote import Remote
from corpora.reading.sources import documents, documents_of, files_of, sha256_of, shown_as, verify
from corpora.reading.values import Labels
from corpora.schemas import SLICE

VERSION = 1
"""Raised when a change of code alters what is in a slice."""

SETTINGS = (
    "language",
    "strip_markup",
    "mask_private",
    "simplify",
    "min_chars",
    "drop_other_languages",
    "quality_rules",
    "drop_near_duplicates",
)
"""Those of [corpus] that a slice depends on."""

INNER = ("number", "reason", "fingerprint", "language", "fault", "signature")
"""Columns of a slice that are no part of a document."""


@dataclass(frozen=True)
class Slice:
    """A part of a raw file, as a split of a card is read."""

    card: Card
    split: str
    path: Path | Remote
    part: Part

    def name(self, config: CorpusConfig) -> str:
        """Of its file: a hash of the content, of how it is read, and of what is asked of it."""
        read = (self.card.name, self.card.fields, self.card.encoding, self.card.documents, self.split == "unlabeled")
        asked = {name: value for name, value in asdict(config).items() if name in SETTINGS}
        key = json.dumps([VERSION, _content(self.card, self.path), self.path.name, self.part, read, asked])
        return f"{blake2b(key.encode(), digest_size=16).hexdigest()}.parquet"


def slices_of(config: CorpusConfig, data: Path) -> list[Slice]:
    """All of the domain and general text that lies in files, in their order, each once."""
    named = [part for corpus in ("domain", "general") for part in parts(config, corpus, data)]
    found = (
        Slice(card, split, path, part)
        for card, splits in named
        for split in splits
        for path in files_of(card, split, data)
        for part in parts_of(path, card)
    )
    return list({(one.card.path, one.split, one.path, one.part): one for one in found}.values())


def missing(config: CorpusConfig, data: Path, folder: Path, task: Part = WHOLE) -> dict[Path, Slice]:
    """Of all slices those of a task that are not there, by the path each goes to: neighbours, so of few files."""
    found = slices_of(config, data)
    start, stop = task.of(len(found))
    named = {folder / one.name(config): one for one in found[start:stop]}
    return {path: one for path, one in named.items() if not path.exists()}


def write_missing(
    documents: object, rank: int, world_size: int, config: CorpusConfig, data: Path, folder: Path
) -> None:
    """Task `rank` of `world_size`, in the form of a step of a datatrove pipeline: what it is given it leaves alone."""
    for path, one in missing(config, data, folder, Part(rank, world_size)).items():
        write_slice(one, path, config, data)


def remove_stale(config: CorpusConfig, data: Path, folder: Path) -> None:
    """Take away slices of other content and other settings."""
    named = {one.name(config) for one in slices_of(config, data)}
    for path in folder.glob("*.parquet"):
        if path.name not in named:
            path.unlink()


def write_slice(one: Slice, path: Path, config: CorpusConfig, data: Path) -> None:
    """Read and clean a slice."""
    labels, repaired, about = Labels(), Counter(), {}
    raw = Raw(one.path, one.part)
    rows = _judged(_events(one, config, data, raw, labels, repaired), config)

    def told() -> Iterator[Row]:
        yield from rows
        first = labels.first and [_number(labels.first[1]), labels.first[2]]
        about["slice"] = json.dumps({"last": raw.last, "repaired": repaired, "label": first})

    write_shard(path, SLICE, told(), about)


def _events(
    one: Slice, config: CorpusConfig, data: Path, raw: Raw, labels: Labels, repaired: Counter[str]
) -> Iterator[Row]:
    """The usable documents of a slice, and, where it was told of them, what was dropped."""
    dropped: list[Row] = []

    def reject(place: str, reason: str, text: object) -> None:
        dropped.append({"number": _number(place), "reason": reason, "text": printable(text)})

    for row in usable(documents_of(one.card, one.split, data, raw, labels, reject), config, reject, repaired):
        yield from dropped
        dropped.clear()
        yield row | {"number": _number(row["place"])}
    yield from dropped


def _judged(events: Iterable[Row], config: CorpusConfig) -> Iterator[Row]:
    """The same, documents with what the recipe will ask about them."""
    met, tongue = Met.of(config.language), Tongue(config.language) if config.drop_other_languages else None
    rules = Rules.of(config.language) if config.quality_rules else None
    for batch in batches(events):
        rows = [row for row in batch if not row.get("reason")]
        for row in rows:
            row["fingerprint"] = fingerprint(row["text"], row.get("text_pair"))
            row["language"] = tongue.other_of(row) if tongue else None
            row["fault"] = (rules.fault(row["text"]) or "") if rules else None
        if config.drop_near_duplicates and rows:
            for row, signature in zip(rows, signatures_of(rows, met), strict=True):
                row["signature"] = signature.tobytes()
        yield from batch


def usable(rows: Iterable[Row], config: CorpusConfig, reject: Reject, repaired: Counter[str]) -> Iterator[Row]:
    """Rows as they are read, rewritten as the recipe asks, those that are of use."""
    asked = rewrites(config.strip_markup, config.mask_private, config.simplify)
    return cleaned(rewritten(rows, asked, repaired) if asked else rows, config.min_chars, reject)


class Slices:
    """The usable documents of splits of cards: from slices where they are there, else as they are read now."""

    def __init__(self, config: CorpusConfig, data: Path, folder: Path | None, watch: Watch = unwatched) -> None:
        self.config, self.data, self.folder, self.watch = config, data, folder, watch

    def rows(self, card: Card, split: str, reject: Reject, repaired: Counter[str]) -> Iterator[Row]:
        """Those of a split, in the order of its files; `reject` and `repaired` are told as if all were read now."""
        if self.folder is None or not card.files:
            yield from usable(documents(card, split, self.data, reject, self.watch), self.config, reject, repaired)
            return
        labels = Labels()
        for path in files_of(card, split, self.data):
            before = 0
            for part in parts_of(path, card):
                kept = self.folder / Slice(card, split, path, part).name(self.config)
                if kept.exists():
                    if part.number == 0 and isinstance(path, Path):  # of any other its checksum is in the name
                        verify(card, path, self.data)
                    before = yield from self._kept(kept, path, before, labels, reject, repaired)
                    self.watch(Raw(path, part).size)
                else:
                    raw = Raw(path, part, before)
                    rows = documents_of(card, split, self.data, raw, labels, reject, self.watch)
                    yield from usable(rows, self.config, reject, repaired)
                    before = raw.last

    def _kept(
        self, kept: Path, path: Path | Remote, before: int, labels: Labels, reject: Reject, repaired: Counter[str]
    ) -> Iterator[Row]:
        """The documents of a slice that is there; the number of its last line."""
        about, shown = json.loads(metadata_of(kept)["slice"]), shown_as(path, self.data)
        repaired.update(about["repaired"])
        if about["label"]:
            number, label = about["label"]
            labels.string(label, f"{shown}:{before + number}")
        for row in read_rows(kept):
            place = f"{shown}:{before + row['number']}"
            if row["reason"]:
                reject(place, row["reason"], row["text"])
                continue
            found = Known(row["text"], row["fingerprint"], row["language"], row["fault"], row["signature"])
            yield {name: row[name] for name in row if name not in INNER} | {"place": place, "known": found}
        return before + about["last"]


def _number(place: str) -> int:
    return int(place.rpartition(":")[2])


def _content(card: Card, path: Path | Remote) -> str:
    """The sha256 of a file; of one that lies elsewhere, as its card names it."""
    return card.checksums[path.url] if isinstance(path, Remote) else _sha256(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1 << 16)
def _sha256(path: Path, changed: int) -> str:
    return sha256_of(path)
