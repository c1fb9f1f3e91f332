"""A recipe says exactly what it means, or is refused with all that is wrong."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from pipeline.run.errors import InputError
from pipeline.run.recipe import RECIPES, build, load_recipe, recipe_folder


@dataclass(frozen=True)
class Inner:
    steps: int = 10
    betas: tuple[float, ...] = (0.9, 0.98)


@dataclass(frozen=True)
class Toy:
    learning_rate: float = 1e-3
    policy: Literal["random", "selective"] = "random"
    lowercase: bool = True
    names: tuple[str, ...] = ()
    folder: str = ""
    trainer: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError("learning_rate must be positive")


@pytest.fixture
def recipe(tmp_path):
    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        return str(tmp_path / f"{name}.toml")

    return write


def test_what_is_not_set_has_its_default():
    assert build(Toy, {}, "toy") == Toy()


def test_sections_become_dataclasses_and_lists_tuples():
    table = {"names": ["a"], "trainer": {"steps": 5, "betas": [0.5, 1]}}
    assert build(Toy, table, "toy") == Toy(names=("a",), trainer=Inner(5, (0.5, 1.0)))


def test_a_section_set_in_part_keeps_the_rest_as_the_one_around_it_has_it():
    @dataclass(frozen=True)
    class Outer:
        trainer: Inner = field(default_factory=lambda: Inner(steps=3, betas=(0.5, 0.6)))

    assert build(Outer, {"trainer": {"steps": 5}}, "outer").trainer == Inner(5, (0.5, 0.6))


def test_a_whole_number_serves_as_a_number():
    found = build(Toy, {"learning_rate": 1}, "toy").learning_rate
    assert found == 1.0 and type(found) is float


@dataclass(frozen=True)
class Reading:
    dictionary: str = field(default="", metadata={"file": True})


@dataclass(frozen=True)
class Nested:
    reading: Reading = field(default_factory=Reading)


def test_a_setting_that_names_a_file_is_read_from_the_folder_of_the_recipe(recipe, tmp_path):
    (tmp_path / "words.txt").write_text("好\n", encoding="utf-8")
    name = recipe("r", '[toy.reading]\ndictionary = "words.txt"\n')
    found = build(Nested, load_recipe(name)["toy"], "toy", recipe_folder(name))
    assert found.reading.dictionary == str(tmp_path / "words.txt")
    assert build(Nested, {}, "toy", tmp_path).reading.dictionary == ""


def test_a_setting_that_names_no_file_is_refused_with_where_it_was_looked_for(tmp_path):
    with pytest.raises(InputError, match=rf"toy\.reading\.dictionary: no file {tmp_path}/words\.txt"):
        build(Nested, {"reading": {"dictionary": "words.txt"}}, "toy", tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"learning_rate": "fast"}, 'toy.learning_rate = "fast" must be a number'),
        ({"trainer": {"steps": 1.5}}, "toy.trainer.steps = 1.5 must be a whole number"),
        ({"trainer": {"steps": True}}, "toy.trainer.steps = true must be a whole number"),
        ({"learning_rate": True}, "toy.learning_rate = true must be a number"),
        ({"lowercase": "yes"}, 'toy.lowercase = "yes" must be true or false'),
        ({"lowercase": 1}, "toy.lowercase = 1 must be true or false"),
        ({"folder": 3}, "toy.folder = 3 must be a string"),
        ({"policy": "clever"}, 'toy.policy = "clever" must be one of random, selective'),
        ({"names": "a"}, 'toy.names = "a" must be a list'),
        ({"names": ["a", 2]}, "toy.names[1] = 2 must be a string"),
        ({"trainer": 3}, "toy.trainer must be a section [toy.trainer], not 3"),
        ({"learning_rate": -1.0}, "toy: learning_rate must be positive"),
        ({"learning_rate": 0, "folder": 3}, "toy.folder = 3 must be a string"),
        ({"lerning_rate": 1.0}, "unknown setting toy.lerning_rate (did you mean learning_rate?)"),
        ({"trainer": {"step": 1}}, "unknown setting toy.trainer.step (did you mean steps?)"),
        ({"zzz": 1}, "unknown setting toy.zzz; known: learning_rate"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(table, message):
    with pytest.raises(InputError) as told:
        build(Toy, table, "toy")
    assert str(told.value).startswith(message)


def test_all_that_is_wrong_is_said_at_once():
    table = {"policy": "clever", "folder": 3, "lerning_rate": 1, "trainer": {"steps": "x", "beta": 1}}
    with pytest.raises(InputError) as told:
        build(Toy, table, "toy")
    for setting in ("toy.policy", "toy.folder", "toy.lerning_rate", "toy.trainer.steps", "toy.trainer.beta"):
        assert setting in str(told.value)


def test_a_recipe_starts_from_another_and_changes_it_setting_by_setting(recipe):
    recipe("a", '[x]\none = 1\ntwo = 2\n[x.y]\nz = [1, 2]\n[other]\nkept = "yes"')
    child = recipe("b", f'extends = "{Path(recipe("a2", "")).with_name("a.toml")}"\n[x]\ntwo = 3\n[x.y]\nz = [5]')
    assert load_recipe(child) == {"x": {"one": 1, "two": 3, "y": {"z": [5]}}, "other": {"kept": "yes"}}


def test_recipes_in_a_circle_are_refused_with_the_circle(recipe, tmp_path):
    names = [str(tmp_path / f"{name}.toml") for name in "abc"]
    for name, parent in zip("abc", [*names[1:], names[0]], strict=True):
        recipe(name, f'extends = "{parent}"')
    with pytest.raises(InputError, match="in a circle: " + " -> ".join([*names, names[0]])):
        load_recipe(names[0])


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("a.x=3", 3),
        ("a.x=0.3", 0.3),
        ("a.x=1e-3", 1e-3),
        ("a.x=true", True),
        ("a.x=[1, 2]", [1, 2]),
        ("a.x=whole_word", "whole_word"),
        ('a.x="3"', "3"),
        ("a.x=/a folder/x=y", "/a folder/x=y"),
        ("a.x=", ""),
        (" a.x = 3 ", 3),
    ],
)
def test_an_override_has_the_type_it_looks_like(recipe, override, value):
    assert load_recipe(recipe("r", "[a]\nx = 0\ny = 1"), [override]) == {"a": {"x": value, "y": 1}}


def test_an_override_reaches_a_table_that_is_not_there_yet(recipe):
    assert load_recipe(recipe("r", ""), ["dapt.trainer.steps=5"]) == {"dapt": {"trainer": {"steps": 5}}}


@pytest.mark.parametrize("override", ["steps=5", "dapt.steps", "=5", "dapt.=3"])
def test_an_override_that_cannot_be_read_says_how_to_write_one(recipe, override):
    with pytest.raises(InputError, match=r"write section\.key=value"):
        load_recipe(recipe("r", ""), [override])


def test_an_override_below_a_plain_setting_is_refused(recipe):
    with pytest.raises(InputError, match=r"dapt\.steps\.x"):
        load_recipe(recipe("r", "[dapt]\nsteps = 5"), ["dapt.steps.x=1"])


@pytest.mark.parametrize("name", ["demoo", "no/such.toml"])
def test_a_recipe_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(InputError, match=f"no recipe {name}: known are .*demo"):
        load_recipe(name)


def test_broken_toml_is_refused_with_its_place(recipe):
    with pytest.raises(InputError, match=r"r\.toml is not valid TOML: .*line 2"):
        load_recipe(recipe("r", "[a]\nx = ="))


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_of_ours_is_accepted(path, tmp_path):
    from stages.check import check

    check(path.stem, [], tmp_path)


def test_a_recipe_can_be_printed_as_it_will_be_used(recipe):
    command = [sys.executable, "-m", "pipeline.run.recipe", recipe("r", "[a]\nx = 1"), "--set", "a.y=2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["{", '"a":', "{", '"x":', "1,", '"y":', "2", "}", "}"]
