"""How a stage runs: command line, recipe, freshness, draft, seal.

A stage is a plain function, `mask(config, corpus, tagger, out) -> metrics`. Its signature is its declaration: the
dataclass is a section of the recipe, every other path an input, `out` the artifact. `run(mask)` adds the rest:

    python -m stages.mask --recipe demo --corpus runs/demo/corpus --tagger runs/demo/tagger --out runs/demo/masked

Exit codes, each but 0 with one line that says why:

    0   made, linked or up to date
    1   a fault of ours (with its traceback)
    2   what the user gave cannot be used
    3   the disk is full, or what lies on it is damaged
    4   the training diverged
    5   another run is making this artifact
    75  stopped by a signal; the same command continues
    130 stopped at once by Ctrl-C

A launcher of several processes says 1 for whatever code they leave with.
"""

import argparse
import inspect
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from importlib.metadata import version as package_version
from importlib.util import find_spec
from pathlib import Path
from typing import get_args, get_origin

from pipeline.run import artifact
from pipeline.run.errors import InputError, Interrupted, StorageError, is_disk_full
from pipeline.run.faults import fault
from pipeline.run.key import Settings, file_digest, keyed, make_key, named_files
from pipeline.run.processes import rank, wait_for_all, world
from pipeline.run.progress import clock, say
from pipeline.run.recipe import build, load_recipe, recipe_folder
from pipeline.run.stopwatch import stopwatch

Stage = Callable[..., dict[str, float]]
Sources = Callable[..., Sequence[Path]]


def run(stage: Stage, version: int = 1, sources: Sources | None = None) -> None:
    """Run a stage from the command line and exit.

    `version` is raised when a change of code alters results. `sources(config, ...)` names the raw files a stage reads
    that are no artifacts; their content goes into the key.
    """
    args = _parser(stage).parse_args()
    try:
        _run(_job(stage, version, sources, args))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as failure:
        error = _told(failure, args.out)
        code = getattr(error, "exit_code", 2 if isinstance(error, PermissionError) else 1)
        if os.environ.get("DEBUG") == "1" or code == 1:
            traceback.print_exc()
        if isinstance(error, Interrupted) and rank() == 0:
            (artifact.draft_of(args.out) / artifact.PREEMPTED).write_text(f"{error}\n", encoding="utf-8")
        print(f"{stage.__name__}: {error}", file=sys.stderr, flush=True)
        sys.stderr.flush()
        os._exit(code) if world() > 1 else sys.exit(code)  # other processes may wait for this one: leave at once


def _told(error: Exception, out: Path) -> Exception:
    """A full disk in the words of an error of ours; any other error as it is."""
    if hasattr(error, "exit_code") or not is_disk_full(error):
        return error
    place = artifact.draft_of(out)
    free = shutil.disk_usage(next(p for p in out.parents if p.exists())).free
    named = f" at {error.filename}" if getattr(error, "filename", None) else ""
    return StorageError(
        f"the disk took no more while {place} was written{named} ({free / 1e6:,.0f} MB are free, and quotas or "
        "limits may allow less): free space there, then run the same command"
    )


def section_of(name: str) -> str:
    """The recipe section of an artifact: `finetuned-dapt` reads [finetuned], `dapt-tapt` is a TAPT begun at dapt.

    `rate-dapt` and `ablated-dapt-…` are about the same fine-tuning as `finetuned-dapt`; `general` is trained as `dapt`
    is, on other text. `dapt-2` is `dapt` pretrained once more.
    """
    first = name.split("-", maxsplit=1)[0]
    others = {"rate": "finetuned", "ablated": "finetuned", "general": "dapt"}
    return "tapt" if name.startswith("dapt-tapt") else others.get(first, first)


def config_class(stage: Stage) -> type:
    """The dataclass a stage is configured by."""
    return next(p.annotation for p in _parameters(stage).values() if is_dataclass(p.annotation))


def _parameters(stage: Stage) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(stage, eval_str=True).parameters)


