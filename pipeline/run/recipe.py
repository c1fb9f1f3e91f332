"""Recipes: one TOML file an experiment, one section an artifact, every section a frozen dataclass.

    python -m pipeline.run.recipe demo --set dapt.trainer.steps=200      # the recipe as it will be used

`extends = "other"` starts from another recipe. A setting that names a file gives its path from the folder of the
recipe that was asked for. What is unknown or of the wrong type is refused with the nearest known name, and all that is
wrong is said at once.
"""

import argparse
import difflib
import json
import sys
import types
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pipeline.run.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parent.parent.parent / "stages" / "recipes"
Table = dict[str, object]
Config = TypeVar("Config")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Table:
    """The sections of a recipe, given by name or as a path to a .toml, with `section.key=value` overrides applied."""
    recipe = _read(name, [])
    for override in overrides:
        _apply(recipe, override)
    return recipe


def recipe_folder(name: str) -> Path:
    """Where a recipe lies, given as for `load_recipe`: from here the files are found that its settings name."""
    return _path(name).parent


def build(cls: type[Config], table: Table, section: str, folder: Path = Path()) -> Config:
    """A dataclass from a section of a recipe in `folder`, or an InputError that lists all that is wrong with it."""
    problems: list[str] = []
    config = _build(cls, table, section, problems)
    if config is not None:
        config = _with_files(config, folder, section, problems)
    if problems:
        raise InputError("; ".join(problems))
    return config


def _with_files(config: Config, folder: Path, place: str, problems: list[str]) -> Config:
    """The config, its settings of `metadata={"file": True}` as paths from here instead of from the recipe's folder."""
    found = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            found[field.name] = _with_files(value, folder, f"{place}.{field.name}", problems)
        elif field.metadata.get("file") and value:
            found[field.name] = str(folder / value)
            if not (folder / value).is_file():
                problems.append(f"{place}.{field.name}: no file {folder / value}: give its path from {folder}/")
    return replace(config, **found) if found else config


def _read(name: str, seen: list[str]) -> Table:
    path = _path(name)
    if str(path) in seen:
        raise InputError(f"recipes extend each other in a circle: {' -> '.join([*seen, str(path)])}")
    try:
        recipe = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not valid TOML: {error}") from error
    parent = recipe.pop("extends", None)
    return _merge(_read(str(parent), [*seen, str(path)]), recipe) if parent else recipe


def _path(name: str) -> Path:
    path = Path(name) if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if path.is_file():
        return path
    known = sorted(p.stem for p in RECIPES.glob("*.toml"))
    raise InputError(
        f"no recipe {name}: known are {', '.join(known)}{nearest(name, known)}, or give a path to a .toml"
    )


def _merge(base: Table, over: Table) -> Table:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _apply(recipe: Table, override: str) -> None:
    """Set `section.key=value` in the recipe; the value is TOML, or a string where it is not."""
    name, equals, value = override.partition("=")
    *tables, key = name.strip().split(".")
    if not equals or not tables or not key:
        raise InputError(f'cannot read SET="{override}": write section.key=value, as in SET="dapt.trainer.steps=200"')
    table = recipe
    for part in tables:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InputError(f'cannot read SET="{override}": {part} is a setting, not a section')
    table[key] = _value(value.strip())


def _value(text: str) -> object:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _build(cls: type, table: Table, place: str, problems: list[str], usual: object = None) -> object:
    """A `cls` of what the table says; what it does not say is as in `usual`, else the class's own default."""
    if not isinstance(table, dict):
        problems.append(f"{place} must be a section [{place}], not {table!r}")
        return None
    known = {field.name: field for field in fields(cls)}
    for name in table:
        if name not in known:
            problems.append(f"unknown setting {place}.{name}{nearest(name, known)}; known: {', '.join(known)}")
    hints = get_type_hints(cls)
    sound = len(problems)
    usually = {name: getattr(usual, name) if usual is not None else _default(field) for name, field in known.items()}
    values = {n: _typed(hints[n], table[n], f"{place}.{n}", problems, usually[n]) for n in known if n in table}
    if len(problems) > sound:  # the checks of the dataclass itself trust the types
        return None
    if unset := [name for name, value in usually.items() if name not in values and value is MISSING]:
        problems.append(f"{place}.{unset[0]} is not set and has no default")
        return None
    try:
        return cls(**usually | values)
    except ValueError as error:  # a check of the dataclass itself
        problems.append(f"{place}: {error}")
        return None


def _default(field: Field) -> object:
    """The default of a setting, or MISSING."""
    return field.default if field.default_factory is MISSING else field.default_factory()


def _typed(hint: object, value: object, place: str, problems: list[str], usual: object = MISSING) -> object:
    """`value` as the annotated type, or a problem noted. An int serves as a float; nothing else is converted."""
    if is_dataclass(hint):
        return _build(hint, value, place, problems, None if usual is MISSING else usual)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        ok, wanted = value in args, "one of " + ", ".join(map(str, args))
    elif origin is tuple and isinstance(value, list | tuple):
        return tuple(_typed(args[0], item, f"{place}[{i}]", problems) for i, item in enumerate(value))
    elif origin in (Union, types.UnionType):
        ok, wanted = isinstance(value, args), " or ".join(a.__name__ for a in args)
    elif hint is float and type(value) is int:
        return float(value)
    else:
        ok, wanted = type(value) is hint, {"tuple": "a list"}.get(getattr(origin, "__name__", ""), _word(hint))
    if not ok:
        problems.append(f"{place} = {json.dumps(value, default=str, ensure_ascii=False)} must be {wanted}")
    return value


def _word(hint: object) -> str:
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    return words.get(hint, str(hint))


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing where no known name is like it."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def main() -> None:
    """Print a recipe."""
    parser = argparse.ArgumentParser(description="Print a recipe as it will be used.")
    parser.add_argument("recipe")
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    try:
        print(json.dumps(load_recipe(args.recipe, args.set), indent=2, ensure_ascii=False))
    except InputError as error:
        sys.exit(f"recipe: {error}")


if __name__ == "__main__":
    main()
