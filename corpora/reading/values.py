"""What a row says beside its text, as the rest of the program has it: labels, lists, scores, groups."""

from math import isinf, isnan

from corpora.keeping import has_surrogate
from corpora.parquet import Row
from corpora.schemas import InputError

LIST_FIELDS = ("labels", "tokens", "tags", "keywords")

LIST_SEPARATOR = "|"
"""Between the values of a list field in a format that has no lists."""

WORDS = ("tokens", "tags", "keywords")
"""Lists of strings; labels may be whole numbers too."""


def fault_of(row: Row) -> str | None:
    """Why what stands beside the text of a row cannot be used, if it cannot."""
    for role in ("source", "target"):
        if not isinstance(row.get(role), str | None):
            return f"{role}_not_a_string"
    for role in LIST_FIELDS:
        if not isinstance(row.get(role), str | list | None):
            return f"{role}_not_a_list"
    for role in WORDS:
        if not all(isinstance(word, str) for word in row.get(role) or ()):
            return f"{role}_not_strings"
    beside = (value for role, value in row.items() if role not in ("text", "text_pair"))
    return "lone_surrogate" if any(map(_has_surrogate, beside)) else None


def _has_surrogate(value: object) -> bool:
    """Whether half a character is in what may be a string, or in a list."""
    return (
        any(map(_has_surrogate, value)) if isinstance(value, list) else isinstance(value, str) and has_surrogate(value)
    )


class Labels:
    """Labels as strings, and of one type a split: 1 beside "1" is most often two files glued together."""

    def __init__(self) -> None:
        self.first: tuple[str, str, object] | None = None

    def read(self, row: Row, place: str) -> Row:
        """The `label` and `labels` of a row, those there are, made strings."""
        found = {"label": self.string(row["label"], place)} if "label" in row else {}
        if row.get("labels") is not None:
            found["labels"] = [self.string(value, place) for value in _list(row["labels"])]
        return found

    def string(self, value: object, place: str) -> str | None:
        """A label as a string; None where there is none."""
        if value is None or value == "" or (isinstance(value, float) and isnan(value)):
            return None  # NaN is what pandas writes for "none"
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # and 1.0 what it writes for 1 beside a NaN
        kind = type(value).__name__
        if kind not in ("str", "int", "bool"):
            raise InputError(
                f"label {value!r} at {place} is of type {kind}: a label is a string or a whole number; a number to "
                "predict is named score in [fields]"
            )
        self.first = self.first or (kind, place, value)
        if kind != self.first[0]:
            raise InputError(
                f"label {value!r} at {place} is of type {kind}, but {self.first[2]!r} at {self.first[1]} of type "
                f"{self.first[0]}: write them all as one type"
            )
        return str(value).strip()


def score(row: Row, place: str) -> Row:
    """The `score` of a row, made a number; None where there is none."""
    value = row.get("score")
    if value is None or value == "":
        return {"score": None} if "score" in row else {}
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = float("inf")
    if isinstance(value, bool) or isinf(number):
        raise InputError(f"score {value!r} at {place} is no number: correct it, or name the column as label")
    return {"score": None if isnan(number) else number}


def group(row: Row, card: str, place: str) -> Row:
    """The `group` of a row by a name that other cards do not use; None where there is none."""
    value = row.get("group")
    if value is None or value == "":
        return {"group": None} if "group" in row else {}
    if not isinstance(value, str | int):
        raise InputError(f"group {value!r} at {place} is neither a string nor a whole number: name another column")
    return {"group": f"{card}/{value}"}


def with_lists(row: Row) -> Row:
    """The row, what is a list made one."""
    return row | {role: _list(row[role]) for role in LIST_FIELDS if row.get(role) is not None}


def _list(value: object) -> list:
    if isinstance(value, str):
        return [part for part in value.split(LIST_SEPARATOR) if part]
    return list(value)
