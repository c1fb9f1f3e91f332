"""Raw files of a card -> documents, one at a time.

    for row in documents(card, "train", data, reject): ...

A row has the roles of its card (`text`, `label`, …; None where the file has nothing), and `place`, where it stood. A
line that cannot be read is told to `reject` and passed over; a file that cannot be read, or has other columns than its
card says, is an InputError. Labels come out as strings.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from corpora.cards import Card, nearest
from corpora.demo import planted as demo
from corpora.keeping import Reject
from corpora.parquet import Row
from corpora.reading.columns import in_a_line, listed, value
from corpora.reading.formats import Records, is_readable, is_text, reader_of
from corpora.reading.hub import table
from corpora.reading.lines import LONGEST, TOO_LONG, encoding_of, reading
from corpora.reading.raw import Raw, Watch, unwatched
from corpora.reading.remote import Remote, found, is_remote
from corpora.reading.values import Labels, fault_of, group, score, with_lists
from corpora.schemas import InputError


def documents(card: Card, split: str, data: Path, rejected: Reject, watch: Watch = unwatched) -> Iterator[Row]:
    """The rows of one split of a card, in the order of its files; `watch` is told of bytes as they are read."""
    return _documents(card, split, _records(card, split, data, rejected, watch), Labels(), rejected)


def documents_of(
    card: Card, split: str, data: Path, raw: Raw, labels: Labels, rejected: Reject, watch: Watch = unwatched
) -> Iterator[Row]:
    """The same of one file of a split, or of a part of it; `labels` are those of the split."""
    return _documents(card, split, _records_of(card, split, data, raw, rejected, watch), labels, rejected)


def _documents(card: Card, split: str, records: Records, labels: Labels, rejected: Reject) -> Iterator[Row]:
    needed = _needed(card, split)
    for place, record in records:
        row = {role: value(record, card.parts(role)) for role in card.fields}
        if reason := _fault(row, needed):
            rejected(place, reason, row["text"])
        else:
            yield (
                with_lists(row)
                | {"place": place}
                | labels.read(row, place)
                | score(row, place)
                | group(row, card.name, place)
            )


def files_of(card: Card, split: str, data: Path) -> list[Path | Remote]:
    """The files of a split: under `data`, beside a card that is not one of ours, or elsewhere."""
    return [path for written in card.files.get(split, ()) for path in _resolve(card, written, data)]


def other_encodings(card: Card, splits: Iterable[str], data: Path) -> Iterator[str]:
    """A line for each encoding but UTF-8 that text files of these splits have; one that cannot be told is refused."""
    found: dict[str, list[str]] = {}
    for path in (path for split in splits for path in files_of(card, split, data) if is_text(path)):
        found.setdefault(encoding_of(Raw(path), card), []).append(shown_as(path, data))
    for encoding, (first, *more) in found.items():
        if encoding != "utf-8":
            yield f"{card.name}: {first}{f' and {len(more)} more' if more else ''} read as {encoding}"


def _needed(card: Card, split: str) -> tuple[str, ...]:
    """The roles a split must have: of unlabeled text the text, and the group where one is named."""
    roles = [role for role in card.fields if role != "keywords"]
    return tuple(role for role in roles if role in ("text", "group") or split != "unlabeled")


def _fault(row: Row, needed: tuple[str, ...]) -> str | None:
    """Why the text of a row cannot be used, if it cannot."""
    for role in ("text", "text_pair"):
        if row.get(role) is None and role in needed:
            return f"no_{role}"
        if not isinstance(row.get(role), str | None):
            return f"{role}_not_a_string"
        if len(row.get(role) or "") > LONGEST:
            return TOO_LONG
    return fault_of(row)


def _records(card: Card, split: str, data: Path, rejected: Reject, watch: Watch) -> Records:
    if card.generated:
        return _generated(card, split)
    return _streamed(card, split) if card.hub else _filed(card, split, data, rejected, watch)


def _generated(card: Card, split: str) -> Records:
    for number, row in enumerate(demo.rows(card.generated, split), start=1):
        yield f"{card.name}/{split}:{number}", row


def _streamed(card: Card, split: str) -> Records:
    columns, records = table(card.hub, split, (column for role in card.fields for column in card.columns(role)))
    _check_columns(columns, card, split, str(card.hub))
    yield from records


def _filed(card: Card, split: str, data: Path, rejected: Reject, watch: Watch) -> Records:
    for path in files_of(card, split, data):
        yield from _records_of(card, split, data, Raw(path), rejected, watch)


def _records_of(card: Card, split: str, data: Path, raw: Raw, rejected: Reject, watch: Watch) -> Records:
    """The records of a file; it is verified, and its columns are, when its first part is read."""
    if raw.part.number == 0:
        verify(card, raw.path, data)
    columns, records = reader_of(raw.path)(raw, shown_as(raw.path, data), card, rejected)
    _check_columns(columns, card, split, str(raw.path))
    yield from _watched(records, raw, watch)


def _watched(records: Records, raw: Raw, watch: Watch) -> Records:
    """The records of a file, `watch` told of its bytes: in the end of all of them."""
    before = 0
    for record in records:
        reached = raw.reached()
        watch(reached - before)
        before = reached
        yield record
    watch(raw.size - before)


def _resolve(card: Card, written: str, data: Path) -> list[Path] | list[Remote]:
    """A path, folder or glob as written in a card -> files."""
    if is_remote(written):
        return _elsewhere(card, written)
    for base in (data, card.path.parent):
        if found := _expand(base, written):
            return found
    where = data / written
    raise InputError(
        f"no file {where}, which card {card.name} names: get it (origin: {card.origin or 'not stated'}), or set DATA= "
        "to the folder that holds it"
    )


def _elsewhere(card: Card, written: str) -> list[Remote]:
    """The files of a URL, whose content the card must name."""
    files = [file for file in found(written) if is_readable(file)]
    if not files:
        raise InputError(f"no file {written} that can be read, which card {card.name} names: correct [files]")
    if unknown := [file.url for file in files if file.url not in card.checksums]:
        raise InputError(
            f"card {card.name} has no checksum of {listed(unknown)}: what lies elsewhere may change; write its "
            f"sha256 into [checksums] of {card.path}"
        )
    return files


def _expand(base: Path, written: str) -> list[Path]:
    path = base / written  # an absolute path stays itself
    if path.is_file():
        return [path]
    if path.is_dir():
        return sorted(found for found in path.rglob("*") if found.is_file() and is_readable(found))
    pattern = Path(written)
    if pattern.is_absolute():
        base, pattern = Path(pattern.anchor), pattern.relative_to(pattern.anchor)
    return sorted(found for found in base.glob(str(pattern)) if found.is_file()) if "*" in written else []


def shown_as(path: Path | Remote, data: Path) -> str:
    """How a file is named where a place in it is told."""
    return str(path.relative_to(data)) if isinstance(path, Path) and path.is_relative_to(data) else str(path)


def sha256_of(path: Path | Remote) -> str:
    """Of the content of a file."""
    with reading(path), path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def verify(card: Card, path: Path | Remote, data: Path) -> None:
    """Compare with the checksum in the card, where it has one."""
    expected = {base / name: digest for name, digest in card.checksums.items() for base in (data, card.path.parent)}
    expected |= {Remote(name): digest for name, digest in card.checksums.items()}
    if path not in expected:
        return
    if (digest := sha256_of(path)) != expected[path].lower():
        raise InputError(
            f"{path} is not the file card {card.name} describes (sha256 {digest[:12]}…, not "
            f"{expected[path][:12]}…): get it again, or correct [checksums] in {card.path}"
        )


def _check_columns(columns: Iterable[str], card: Card, split: str, where: str) -> None:
    """Refuse a file without a column its card names. A file without any has no rows either, and is counted later."""
    columns = list(columns)
    wanted = [(role, column) for role in _needed(card, split) for column in card.columns(role)]
    for role, column in wanted:
        if columns and column not in columns:
            raise InputError(
                f"no column {column!r} for {role} in {where}{nearest(column, [*map(in_a_line, columns)])}: it has "
                f"{listed(columns)}; {card.remedy}"
            )
