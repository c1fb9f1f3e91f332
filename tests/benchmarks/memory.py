"""memory beside the size of the corpus

Whether training needs more memory for more text. Two masked corpora of the product's own Parquet, the second ten times
the first (one shard of 20,000 sequences, repeated), are each read in a process of their own: `flat_columns`, which
turns them into flat arrays on disk, then 20 steps of 32 sequences with a BERT of 2 layers × 128. A token stands for
three bytes of Chinese text.

*Peak* is the largest resident set of the whole process. It counts pages of the flat arrays, which the system keeps in
memory while there is room and drops when there is none. *Own* leaves these out (RssAnon, looked at every 5 ms): what
the process cannot do without. *Before* is the own memory of libraries and model with no corpus yet.
"""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from corpora.parquet import flat_columns, shard_name, write_corpus
from corpora.schemas import MASKED
from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.models import ModelSize, new_bert
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.tokens import replaceable_ids
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train
from tests.benchmarks.text import VOCABULARY, Text, text, tokenizer
from tests.benchmarks.timing import Found, Rows

SHARD, BYTES_A_TOKEN = 20_000, 3
SIZES = {"100 MB": 10**8, "1 GB": 10**9}
QUICK = {"10 MB": 10**7, "100 MB": 10**8}
COLUMNS = ("id", "input_ids", "word_ids", "importance")
GROWING = ("peak, MB", "own, reading, MB", "own, training, MB")
STATUS = Path("/proc/self/status")


def measure(quick: bool) -> Found:
    """A row a corpus, and how the peaks grew."""
    if not STATUS.exists():
        return ["This system has no /proc: nothing was measured."]
    found = {}
    with TemporaryDirectory() as folder:
        one = write_shard_of_text(Path(folder) / "one")
        for name, size in (QUICK if quick else SIZES).items():
            found[name] = in_own_process(repeated(one, size, Path(folder) / "corpus"))
    small, large = found.values()
    growth = {part: f"{large[part] / small[part]:.2f} ×" for part in GROWING}
    return [[*rows(found), {"text": "ratio", **growth}]]


def rows(found: dict[str, dict[str, float]]) -> Rows:
    """A row a corpus."""
    return [{"text": name, **{part: f"{value:,.0f}" for part, value in row.items()}} for name, row in found.items()]


def write_shard_of_text(folder: Path) -> tuple[Path, Text]:
    """A shard of `SHARD` sequences as `stages/mask.py` would write it, and what is in it."""
    corpus = text(SHARD)
    held, bounds = corpus.sequences, corpus.sequences.offsets
    write_corpus(
        folder,
        MASKED,
        (
            {
                "id": str(held.id[i]),
                **{name: getattr(held, name)[bounds[i] : bounds[i + 1]] for name in COLUMNS[1:]},
                "masked": held.importance[bounds[i] : bounds[i + 1]] > 127,
            }
            for i in range(len(held))
        ),
    )
    return folder / shard_name(0), corpus


def repeated(one: tuple[Path, Text], size: int, folder: Path) -> Path:
    """A corpus of `size` bytes of text: a shard again and again."""
    path, corpus = one
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "train").mkdir(parents=True)
    for number in range(max(1, round(size / BYTES_A_TOKEN / corpus.lengths.sum()))):
        shutil.copy(path, folder / "train" / shard_name(number))
    return folder


def in_own_process(folder: Path) -> dict[str, float]:
    """What reading and training on a corpus takes, measured by the process that does it."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def read_and_train(folder: Path) -> dict[str, float]:
    """Megabytes and CPU seconds."""
    words = tokenizer(128)
    model = new_bert(ModelSize(), VOCABULARY, words.pad_token_id, seed=0)
    before, started = megabytes("RssAnon"), time.process_time()
    with Watch() as reading:
        sequences = Sequences(**flat_columns(folder / "train", COLUMNS, folder / "flat"))
    converted = time.process_time()
    with Watch() as training:
        vocabulary = Vocabulary(words.mask_token_id, replaceable_ids(words))
        batches = MaskedBatches(sequences, MaskingConfig(policy="whole_word"), vocabulary, words.pad_token_id)
        config = TrainerConfig(steps=20, batch_size=32, per_device_batch_size=32)
        train(MaskedLM(model), batches, config, "keymask", folder=folder)
    return {
        "sequences": len(sequences),
        "before, MB": before,
        "peak, MB": megabytes("VmHWM"),
        "own, reading, MB": reading.peak,
        "own, training, MB": training.peak,
        "reading, CPU s": converted - started,
        "20 steps, CPU s": time.process_time() - converted,
    }


class Watch:
    """The most anonymous memory seen within a `with` block."""

    def __enter__(self) -> "Watch":
        self.peak, self._over = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.peak = max(self.peak, megabytes("RssAnon"))

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


def megabytes(name: str) -> float:
    """A line of /proc/self/status."""
    return int(re.search(rf"^{name}:\s*(\d+) kB", STATUS.read_text(), re.MULTILINE)[1]) / 1000


if __name__ == "__main__":
    print(json.dumps(read_and_train(Path(sys.argv[1]))))
