"""Kinds of task: what labels are, what is learned of a row, how logits become an answer, and how good answers are.

    classes   one label a row             softmax, cross-entropy
    ordered   one label of an order       continuation ratios: how likely is more than this, given this much
    labels    any number of labels        a sigmoid a label, binary cross-entropy
    tags      one tag a token             softmax or a CRF, decided by Viterbi within BIO or BIOES
    value     a number                    squared error
    spelling  a character a character     cross-entropy of the right one, focal loss of being wrong

Which one it is follows from the corpus: from the column a card names.
"""

from collections.abc import Mapping, Sequence

from pipeline.finetuning.classes import Classes, Ordered
from pipeline.finetuning.labels import Labels
from pipeline.finetuning.spelling import Spelling
from pipeline.finetuning.tags import Tags
from pipeline.finetuning.task import Row, Task
from pipeline.finetuning.values import Value
from pipeline.run.errors import InputError

COLUMNS = ("id", "text", "text_pair", "label", "labels", "tokens", "tags", "score", "source", "target")
"""Of the corpus: all that a task of any kind is read from."""

KINDS: dict[str, type[Task]] = {kind.kind: kind for kind in (Classes, Ordered, Labels, Tags, Value, Spelling)}


def task_of(rows: Sequence[Row], ordered: bool = False) -> Task:
    """The task that training rows pose: the first of the columns that has something in it."""
    for kind in (Classes, Labels, Tags, Value, Spelling):
        if rows and rows[0].get(kind.column) is not None:
            if ordered and kind is not Classes:
                raise InputError(f"ordered = true is for a label a row, and this task has {kind.column}: leave it out")
            return (Ordered if ordered else kind).of(rows)
    raise InputError(
        "task train has none of label, labels, tags, score, target to learn: name one in [fields] of its card"
    )


def task_from(described: Mapping[str, object]) -> Task:
    """The task that `described` says."""
    values = {name: tuple(x) if isinstance(x, list) else x for name, x in described.items() if name != "kind"}
    return KINDS[str(described["kind"])](**values)
