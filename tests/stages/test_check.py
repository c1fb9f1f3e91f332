"""A recipe is checked whole before anything long starts, and make is told what changed."""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.run.errors import InputError
from stages.check import SECTIONS, check

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text("[dapt.trainer]\nsteps = 5\n")
    return str(path)


def sections(folder) -> dict[str, int]:
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def test_every_section_is_written_with_its_defaults(recipe, tmp_path):
    check(recipe, [], tmp_path / "out")
    assert sections(tmp_path / "out").keys() == {*SECTIONS, "defaults", "keys"}
    read = lambda name: json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert (read("dapt")["trainer"]["steps"], read("tapt")["trainer"]["steps"]) == (5, 0)
    assert read("defaults")["dapt"] == read("tapt")


def test_only_what_changed_is_written_again(recipe, tmp_path):
    check(recipe, [], tmp_path)
    before = sections(tmp_path)
    check(recipe, ["masked.mask_rate=0.3"], tmp_path)
    after = sections(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"masked", "keys"}


def test_the_version_of_a_stage_is_one_that_check_can_read():
    """A number in the call of run() would be missing from the keys that are told beforehand."""
    stages = [path.read_text() for path in (ROOT / "stages").glob("*.py")]
    assert not [text for text in stages if re.search(r"\brun\(\w+, version=(?!VERSION)", text)]


@dataclass(frozen=True)
class ReadingConfig:
    words: str = field(default="", metadata={"file": True})


def reading(config: ReadingConfig, out: Path) -> dict[str, float]:
    return {}


def test_a_section_is_written_again_when_a_file_it_names_has_other_content(recipe, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "stages.reading", SimpleNamespace(reading=reading))
    monkeypatch.setattr("stages.check.SECTIONS", {"words": "reading", "dapt": "pretrain"})
    before = {}
    for content in ("1", "1", "2"):
        (tmp_path / "words.txt").write_text(content)
        check(recipe, ["words.words=words.txt"], tmp_path / "out")
        before[content], last = sections(tmp_path / "out"), before.get(content)
        assert last is None or last == before[content]
    assert {name for name in before["1"] if before["1"][name] != before["2"][name]} == {"words", "keys"}


def test_all_that_is_wrong_in_all_sections_is_said_at_once_and_nothing_is_written(recipe, tmp_path):
    wrong = ["mask.mask_rate=0.3", "dapt.trainer.step=1", "tapt.trainer.learning_rate=fast", "corpus.dev_share=2"]
    with pytest.raises(InputError) as told:
        check(recipe, wrong, tmp_path / "out")
    for part in (
        "unknown section [mask] (did you mean masked?)",
        "unknown setting dapt.trainer.step (did you mean steps?)",
        'tapt.trainer.learning_rate = "fast" must be a number',
        "corpus: dev_share = 2.0",
    ):
        assert part in str(told.value)
    assert not (tmp_path / "out").exists()


def test_replay_of_text_that_will_not_be_there_is_told_before_anything_starts(recipe, tmp_path):
    with pytest.raises(InputError, match=r"dapt.replay = 0.25 .* none is masked: set masked.general_documents"):
        check(recipe, ["dapt.replay=0.25"], tmp_path)
    check(recipe, ["dapt.replay=0.25", "masked.general_documents=100"], tmp_path)


def test_weights_chosen_by_what_is_not_measured_are_told_before_anything_starts(recipe, tmp_path):
    with pytest.raises(
        InputError, match=r"tapt.probe.choose = general_loss .* none is masked: set masked.general_doc"
    ):
        check(recipe, ["tapt.probe.choose=general_loss"], tmp_path)
    with pytest.raises(InputError, match=r"dapt: probe.choose = loss is never measured: set trainer.evaluations"):
        check(recipe, ["dapt.probe.choose=loss", "dapt.trainer.evaluations=0"], tmp_path)
    check(recipe, ["tapt.probe.choose=general_loss", "masked.general_documents=100"], tmp_path)


ROOT = Path(__file__).parents[2]
TYPED = re.compile(r"""^(.*)\b(SET|VARIANTS|FACTORS)=("[^"]*"|'[^']*')""", re.MULTILINE)
MEANT = ("…", "$", "dapt.trainer.step=200", "RECIPE=clm.toml")
"""Left out: places to fill in, a mistake that is shown, a recipe of the reader's own."""


def settings(variable: str, value: str) -> list[str]:
    """What stages are told, a string for each run."""
    if variable == "SET":
        return [value]
    if variable == "FACTORS":
        return [" ".join(f"finetuned.{one}" for one in factor.split("+")) for factor in value.split()]
    return [re.sub(r",([a-z_.]+=)", r" \1", variant.partition(":")[2]) for variant in value.split()]


DOCUMENTED = sorted({
    one
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
    for before, variable, typed in TYPED.findall(path.read_text(encoding="utf-8"))
    if not any(left_out in before + typed for left_out in MEANT)
    for one in settings(variable, typed[1:-1])
})  # fmt: skip


@pytest.mark.parametrize("typed", DOCUMENTED)
def test_what_readme_and_docs_tell_to_type_is_understood(typed, tmp_path):
    base = ["base.model=some/base"] if "base.vocabulary" in typed else []
    check("demo", typed.split() + base, tmp_path)
