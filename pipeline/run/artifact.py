"""An artifact is a folder with a manifest: finished, or not there.

`manifest.json` says what went in (config, inputs, their digests) and what came out (files, metrics). Its **key** is a
hash of what went in (`key.py`): two artifacts of one key are the same, so the second is linked, not made. Its
**digest** is a hash of what came out: the next stage's key is made of it. Work goes on in `<artifact>.partial/`, which
a killed run leaves behind and the next run with the same key continues; one rename makes it the artifact. Times of
files decide nothing.
"""

import fcntl
import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from pipeline.run.errors import Busy, InputError
from pipeline.run.faults import fault
from pipeline.run.key import changes, file_digest
from pipeline.run.progress import say

MANIFEST = "manifest.json"
SCRATCH = "scratch"
"""Files below <draft>/scratch/ (checkpoints, caches) help a killed run to continue; sealing removes them."""
MARK = ".key"
"""In a draft: the key it was begun with, and the settings in it."""
PREEMPTED = "PREEMPTED"
"""In a draft: a signal stopped the run, which continues. For schedulers: a launcher does not hand on exit codes."""
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
    """The digest of an artifact, or of one folder of it: runs/demo/corpus/task depends on the task alone.

    Shards of it that are gone or cut short are refused: a corpus without one of them reads like a smaller one.
    """
    folder = path
    while not (folder / MANIFEST).exists() and folder.parent != folder and folder.name:
        folder = folder.parent
    if folder == path or not (folder / MANIFEST).exists():
        manifest = read_manifest(path)
        _refuse_broken(path, manifest["files"])
        return str(manifest["digest"])
    part = path.relative_to(folder).as_posix()
    files = _files_of(read_manifest(folder)["files"], part)
    if not files:
        raise InputError(f"{folder} has no {part}: add it to the recipe and run make {folder.name}")
    _refuse_broken(folder, {f"{part}/{name}": entry for name, entry in files.items()})
    return _digest(files)


def digests(folder: Path) -> dict[str, Path]:
    """Digest -> the finished artifact, or a folder of it: what `input_digest` says of each."""
    manifest = read_manifest(folder)
    files = manifest["files"]
    parts = {str(part) for name in files for part in PurePosixPath(name).parents} - {"."}
    found = {_digest(_files_of(files, part)): folder / part for part in sorted(parts, reverse=True)}
    return found | {str(manifest["digest"]): folder}


def _files_of(files: dict[str, dict[str, object]], part: str) -> dict[str, dict[str, object]]:
    """Those below a folder of an artifact, by their names there."""
    prefix = f"{part}/"
    return {name.removeprefix(prefix): entry for name, entry in files.items() if name.startswith(prefix)}


def _refuse_broken(folder: Path, files: dict[str, dict[str, object]]) -> None:
    """An InputError that names the first shard of rows that is not as long as when it was sealed."""
    for name, entry in files.items():
        path = folder / name
        found = path.stat().st_size if path.is_file() else None
        if found != entry["size"] and path.suffix == ".parquet":
            fact = "is gone" if found is None else f"has {found} bytes in place of {entry['size']}"
            raise InputError(f"{path} {fact}: remove {folder} and make it again")


def is_finished(folder: Path, key: str) -> bool:
    """An artifact of this key stands here; one whose manifest is damaged does not."""
    with suppress(InputError):
        return read_manifest(folder).get("key") == key
    return False


def open_draft(folder: Path, key: str, config: Manifest) -> Path:
    """`<folder>.partial`, as the last run left it if its key was the same, else empty, and said so."""
    draft = draft_of(folder)
    begun = _begun(draft)
    if draft.exists() and begun.get("key") != key:
        pairs = changes(begun.get("config", config), config).items()
        changed = ", ".join(f"{name} {before} -> {now}" for name, (before, now) in pairs)
        say(f"! {draft} was begun with other {f'settings ({changed})' if changed else 'inputs'}: begun anew")
        shutil.rmtree(draft)
    draft.mkdir(parents=True, exist_ok=True)
    (draft / PREEMPTED).unlink(missing_ok=True)
    _write_json(draft / MARK, {"key": key, "config": config})
    return draft


def draft_of(folder: Path) -> Path:
    """Where an artifact is worked on."""
    return folder.with_name(f"{folder.name}.partial")


def seal(draft: Path, folder: Path, manifest: Manifest) -> None:
    """Sync every file, write the manifest, rename: the one moment at which the artifact begins to exist."""
    files = {}
    for path in _payload(draft):
        sync(path)
        if path.is_file():
            files[path.relative_to(draft).as_posix()] = {"size": path.stat().st_size, "sha256": file_digest(path)}
    fault("seal.manifest")
    _write_json(draft / MANIFEST, {**manifest, "files": files, "digest": _digest(files)})
    fault("seal.rename")
    publish(folder)


def is_sealed(folder: Path, key: str) -> bool:
    """A killed run had finished this artifact but for the renaming of its draft."""
    return is_finished(draft_of(folder), key)


def publish(folder: Path) -> None:
    """Give a sealed draft its name."""
    draft, old = draft_of(folder), folder.with_name(f"{folder.name}.old")
    shutil.rmtree(draft / SCRATCH, ignore_errors=True)  # only now: a run killed before the manifest needs both
    (draft / MARK).unlink(missing_ok=True)
    sync(draft)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    fault("publish")
    os.rename(draft, folder)
    sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


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
    last = lambda place, names: [MANIFEST] if place == str(existing) else []  # a manifest means that all is there
    shutil.copytree(existing, draft, copy_function=_link_or_copy, ignore=last)
    fault("link.manifest")
    _write_json(draft / MANIFEST, {**read_manifest(existing), "linked_from": str(existing)})
    publish(folder)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Held while an artifact is made. The system frees it when the process dies, however it dies."""
    path = folder.with_name(f".{folder.name}.lock")
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Busy(f"{folder} is being made by {file.read().strip()}: wait for it or stop it") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%F %T')}")
        file.flush()
        yield


def _payload(draft: Path) -> list[Path]:
    """The files and folders that will be the artifact, without the draft's own."""
    own = (SCRATCH, MARK, MANIFEST, f"{MARK}.tmp", f"{MANIFEST}.tmp")
    return [path for path in sorted(draft.rglob("*")) if path.relative_to(draft).parts[0] not in own]


def _begun(draft: Path) -> Manifest:
    try:
        return json.loads((draft / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _digest(files: dict[str, dict[str, object]]) -> str:
    kept = sorted((name, entry["sha256"]) for name, entry in files.items() if not name.startswith(f"{LOGS}/"))
    return hashlib.sha256(json.dumps(kept).encode()).hexdigest()


def _write_json(path: Path, content: Manifest) -> None:
    """Whole or not at all."""
    beside = path.with_name(f"{path.name}.tmp")
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.rename(beside, path)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk before going on."""
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
