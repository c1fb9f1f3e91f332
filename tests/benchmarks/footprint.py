"""memory of preparing text, beside the size of the text

Whether `make corpus` needs more memory for more text. Files of made-up Chinese (lines of jieba's words by their
frequency, 200 bytes on average, none like another) are prepared, each in a process of its own: *as it is* with the
defaults of `[corpus]` (clean, no exact duplicate), *all of it* with rules, lines of the page and near-duplicates as
well.

*Peak* is the largest resident set, *own* that without pages of files (RssAnon, looked at every 5 ms), *before* the
same with libraries and dictionaries loaded and no text read. *A document* is what own grew by from the smallest file
on, over the documents there were more: what is remembered of each. Sizes are in MB of text: 10, 100 and 1000, unless
`MEGABYTES="10 30"` in the environment asks for others.
"""

import json
import os
import subprocess
import sys
import time
from itertools import count, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from corpora.cleaning.languages import Tongue
from corpora.config import CorpusConfig
from corpora.segment import Segmenter
from stages.prepare import prepare
from tests.benchmarks.memory import STATUS, Watch, megabytes
from tests.benchmarks.text import lines
from tests.benchmarks.timing import Found, Rows

SIZES, QUICK = (10, 100, 1000), (1, 2)
ALL = {"quality_rules": True, "repeated_lines": 10, "drop_near_duplicates": True}
ARMS = {"as it is": {}, "all of it": ALL}
BLOCK = 50_000
"""Lines made at a time."""


def measure(quick: bool) -> Found:
    """A table an arm, a row a size."""
    if not STATUS.exists():
        return ["This system has no /proc: nothing was measured."]
    given = os.environ.get("MEGABYTES", "").split()
    sizes = QUICK if quick else tuple(map(int, given)) or SIZES
    found: Found = []
    with TemporaryDirectory() as folder:
        for name, settings in ARMS.items():
            measured = {size: in_own_process(written(Path(folder), size), settings) for size in sizes}
            found += [f"**{name}**", rows(measured)]
    return found


def rows(measured: dict[int, dict[str, float]]) -> Rows:
    """A row a size, with what was remembered of each document more than in the first."""
    first, *_ = measured.values()
    table = []
    for size, row in measured.items():
        told = {"text": f"{size:,} MB", **{name: f"{value:,.0f}" for name, value in row.items()}}
        more = row["documents"] - first["documents"]
        growth = 1e6 * (row["own, MB"] - first["own, MB"]) / more if more else 0
        table.append(told | {"a document": f"{growth:,.0f} bytes" if more else ""})
    return table


def written(folder: Path, size: int) -> Path:
    """A file of so many MB of text and its card; one that is there already is taken as it is."""
    path, card = folder / f"{size}.txt", folder / f"{size}.toml"
    if not path.exists():
        with open(path, "wb") as file:
            every = (f"{line}\n".encode() for seed in count() for line in lines(BLOCK, seed))
            file.writelines(takewhile(lambda _: file.tell() < 1e6 * size, every))
        card.write_text(
            f'name = "bench"\ntitle = ""\nlanguage = "zh"\nlicence = ""\norigin = ""\n'
            f'[fields]\ntext = "text"\n[files]\nunlabeled = "{path}"\n',
            encoding="utf-8",
        )
    return card


def in_own_process(card: Path, settings: dict[str, object]) -> dict[str, float]:
    """What preparing takes, measured by the process that does it."""
    command = [sys.executable, "-m", "tests.benchmarks.footprint", str(card), json.dumps(settings)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def prepared(card: Path, settings: dict[str, object]) -> dict[str, float]:
    """Documents, megabytes and CPU seconds."""
    Segmenter().words("好"), Tongue("zh").other("good " * 20)
    config, before, started = CorpusConfig(domain=(str(card),), **settings), megabytes("RssAnon"), time.process_time()
    with TemporaryDirectory() as out, Watch() as watch:
        counts = prepare(config, Path(), Path(out))
    return {
        "documents": counts["domain/train"] + counts["domain/dev"],
        "before, MB": before,
        "peak, MB": megabytes("VmHWM"),
        "own, MB": watch.peak,
        "CPU s": time.process_time() - started,
    }


if __name__ == "__main__":
    print(json.dumps(prepared(Path(sys.argv[1]), json.loads(sys.argv[2]))))
