"""Every Parquet corpus, column by column.

A corpus is a folder of Parquet shards with one of these schemas. Other programs read them with
`pyarrow.parquet.read_table(folder)` or `datasets.load_dataset("parquet", data_dir=folder)`.
"""

import pyarrow as pa


class InputError(ValueError):
    """What the user gave cannot be used. The message is one line: fact, place, remedy; the stage exits with 2."""

    exit_code = 2


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


DOCUMENTS = _schema(
    id=pa.string(),  # <card>-<hash of the text>: never moves, unique in a corpus
    text=pa.string(),
    text_pair=pa.string(),  # second text of a pair task, else null
    label=pa.string(),  # single-label task
    labels=pa.list_(pa.string()),  # multi-label task
    tokens=pa.list_(pa.string()),  # sequence labelling: tokens and their tags
    tags=pa.list_(pa.string()),
    source=pa.string(),  # spelling correction: as written, as it should be
    target=pa.string(),
    score=pa.float64(),  # a number to predict
    origin=pa.string(),  # card and split it came from
    keywords=pa.list_(pa.string()),  # words known to matter, where the source says so; measures scorer and tagger
)
"""Raw text made clean: one row a document."""

SLICE = pa.schema(
    [
        *(field for field in DOCUMENTS if field.name not in ("id", "origin")),
        ("group", pa.string()),
        ("number", pa.int64()),  # of its line or row in the slice, from 1
        ("reason", pa.string()),  # why it was dropped: of such a row only the beginning of its text is kept
        ("fingerprint", pa.uint64()),  # what was found out about the text: see corpora/cleaning/known.py
        ("language", pa.string()),
        ("fault", pa.string()),
        ("signature", pa.binary()),
    ]
)
"""What a part of a raw file holds, as it was read and cleaned: documents and what was dropped, in its order."""

CHOSEN = DOCUMENTS.append(pa.field("weight", pa.float64()))
"""Documents of the domain chosen for the task, each with the score it was chosen by; null where it was not."""

REJECTED = _schema(origin=pa.string(), place=pa.string(), reason=pa.string(), text=pa.string())
"""What `prepare` dropped, where it stood and why."""

SCORES = _schema(
    id=pa.string(),
    input_ids=pa.list_(pa.int32()),
    word_ids=pa.list_(pa.int32()),  # word number of each token, -1 for special tokens
    importance=pa.list_(pa.float32()),  # of the word the token belongs to
    keyword=pa.list_(pa.bool_()),  # the decision the importance led to
)
"""Importance of every token of the task text: one row a document, four lists of one length."""

MASKED = _schema(
    id=pa.string(),  # document id, with #k for its k-th further sequence
    input_ids=pa.list_(pa.int32()),  # as written, never corrupted
    word_ids=pa.list_(pa.int32()),
    importance=pa.list_(pa.uint8()),  # of the word, 1-255, 128 and more: important; 0: never to be chosen
    masked=pa.list_(pa.bool_()),  # which tokens visit 0 predicts
)
"""Sequences for pretraining: one row a sequence of at most `max_length` ids."""

REFERRED = _schema(
    id=pa.string(),
    loss=pa.list_(pa.float32()),  # of each token after those before it, in nats; 0 of the first
)
"""What a reference model loses on the sequences of a masked corpus, row for row and shard for shard."""

STATIC = _schema(
    input_ids=pa.list_(pa.int32()),  # corrupted
    attention_mask=pa.list_(pa.int8()),
    labels=pa.list_(pa.int64()),  # the id as written where it is to be predicted, else -100
)
"""The masked corpus for other people's trainers: corruption frozen at visit 0."""

_SAID = {"id": pa.string(), "seed": pa.int64()}
_NUMBERS, _NAMES = pa.list_(pa.float32()), pa.list_(pa.string())

CHANGES = pa.list_(
    pa.struct(
        [
            ("offset", pa.int32()),  # in characters of the text as it was
            ("written", pa.string()),
            ("corrected", pa.string()),
            ("wrong", pa.float32()),  # probability that what is written is wrong
            ("likely", pa.float32()),  # probability of what it was corrected to
        ]
    )
)
"""What was changed in a text."""

PREDICTIONS = _schema(
    **_SAID,
    label=pa.string(),
    predicted=pa.string(),
    probability=pa.float32(),  # of the predicted class
    probabilities=_NUMBERS,  # of every class, in the order of task.json
)
"""What each fine-tuning seed said of each test document."""

PREDICTIONS_OF = {
    "classes": PREDICTIONS,
    "ordered": PREDICTIONS,
    "labels": _schema(**_SAID, labels=_NAMES, predicted=_NAMES, probabilities=_NUMBERS),  # of every label
    "tags": _schema(**_SAID, tags=_NAMES, predicted=_NAMES, probabilities=_NUMBERS),  # of the predicted tags
    "value": _schema(**_SAID, score=pa.float64(), predicted=pa.float64()),
    "spelling": _schema(**_SAID, source=pa.string(), target=pa.string(), predicted=pa.string(), changes=CHANGES),
}
"""The same for each kind of task."""


CORRECTED = _schema(place=pa.string(), text=pa.string(), corrected=pa.string(), changes=CHANGES)
"""What a model of spelling corrects in the texts of any file."""


def predicted_schema(kind: str) -> pa.Schema:
    """What a model of this kind of task says of the rows of any file."""
    asked = {"place": pa.string(), "text": pa.string(), "text_pair": pa.string(), "tokens": _NAMES}
    said = {field.name: field.type for field in PREDICTIONS_OF[kind] if field.name.startswith(("predicted", "prob"))}
    return _schema(**asked, **said)
