"""From a finished artifact back to the raw text: what each was made of, read off the manifests.

An input is found by its digest, wherever it is under `runs/`: a name proves nothing, an artifact of that name may have
been made again since.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.run.artifact import MANIFEST, Manifest, digests, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import flat

ROWS = ("corpus", "masked", "referred")
"""Artifacts whose folders are named for the text in them; masked-control is one of masked."""


@dataclass(frozen=True)
class Step:
    """An artifact of a lineage."""

    folder: Path
    manifest: Manifest
    inputs: dict[str, Path | None]
    """Input -> the artifact, or the folder of one, that it was; None where that is no longer there."""

    @property
    def name(self) -> str:
        """`dapt`."""
        return self.folder.name

    @property
    def files(self) -> dict[str, str]:
        """Name -> sha256 of the files it read that are no artifacts."""
        known = self.manifest["inputs"]
        return {name.partition(": ")[2]: sha for name, sha in known.items() if name.startswith("file ")}


def lineage(folder: Path) -> list[Step]:
    """An artifact and all it was made of, each after what it was made of, so that it comes last itself."""
    found: dict[Path, Step] = {}
    known = _known(folder.parent)

    def visit(path: Path) -> None:
        manifest = read_manifest(path)
        inputs = {name: known.get(digest) for name, digest in _artifacts(manifest)}
        for place in filter(None, inputs.values()):
            if (made := _artifact_of(place)) not in found:
                visit(made)
        found[path] = Step(path, manifest, inputs)

    visit(folder)
    return [*found.values()]


def readers(steps: Sequence[Step]) -> dict[str, list[str]]:
    """`domain`, `task`, … -> the artifacts that were made directly from this text."""
    found: dict[str, list[str]] = {}
    for step in steps:
        for place in filter(None, step.inputs.values()):
            made = _artifact_of(place)
            if place != made and made.name.split("-")[0] in ROWS:
                found.setdefault(place.relative_to(made).parts[0], []).append(step.name)
    return {text: [*dict.fromkeys(names)] for text, names in found.items()}


def _known(run: Path) -> dict[str, Path]:
    """Digest -> where it is: in this run, or in another beside it."""
    found: dict[str, Path] = {}
    here = sorted(run.glob(f"*/{MANIFEST}"))
    for path in (*here, *(path for path in sorted(run.parent.glob(f"*/*/{MANIFEST}")) if path not in here)):
        if not path.parent.name.endswith((".partial", ".old")):
            with suppress(InputError):  # one whose manifest is damaged, and which nothing may come from
                found = digests(path.parent) | found
    return found


def _artifacts(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Names and digests of the inputs that are artifacts, and no files that were named or set."""
    settings = flat(manifest["config"])
    for name, digest in manifest["inputs"].items():
        if not name.startswith("file ") and name not in settings:
            yield name, digest


def _artifact_of(place: Path) -> Path:
    return next(path for path in (place, *place.parents) if (path / MANIFEST).exists())
