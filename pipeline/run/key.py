"""The key of an artifact: a hash of what went in, which settings count in it, and in which of them two differ."""

import hashlib
import json
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path

Settings = dict[str, object]
"""Name -> value; of a section inside a section, the same again."""
ADDED = {"added": True}
"""Marks a setting that a stage was given later: at its default nothing changes, and what is there stays fresh."""


def make_key(stage: str, version: int, config: Settings, inputs: dict[str, str]) -> str:
    """What went in, as one hash. Code is not in it: a change that alters results raises the stage's version."""
    text = json.dumps([stage, version, config, inputs], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def keyed(config: object) -> Settings:
    """The settings of a dataclass that alter what is made.

    Left out are fields of `metadata={"key": False}`, what the hardware can hold, and of `metadata={"file": True}`, the
    place of a file: what counts is its content, see `named_files`. So are, at their defaults, those that were ADDED.
    """
    kept = {field.name: getattr(config, field.name) for field in fields(config) if not _left_out(field, config)}
    return {name: keyed(value) if is_dataclass(value) else value for name, value in kept.items()}


def _left_out(field: Field, config: object) -> bool:
    if field.metadata.get("added", False):
        default = field.default if field.default_factory is MISSING else field.default_factory()
        return getattr(config, field.name) == default
    return not field.metadata.get("key", True) or field.metadata.get("file", False)


def named_files(config: object) -> dict[str, str]:
    """Setting -> sha256 of the file it names, for the fields of `metadata={"file": True}` that are not empty."""
    found = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found |= {f"{field.name}.{name}": digest for name, digest in named_files(value).items()}
        elif field.metadata.get("file") and value:
            found[field.name] = file_digest(Path(value))
    return found


def file_digest(path: Path) -> str:
    """sha256 of a file."""
    with open(path, "rb") as file:
        sha = hashlib.sha256()
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def changes(before: Settings, now: Settings) -> dict[str, tuple[object, object]]:
    """`trainer.learning_rate`: (0.001, 0.0005), for each setting that differs."""
    one, other = (flat(json.loads(json.dumps(config))) for config in (before, now))  # as JSON: a tuple is a list
    return {n: (one.get(n), other.get(n)) for n in sorted(one | other) if one.get(n) != other.get(n)}


def flat(config: Settings, prefix: str = "") -> Settings:
    """`trainer.learning_rate`: 0.001, for each setting of a section."""
    found: Settings = {}
    for name, value in config.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
