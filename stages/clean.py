"""Read and clean domain and general text in slices, on several cores or machines; `prepare` then goes on from there.

    make corpus WORKERS=8                   # on eight cores
    make slices WORKERS=16 TASK=2/4         # the second of four machines that share a disk; then make corpus on one
    make slices EXECUTOR=stages/launch/slurm.toml               # on a cluster, by datatrove; then make corpus

reads   the files that the recipe's cards of domain and general text name, under DATA
writes  slices/     a file a slice, named by all that it depends on: its content, how it is read, what is asked of it

The corpus is the same, byte for byte, whether slices are there, some of them or none. So tasks may come in any order,
be killed and be started again: what is there is whole, and is left as it is.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from corpora.config import CorpusConfig
from corpora.parts import check
from corpora.reading.raw import WHOLE, Part
from corpora.slices import Slice, missing, write_missing, write_slice
from pipeline.run.artifact import lock
from pipeline.run.errors import Busy, InputError
from pipeline.run.processes import die_with_parent
from pipeline.run.progress import progress, say
from pipeline.run.recipe import build, load_recipe, recipe_folder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXECUTORS = {"local": "LocalPipelineExecutor", "slurm": "SlurmPipelineExecutor", "ray": "RayPipelineExecutor"}
"""What a launch file names -> the class of datatrove."""

Write = Callable[[Slice, Path], None]
"""A slice, and where it goes."""


def clean(config: CorpusConfig, data: Path, out: Path, workers: int = 1, task: Part = WHOLE) -> int:
    """Write the slices of a task that are not there; how many these are."""
    if workers < 1:
        raise InputError(f"WORKERS={workers}: at least one is needed")
    check(config, data)
    todo = missing(config, data, out, task)
    out.mkdir(parents=True, exist_ok=True)
    with lock(out / f"task-{task.number + 1}-of-{task.count}"):
        for _ in progress(_each(partial(write_slice, config=config, data=data), todo, workers), len(todo), "slices"):
            pass
    say(f"✓ {out}  {len(todo)} slices made, the others were there")
    return len(todo)


def _each(write: Write, todo: dict[Path, Slice], workers: int) -> Iterator[None]:
    """All of them written, each by a process that has nothing else to do."""
    if workers == 1:
        yield from map(write, todo.values(), todo)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), die_with_parent) as pool:
        yield from pool.map(write, todo.values(), todo)


def submit(launch: Path, config: CorpusConfig, data: Path, out: Path) -> None:
    """Leave the tasks to an executor of datatrove, which a launch file names with its arguments."""
    check(config, data)
    try:
        from datatrove import executor as executors

        given = tomllib.loads(launch.read_text(encoding="utf-8"))
        executor = getattr(executors, EXECUTORS[given.pop("executor", "")])
        step = partial(write_missing, config=config, data=data.absolute(), folder=out.absolute())
        # what datatrove notes as completed says nothing of settings and content: slices know that themselves
        tasks = executor([step], logging_dir=str(out.absolute() / "logs"), skip_completed=False, **given)
    except ImportError as error:
        raise InputError(f"{error}: .venv/bin/python -m pip install -r requirements-scale.txt") from error
    except KeyError as error:
        raise InputError(f"{launch}: executor = {error} must be one of {', '.join(EXECUTORS)}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{launch}: {error}: correct it") from error
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH")]))
    tasks.run()


def task_of(written: str) -> Part:
    """`2/4`: the second of four."""
    number, _, count = written.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise InputError(f"TASK={written}: say which of how many, as in TASK=2/4")
    return Part(int(number) - 1, int(count))


def main() -> None:
    """Clean from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--task", default="1/1")
    parser.add_argument("--executor", type=Path)
    args = parser.parse_args()
    try:
        table = load_recipe(args.recipe, args.set).get("corpus", {})
        config = build(CorpusConfig, table, "corpus", recipe_folder(args.recipe))
        if args.executor:
            submit(args.executor, config, args.data, args.out)
        else:
            clean(config, args.data, args.out, args.workers, task_of(args.task))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenProcessPool:
        print("clean: a worker was killed, for lack of memory perhaps: the same command goes on", file=sys.stderr)
        sys.exit(75)
    except (ValueError, Busy, OSError) as error:
        if not hasattr(error, "exit_code") and not isinstance(error, OSError):
            raise
        print(f"clean: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 3))


if __name__ == "__main__":
    main()