def _parser(stage: Stage) -> argparse.ArgumentParser:
    module = inspect.getmodule(stage)
    parser = argparse.ArgumentParser(
        description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--recipe", default="demo", help="name in stages/recipes, or a path to a .toml")
    parser.add_argument("--set", nargs="*", default=[], metavar="section.key=value", help="settings over the recipe's")
    for name, parameter in _parameters(stage).items():
        if not is_dataclass(parameter.annotation):
            several = get_origin(parameter.annotation) is list
            optional = type(None) in get_args(parameter.annotation)
            parser.add_argument(f"--{name}", type=Path, nargs="+" if several else None, required=not optional)
    return parser


@dataclass(frozen=True)
class _Job:
    """One call of a stage: what it is made of, and where it goes."""

    stage: Stage
    version: int
    config: object
    given: dict[str, object]
    inputs: dict[str, str]
    out: Path

    @property
    def key(self) -> str:
        return make_key(self.stage.__name__, self.version, self.settings, self.inputs)

    @property
    def settings(self) -> Settings:
        return keyed(self.config)

    def call(self, draft: Path) -> dict[str, float]:
        return self.stage(self.config, **self.given, out=draft)


def _job(stage: Stage, version: int, sources: Sources | None, args: argparse.Namespace) -> _Job:
    section = section_of(args.out.name)
    table = load_recipe(args.recipe, args.set).get(section, {})
    config = build(config_class(stage), table, section, recipe_folder(args.recipe))
    given = {
        n: getattr(args, n) for n, p in _parameters(stage).items() if not is_dataclass(p.annotation) and n != "out"
    }
    raw = {name: given[name] for name in _parameters(sources) if name in given} if sources else {}
    artifacts = {name: path for name, path in given.items() if name not in raw}
    inputs = _digests(artifacts, sources(config, **raw) if sources else []) | named_files(config)
    return _Job(stage, version, config, given, inputs, args.out)


def _run(job: _Job) -> None:
    """Do nothing, link, or make: every process comes to the same answer, the first one does what is done once."""
    started = time.monotonic()
    if _is_there(job.out, job.key):
        return
    _writable(job.out.parent)
    if rank() == 0:
        with artifact.lock(job.out):
            _make(job, started)
    else:
        wait_for_all()  # the draft is open
        job.call(artifact.draft_of(job.out))
        wait_for_all()


def _is_there(out: Path, key: str) -> bool:
    """Up to date already, or to be had without making it: only the name is missing, or another recipe made it."""
    if artifact.is_finished(out, key):
        if rank() == 0:
            os.utime(out / artifact.MANIFEST)  # so that make, which looks at times, agrees
        say(f"· {out}  up to date")
        return True
    sealed, twin = artifact.is_sealed(out, key), artifact.find_equal(out.parent.parent, key)
    if not sealed and twin is None:
        return False
    wait_for_all()  # all have looked: now things may move
    if rank() == 0:
        _take(out, None if sealed else twin)
    wait_for_all()
    return True


def _take(out: Path, twin: Path | None) -> None:
    """Publish the sealed draft, or link the twin; held, as a run with other settings may be at work here."""
    _writable(out.parent)
    with artifact.lock(out):
        if twin is None:
            artifact.publish(out)
            say(f"✓ {out}  finished by the run before: now it has its name")
        else:
            artifact.link(twin, out)
            say(f"· {out}  the same as {twin}: linked")


def _make(job: _Job, started: float) -> None:
    draft = artifact.open_draft(job.out, job.key, job.settings)
    say(f"▸ {job.out}")
    wait_for_all()
    with stopwatch(draft, started) as spent:
        fault("stage.begun")
        metrics = job.call(draft)
        wait_for_all()
    fault("stage.done")
    seconds = spent()
    manifest = {
        "stage": job.stage.__name__,
        "version": job.version,
        "config": asdict(job.config),
        "inputs": job.inputs,
        "key": job.key,
        "metrics": metrics,
        "provenance": _provenance(seconds),
    }
    artifact.seal(draft, job.out, manifest)
    say(f"✓ {job.out}  {clock(seconds)}{_highlights(metrics)}")


def _digests(artifacts: dict[str, object], files: Sequence[Path]) -> dict[str, str]:
    """Input name -> digest; all missing artifacts are named at once."""
    paths = {name: path for name, path in artifacts.items() if path is not None}
    if problems := artifact.missing_inputs(list(paths.values())):
        raise InputError("; ".join(problems))
    digests = {name: artifact.input_digest(path) for name, path in paths.items()}
    return digests | {f"file {i}: {path.name}": file_digest(path) for i, path in enumerate(sorted(files))}


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{folder} is a file: move it away or choose another RUNS=") from None
    except PermissionError:
        raise InputError(f"cannot write to {folder}: change its permissions or choose another RUNS=") from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"cannot write to {folder}: change its permissions or choose another RUNS=")


def _provenance(seconds: float) -> dict[str, object]:
    packages = ("torch", "transformers", "datasets", "accelerate", "pyarrow", "tokenizers", "jieba", "rjieba", "numpy")
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    return {
        "commit": _commit(),
        "command": os.environ.get("KEYMASK_CALL") or " ".join(sys.argv),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {name: package_version(name) for name in packages if find_spec(name)},
        "processes": world(),
        "seconds": round(seconds, 1),
        "peak_memory_mb": round(max(peak) / 1024),
        "finished": time.strftime("%FT%T%z"),
    }


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return done.stdout.strip() or "unknown"


def _highlights(metrics: dict[str, float]) -> str:
    shown = [f"{name} {value:.4g}" for name, value in list(metrics.items())[:4]]
    return "  " + ", ".join(shown) if shown else ""
