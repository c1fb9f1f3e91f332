"""Keep a document, or the reason to drop it.

Text stays as its author wrote it; only what no reader could see is changed: a byte-order mark, the kind of line ends,
and whether é is one character or two (NFC). A document nothing can be learned from is dropped, with a reason counted.
"""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from corpora.parquet import Row, shard_name, write_shard
from corpora.schemas import REJECTED

Reject = Callable[[str, str, object], None]
"""`reject(place, reason, text)`: told of every row dropped."""


def in_silence(place: str, reason: str, text: object) -> None:
    """A `Reject` for what is read a second time: it was counted the first time."""


def as_read(text: str) -> str:
    """What a model is given of a text: no byte-order mark, one kind of line ends, é as one character (NFC)."""
    return unicodedata.normalize("NFC", text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))


def clean(text: str, min_chars: int = 1) -> tuple[str | None, str | None]:
    """The text made clean and None, or None and the reason to drop it."""
    if reason := _unusable(text.removeprefix("\ufeff"), min_chars):
        return None, reason
    return as_read(text), None


def cleaned(rows: Iterable[Row], min_chars: int, reject: Reject) -> Iterator[Row]:
    """The rows whose text is usable, their text made clean. Of a second text one character is enough."""
    for row in rows:
        text, reason = clean(row["text"], min_chars)
        pair = row.get("text_pair")
        if pair is not None and not reason:
            pair, reason = clean(pair)
        if reason:
            reject(row["place"], reason, row["text"])
        else:
            yield row | {"text": text, "text_pair": pair}


def with_target(rows: Iterable[Row], target: str, reject: Reject) -> Iterator[Row]:
    """The rows that can be learned from: the target is there, and every token has its tag."""
    for row in rows:
        if row.get(target) is None:
            reject(row["place"], "no_label", row["text"])
        elif target == "tags" and len(row["tokens"] or ()) != len(row["tags"]):
            reject(row["place"], "tokens_without_tags", row["text"])
        else:
            yield row


class Rejected:
    """The ledger of what was dropped: counts of (corpus, reason), and the rows themselves in a REJECTED corpus."""

    LONGEST = 1000
    """Characters of a dropped text kept: enough to recognise it."""
    BUFFER = 4096

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: Counter[tuple[str, str]] = Counter()
        self._rows: list[Row] = []
        self._shards = 0

    def of(self, corpus: str, origin: str) -> Reject:
        """The function to tell of what is dropped from `origin` on its way to `corpus`."""

        def reject(place: str, reason: str, text: object) -> None:
            self.counts[corpus, reason] += 1
            self._rows.append({"origin": origin, "place": place, "reason": reason, "text": printable(text)})
            if len(self._rows) >= self.BUFFER:
                self.flush()

        return reject

    def flush(self) -> None:
        """Write what is still held in memory; call it at the end."""
        if self._rows:
            write_shard(self.folder / shard_name(self._shards), REJECTED, self._rows)
            self._shards, self._rows = self._shards + 1, []

    def reasons(self, corpus: str | None = None) -> Counter[str]:
        """Reason -> documents dropped, of one corpus or of all."""
        found: Counter[str] = Counter()
        for (owner, reason), count in self.counts.items():
            found[reason] += count if corpus in (None, owner) else 0
        return +found


def _unusable(text: str, min_chars: int) -> str | None:
    if not text or text.isspace():
        return "empty"
    if "\0" in text:
        return "nul_character"  # a binary file, or UTF-16 taken for UTF-8
    if has_surrogate(text):
        return "lone_surrogate"  # half a character: no UTF-8 can hold it
    seen = "".join(text.split())
    if all(unicodedata.category(char).startswith("C") for char in seen):
        return "only_control"
    if not any(map(str.isalnum, seen)):
        return "only_punctuation"
    return "too_short" if len(seen) < min_chars else None


def has_surrogate(text: str) -> bool:
    """Whether half a character is in a text: no UTF-8 can hold it, and no tokenizer reads it."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def printable(text: object) -> str | None:
    """What can stand in a Parquet string: surrogates spelled out, long texts cut; of what it gave, the same again."""
    if text is None:
        return None
    return str(text)[: Rejected.LONGEST].encode("utf-8", "backslashreplace").decode("utf-8")[: Rejected.LONGEST]
