"""The house: rows are in corpora, tensors are in pipeline, order is in stages."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("corpora", "pipeline", "stages")
WALLS = (
    "corpora/reading",
    "corpora/cleaning",
    "corpora/spelling",
    "corpora/demo",
    "pipeline/run",
    "pipeline/training",
    "pipeline/masking",
    "pipeline/scoring",
    "pipeline/finetuning",
    "pipeline/objectives",
    "pipeline/vocabulary",
    "pipeline/pages",
    "pipeline/results",
    "pipeline/publishing",
)
"""Folders inside a folder: drawn where one grew too full to be taken in at a glance."""
FILES = [
    path
    for folder in (*FOLDERS, *WALLS)
    for path in sorted((ROOT / folder).glob("*.py"))
    if path.name != "__init__.py"
]
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]


def imported(path: Path) -> set[str]:
    """Every module a file names in an import, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize(
    ("folder", "strangers"),
    [
        ("corpora", {"torch", "transformers", "accelerate", "pipeline", "stages"}),
        ("pipeline", {"pyarrow", "datasets", "corpora", "stages"}),
        ("stages", {"stages"}),
    ],
)
def test_each_folder_imports_nothing_of_another_material(folder, strangers):
    found = {path.name: packages(path) & strangers for path in FILES if folder in path.relative_to(ROOT).parts}
    assert not {name: strange for name, strange in found.items() if strange}


def test_only_check_reaches_stages_by_name():
    found = [name for name, path in zip(NAMES, FILES, strict=True) if "importlib" in imported(path)]
    assert found == ["stages/check.py"]


def test_no_file_is_about_nothing():
    nameless = re.compile(r"^(utils?|common|helpers?|misc)$")
    assert not [name for name, path in zip(NAMES, FILES, strict=True) if nameless.match(path.stem)]


def test_no_two_test_files_share_a_name():
    """pytest would take one for the other, and say so only where both are collected by one process."""
    names = [path.name for path in (ROOT / "tests").glob("**/test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("folder", FOLDERS)
def test_package_files_are_empty_and_no_code_lies_deeper_than_its_wall(folder):
    code = sorted((ROOT / folder).glob("**/*.py"))
    assert not [path for path in code if path.name == "__init__.py" and path.read_bytes()]
    assert not [path for path in code if path not in FILES and path.name != "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_a_file_opens_with_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_how_a_stage_runs_knows_no_method():
    """pipeline/run/ is the machinery: it knows neither models nor masks."""
    modules = {name.removesuffix(".py").replace("/", ".") for name in NAMES if name.startswith("pipeline/")}
    methods = {module for module in modules if not module.startswith("pipeline.run.")}
    found = {path.name: imported(path) & methods for path in FILES if path.parent.name == "run"}
    assert not {name: known for name, known in found.items() if known}


def test_the_readme_names_every_file():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name, path in zip(NAMES, FILES, strict=True) if not re.search(rf"\b{path.name}\b", text)] == []


def test_both_readmes_tell_of_the_same_variables():
    told = lambda name: re.findall(r"^\| `([A-Z]+)\b", (ROOT / name).read_text(encoding="utf-8"), re.M)
    assert told("README.zh.md") == told("README.md") and len(told("README.md")) > 5


def test_no_stage_waits_for_scikit_learn_before_it_needs_it():
    """Half a second of every start: it is imported by the functions that ask it."""
    at_the_top = re.compile(r"^(import|from) sklearn\b", re.MULTILINE)
    ours = [path for path in FILES if ROOT / "tests" not in path.parents]
    assert not [path.name for path in ours if at_the_top.search(path.read_text(encoding="utf-8"))]
