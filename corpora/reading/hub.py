"""Rows of a data set on the Hugging Face hub, streamed: nothing is stored, and no code of it runs.

    columns, records = table(hub, "train", wanted)

What is read is the commit that the card names. It stands in the card, the card in the key of the corpus: what was made
of one commit is never taken for what another holds.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

from corpora.cards import Hub
from corpora.parquet import Row
from corpora.reading.columns import names_in
from corpora.reading.formats import PEEK, Table
from corpora.schemas import InputError


def table(hub: Hub, split: str, wanted: Iterable[str]) -> Table:
    """Columns of a split, as far as they are known at its beginning, and its records; only those wanted are read."""
    columns: list[str] = []
    rows = _rows(hub, split, set(wanted), columns)
    head = list(islice(rows, PEEK))
    nested = chain.from_iterable(names_in(row) for row in head)
    records = ((f"{hub}/{hub.splits[split]}:{number}", row) for number, row in enumerate(chain(head, rows), start=1))
    return dict.fromkeys(chain(columns, nested)), records


def _rows(hub: Hub, split: str, wanted: set[str], columns: list[str]) -> Iterator[Row]:
    """The rows of a split; `columns` becomes the names of all of its columns, where the hub knows them."""
    from datasets import load_dataset

    try:
        found = load_dataset(
            hub.name, hub.config or None, split=hub.splits[split], revision=hub.revision, streaming=True
        )
        columns += found.column_names or []
        read = [name for name in columns if any(f"{one}.".startswith(f"{name}.") for one in wanted)]
        yield from found.select_columns(read) if read else found
    except Exception as error:  # of the network, the hub, or the format: as many kinds as there are libraries below
        raise InputError(
            f"cannot read split {hub.splits[split]} of {hub} from the hub ({' '.join(str(error).split())}): look at "
            "its name, config, revision and splits in the card, and whether the hub can be reached"
        ) from error
