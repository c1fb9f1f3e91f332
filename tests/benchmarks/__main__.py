"""Measurements of speed and memory beside transformers, on one thread, written to docs/benchmarks.md.

    make bench                  # all, an hour and more: footprint prepares 1 GB
    make bench ONLY=training    # or another of NAMES

Every benchmark is a file: its docstring says what is measured, `measure(quick)` returns paragraphs and tables, and
both go into a section of the page. A section that was not asked for stays as it was, with the commit it was measured
at. Nothing here fails because something was slow. `--quick` is to see that it still runs: smallest sizes, few rounds,
no page.
"""

import argparse
import os

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}  # before torch wakes

import platform
import re
import subprocess
import sys
import time
from importlib import import_module, metadata
from pathlib import Path

from tests.benchmarks.timing import Found, table

NAMES = (
    "training",
    "objectives",
    "preparation",
    "dedup",
    "chinese",
    "segmentation",
    "scoring",
    "collator",
    "resume",
    "memory",
    "footprint",
    "footer",
    "significance",
    "gpu",
)
PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

`make bench` writes this page. Peers are measured side by side, in turns, in one process on one thread, so that a busy
moment of the machine hits all alike. Times are CPU time of the process unless a table says otherwise: it leaves out
waiting for other programs, not the fight with them over caches and memory. *Spread* is the largest round over the
smallest; a difference smaller than the spreads is no finding. No test depends on a time.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description="measurements -> docs/benchmarks.md")
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {' '.join(NAMES)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help="smallest sizes, one round; writes no page")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}: choose of {' '.join(NAMES)}")
    quiet()
    for name in given.names or NAMES:
        text = section(name, given.quick)
        print(text, flush=True)
        if not given.quick:
            PAGE.write_text(page({**sections(), name: text}), encoding="utf-8")
    if not given.quick:
        print(f"written: {PAGE.relative_to(Path.cwd())}")


def quiet() -> None:
    """One thread, and no word of the libraries between the tables."""
    import datasets
    import torch
    import transformers

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def section(name: str, quick: bool) -> str:
    """Run a benchmark: its docstring, where and when it ran, and what it found, as Markdown."""
    module = import_module(f"tests.benchmarks.{name}")
    load, state, started = os.getloadavg()[0], commit(), time.time()
    print(f"bench: {name} …", file=sys.stderr, flush=True)
    found: Found = module.measure(quick)
    title, text = module.__doc__.strip().split("\n", 1)
    facts = f"*{machine()}, load {load:.1f} at the start; {versions()}; commit {state};"
    facts += f" `make bench ONLY={name}`, {time.time() - started:,.0f} s.*"
    body = [part if isinstance(part, str) else table(part) for part in found]
    return "\n\n".join([f"## {name}: {title}", text.strip(), *body, facts])


def machine() -> str:
    """Processor and cores."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else []
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def versions() -> str:
    """Python and the libraries that were measured."""
    names = ("torch", "transformers", "accelerate", "numpy", "pyarrow")
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {metadata.version(name)}" for name in names)])


def commit() -> str:
    """The commit of this working tree, and whether there is more in it than was committed."""
    git = lambda *words: subprocess.run(["git", *words], capture_output=True, text=True, cwd=PAGE.parent, check=False)
    name = git("rev-parse", "--short", "HEAD").stdout.strip() or "unknown"
    changed = git("status", "--porcelain", "--", "..", ":!benchmarks.md").stdout.strip()
    return f"{name}, with changes" if changed else name


def sections() -> dict[str, str]:
    """The sections of the page as it is, by name."""
    if not PAGE.exists():
        return {}
    parts = re.split(r"^(?=## )", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {part[3:].split(":")[0]: part.strip() for part in parts}


def page(found: dict[str, str]) -> str:
    """The whole page, its sections in the order of NAMES."""
    return "\n\n".join([INTRODUCTION.strip(), *(found[name] for name in NAMES if name in found)]) + "\n"


if __name__ == "__main__":
    main()
