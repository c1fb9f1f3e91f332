"""Spans of a type in a row of tags: the schemes BIO and BIOES, what they forbid, and F1 of spans found.

A span is found when its type and both its ends are right (CoNLL-2003). Where tags break their scheme, spans are read
as the shared task's `conlleval` reads them: I-X after anything but a tag of type X begins a span.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.run.errors import InputError

Span = tuple[int, int, str]
"""First word, the word after the last, type."""

PREFIXES = "BIES"


def spans_in(tags: Sequence[str]) -> set[Span]:
    """The spans of one text."""
    found, start, kind, open_, ends = set(), 0, "", False, False
    for i, tag in enumerate([*tags, "O"]):
        prefix, _, name = tag.partition("-")
        if open_ and (prefix in "OBS" or name != kind or ends):
            found.add((start, i, kind))
            open_ = False
        if prefix != "O" and not open_:
            start, kind, open_ = i, name, True
        ends = prefix in "ES"
    return found


def count_spans(gold: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> dict[str, tuple[int, int, int]]:
    """Type -> spans found rightly, found, there to be found; over texts."""
    hits, found, true = Counter(), Counter(), Counter()
    for one, other in zip(gold, predicted, strict=True):
        wanted, given = spans_in(one), spans_in(other)
        for counter, spans in ((hits, wanted & given), (found, given), (true, wanted)):
            counter.update(kind for *_, kind in spans)
    return {kind: (hits[kind], found[kind], true[kind]) for kind in sorted(found | true)}


def tags_of_scheme(tags: Iterable[str]) -> tuple[str, ...]:
    """`O` and every tag of the types there are: of BIOES if any ends with E or S, else of BIO."""
    tags = set(tags)
    if strange := sorted(tag for tag in tags - {"O"} if tag[:1] not in PREFIXES or tag[1:2] != "-" or not tag[2:]):
        raise InputError(
            f"tag {strange[0]!r} is neither O nor one of B-, I-, E-, S- and a type: write tags as B-PER, I-PER, O"
        )
    prefixes = PREFIXES if any(tag[0] in "ES" for tag in tags) else "BI"
    kinds = sorted({tag[2:] for tag in tags - {"O"}})
    if not kinds:
        raise InputError("every tag of task train is O: there is nothing to find; look at the tags of its card")
    return ("O", *(f"{prefix}-{kind}" for kind in kinds for prefix in prefixes))


def allowed(tags: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the scheme of these tags allows: bool [C] at the start, [C, C] from one to the next, [C] at the end."""
    ends_itself = any(tag[0] in "ES" for tag in tags)  # BIOES: B and I go on
    goes_on = np.array([ends_itself and tag[0] in "BI" for tag in tags])
    inner = np.array([tag[0] in "IE" for tag in tags])
    kind = np.array([tag[2:] for tag in tags])
    may_precede = np.array([tag[0] in "BI" for tag in tags])
    same = kind[:, None] == kind[None, :]
    between = np.where(inner[None, :], may_precede[:, None] & same, ~goes_on[:, None])
    return ~inner, between, ~goes_on
