"""The key is the same exactly when what goes in is."""

import json
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from pipeline.run.key import ADDED, file_digest, keyed, make_key, named_files

CONFIGS = st.dictionaries(
    st.text("ab", min_size=1), st.one_of(st.integers(), st.floats(allow_nan=False), st.booleans())
)


@given(CONFIGS, CONFIGS, st.integers(1, 3), st.integers(1, 3))
def test_the_key_is_the_same_exactly_when_what_goes_in_is(one, other, version, second):
    keys = [make_key("mask", v, c, {"corpus": "x"}) for v, c in ((version, one), (second, other))]
    same = version == second and json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (keys[0] == keys[1]) == same


def test_the_key_depends_on_stage_inputs_and_their_names():
    keys = {make_key(s, 1, {}, i) for s in ("mask", "score") for i in ({"a": "x"}, {"a": "y"}, {"b": "x"}, {})}
    assert len(keys) == 8
    assert make_key("s", 1, {"a": 1, "b": 2}, {"x": "1", "y": "2"}) == make_key(
        "s", 1, {"b": 2, "a": 1}, {"y": "2", "x": "1"}
    )


@dataclass(frozen=True)
class Pace:
    rate: float = 0.1
    held: int = field(default=8, metadata={"key": False})


@dataclass(frozen=True)
class Settings:
    pace: Pace = Pace()
    fast: bool = field(default=False, metadata={"key": False})


def test_what_the_hardware_can_hold_is_left_out_of_the_key():
    assert keyed(Settings()) == keyed(Settings(Pace(held=64), fast=True)) == {"pace": {"rate": 0.1}}
    assert keyed(Settings(Pace(rate=0.2))) == {"pace": {"rate": 0.2}}


@dataclass(frozen=True)
class Grown:
    rate: float = 0.1
    way: str = field(default="old", metadata=ADDED)
    pace: Pace = field(default_factory=Pace, metadata=ADDED)


def test_a_setting_added_later_changes_no_key_until_it_is_used():
    assert keyed(Grown()) == {"rate": 0.1}
    assert keyed(Grown(way="new", pace=Pace(0.2))) == {"rate": 0.1, "way": "new", "pace": {"rate": 0.2}}


@dataclass(frozen=True)
class Words:
    dictionary: str = field(default="", metadata={"file": True})


@dataclass(frozen=True)
class Reading:
    words: Words = field(default_factory=Words)
    size: int = 1


def test_of_a_file_the_content_counts_and_not_its_place(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text("好\n", encoding="utf-8")
    one, other = (Reading(Words(str(tmp_path / name))) for name in ("a", "b"))
    assert keyed(one) == keyed(other) == {"words": {}, "size": 1}
    assert named_files(one) == named_files(other) == {"words.dictionary": file_digest(tmp_path / "a")}
    assert named_files(Reading()) == {}
