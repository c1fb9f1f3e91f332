"""Readers under fire: bytes that a coverage-guided fuzzer makes, read as every kind of file.

    make fuzz SECONDS=600                       # needs: .venv/bin/pip install atheris==3.0.0
    python -m tests.fuzz crash-…                # an input that failed, again

Atheris (Google's libFuzzer for Python) begins with the inputs of `tests/fuzz/inputs.py`, keeps what reaches new lines
of the readers, and writes what fails to `crash-…`. What it found is in FOUND there, which the tests read: they need no
fuzzer. Options of libFuzzer may follow (`-max_total_time=600 -max_len=400`).
"""

import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Fuzz, or run inputs again."""
    try:
        import atheris
    except ModuleNotFoundError:
        sys.exit("fuzz: atheris is not installed: .venv/bin/pip install atheris==3.0.0 (Linux and macOS)")
    with atheris.instrument_imports(include=["corpora", "csv", "json"]):
        from tests.fuzz.inputs import FOUND, one, seeds
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        folder, begin = Path(name), Path(name, "seeds")
        begin.mkdir()
        for number, seed in enumerate([*seeds(), *FOUND]):
            (begin / str(number)).write_bytes(seed)
        again = [argument for argument in sys.argv[1:] if Path(argument).is_file()]
        folders = [] if again else [str(begin)]
        atheris.Setup([*sys.argv, *folders], lambda data: one(data, folder))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
