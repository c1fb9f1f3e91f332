"""An artifact is a folder with a manifest: finished, or not there.

`manifest.json` says what went in (config, inputs, their digests) and what came out (files, metrics). Its **key** is
a hash of what went in: two artifacts of one key are the same, so the second is linked, not made. Its **digest** is a
hash of what came out: the next stage's key is made of it. Work goes on in `<artifact>.partial/`, which a killed run
leaves behind and the next run with the same key continues; one rename makes it the artifact.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.run.errors import InputError

MANIFEST = "manifest.json"
SCRATCH = "scratch"
"""Files below <draft>/scratch/ (checkpoints, caches) help a killed run to continue; sealing removes them."""
LOGS = "logs"
"""Files below <artifact>/logs/ hold times of day and durations: listed in the manifest, left out of the digest."""

Manifest = dict[str, object]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a finished artifact, or an InputError that says how to make it."""
    try:
        return json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"no finished artifact in {folder}: run make {folder.name}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{folder / MANIFEST} is damaged ({error}): remove {folder} and make it again") from error


def input_digest(path: Path) -> str:
    """The digest of an artifact, or of one folder of it: runs/demo/corpus/task depends on the task alone."""
    folder = path
    while not (folder / MANIFEST).exists() and folder.parent != folder and folder.name:
        folder = folder.parent
    if folder == path or not (folder / MANIFEST).exists():
        return str(read_manifest(path)["digest"])
    prefix = f"{path.relative_to(folder).as_posix()}/"
    files = {name: entry for name, entry in read_manifest(folder)["files"].items() if name.startswith(prefix)}
    if not files:
        raise InputError(
            f"{folder} has no {path.relative_to(folder)}: add it to the recipe and run make {folder.name}"
        )
    return _digest({name.removeprefix(prefix): entry for name, entry in files.items()})


def make_key(stage: str, version: int, config: Manifest, inputs: dict[str, str]) -> str:
    """What went in, as one hash. Code is not in it: a change that alters results raises the stage's version."""
    text = json.dumps([stage, version, config, inputs], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as file:
        sha = hashlib.sha256()
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def is_finished(folder: Path, key: str) -> bool:
    """An artifact of this key stands here."""
    return (folder / MANIFEST).exists() and read_manifest(folder)["key"] == key


def open_draft(folder: Path, key: str) -> Path:
    """`<folder>.partial`, as the last run left it if its key was the same, else empty."""
    draft = draft_of(folder)
    mark = draft / ".key"
    if draft.exists() and not (mark.exists() and mark.read_text() == key):
        shutil.rmtree(draft)
    draft.mkdir(parents=True, exist_ok=True)
    mark.write_text(key)
    return draft


def draft_of(folder: Path) -> Path:
    """Where an artifact is worked on."""
    return folder.with_name(f"{folder.name}.partial")


def seal(draft: Path, folder: Path, manifest: Manifest) -> None:
    """Sync every file, write the manifest, rename: the one moment at which the artifact begins to exist."""
    shutil.rmtree(draft / SCRATCH, ignore_errors=True)
    (draft / ".key").unlink(missing_ok=True)
    files = {}
    for path in sorted(p for p in draft.rglob("*") if p.is_file() and p.name != MANIFEST):
        _sync(path)
        files[path.relative_to(draft).as_posix()] = {"size": path.stat().st_size, "sha256": file_digest(path)}
    _write_json(draft / MANIFEST, {**manifest, "files": files, "digest": _digest(files)})
    _publish(draft, folder)


def find_equal(runs: Path, key: str) -> Path | None:
    """A finished artifact of this key anywhere under `runs/<recipe>/<artifact>`."""
    for path in sorted(runs.glob(f"*/*/{MANIFEST}")):
        if not path.parent.name.endswith((".partial", ".old")) and is_finished(path.parent, key):
            return path.parent
    return None


def link(existing: Path, folder: Path) -> None:
    """The artifact again under another name: hard links, so that removing either run leaves the other whole."""
    draft = draft_of(folder)
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(existing, draft, copy_function=_link_or_copy)
    manifest = {**read_manifest(existing), "linked_from": str(existing)}
    (draft / MANIFEST).unlink()
    _write_json(draft / MANIFEST, manifest)
    _publish(draft, folder)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Held while an artifact is made. The system frees it when the process dies, however it dies."""
    path = folder.with_name(f".{folder.name}.lock")
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(f"{folder} is being made by {file.read().strip()}: wait for it or stop it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}")
        file.flush()
        yield


def _publish(draft: Path, folder: Path) -> None:
    old = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(draft, folder)
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _digest(files: dict[str, dict[str, object]]) -> str:
    kept = sorted((name, entry["sha256"]) for name, entry in files.items() if not name.startswith(f"{LOGS}/"))
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _write_json(path: Path, content: Manifest) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)


def missing_inputs(paths: Sequence[Path]) -> list[str]:
    """One line for each input that is not a finished artifact."""
    problems = []
    for path in paths:
        try:
            input_digest(path)
        except InputError as error:
            problems.append(str(error))
    return problems
