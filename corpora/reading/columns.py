"""What stands in a record: under a column, down a path into what is nested, or several of these in a template.

value(record, ["review.title"])                 value(record, ["{title}：{review.body}"])
"""

import re
from collections.abc import Iterator, Mapping, Sequence

TEMPLATE = re.compile(r"\{([^{}]+)\}")
"""A column in a template."""


SHOWN, LONGEST_SHOWN = 30, 60
"""Columns that an error names, and characters of each."""


def listed(names: Sequence[str]) -> str:
    """Columns for an error, which is one line: of a table wide by mistake, or by malice, the first."""
    more = len(names) - SHOWN
    return ", ".join(map(in_a_line, names[:SHOWN])) + (f" and {more} more" if more > 0 else "")


def in_a_line(name: str) -> str:
    """What stands for a column, in which there may be line ends and half characters, for everybody to see."""
    return " ".join(name.split())[:LONGEST_SHOWN].encode("utf-8", "backslashreplace").decode("utf-8")


def columns_of(part: str) -> list[str]:
    """The columns that a template names; of what is none, itself."""
    return TEMPLATE.findall(part) or [part]


def value(record: Mapping[str, object], parts: Sequence[str]) -> object:
    """What stands in a column or template; of several, their texts one below the other, those there are."""
    if len(parts) == 1:
        return _filled(record, parts[0])
    values = [found for part in parts if (found := _filled(record, part)) not in (None, "")]
    strange = [found for found in values if not isinstance(found, str)]
    return strange[0] if strange else "\n".join(values) if values else None


def _filled(record: Mapping[str, object], part: str) -> object:
    """A template with its columns filled in: None where one is missing, and what is no string where one is not."""
    columns = TEMPLATE.findall(part)
    if not columns:
        return at(record, part)
    found = {column: at(record, column) for column in columns}
    if any(one in (None, "") for one in found.values()):
        return None
    strange = [one for one in found.values() if not isinstance(one, str)]
    return strange[0] if strange else TEMPLATE.sub(lambda named: found[named[1]], part)


def at(record: Mapping[str, object], path: str) -> object:
    """What stands under a column or down a path, the column where there are both; None where there is nothing."""
    if path in record:
        return record[path]
    name, dot, rest = path.partition(".")
    inner = record.get(name)
    return at(inner, rest) if dot and isinstance(inner, Mapping) else None


def names_in(record: Mapping[str, object]) -> Iterator[str]:
    """Columns of a record, and the paths into what is nested in it."""
    levels = [("", record)]
    for before, level in levels:  # which grows on the way
        for name, inner in level.items():
            yield before + name
            if isinstance(inner, Mapping):
                levels.append((f"{before}{name}.", inner))
