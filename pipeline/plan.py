"""What a run will be made of, before it is: the key that each of its artifacts will have.

    plan = Plan(Path("runs/demo"), finished(Path("runs")))
    plan.key("dapt") in plan.made                 # is there, or to be had from another run

It is the key that the stage itself will ask for (pipeline/run/stage.py) where all that goes in is there. Where it is
not, the keys of what goes in stand for its digests: no artifact has such a key, and equal plans of two runs have equal
ones. What goes into what is said by the Makefile, and here once more (tests/test_make.py compares the two).
"""

import json
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from pipeline.run.artifact import MANIFEST, input_digest, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import file_digest, make_key
from pipeline.run.stage import section_of
from pipeline.scoring.deciding import NEEDS

KEYS = "keys"
"""The file among a run's settings that says of every section what of it goes into a key (stages/check.py)."""
AGAIN = re.compile(r"-(\d+)$")

Settings = dict[str, object]


def finished(runs: Path) -> dict[str, Path]:
    """Key -> the artifact that has it, of all runs in a folder."""
    made = {}
    for path in sorted(runs.glob(f"*/*/{MANIFEST}")):
        if not path.parent.name.endswith((".partial", ".old")):
            with suppress(InputError):
                made[str(read_manifest(path.parent).get("key"))] = path.parent
    return made


class Plan:
    """A run as its settings plan it; its corpus is there, and of the rest what is among `made`."""

    def __init__(self, run: Path, made: dict[str, Path], reference: Path | None = None) -> None:
        self.run, self.made, self.reference = run, made, reference
        self._read: dict[str, Settings] = {}
        self._keys: dict[str, str] = {}

    def settings(self, section: str) -> Settings:
        """A section of the recipe, defaults and all."""
        if section not in self._read:
            path = self.run / ".settings" / f"{section}.json"
            self._read[section] = json.loads(path.read_text(encoding="utf-8"))
        return self._read[section]

    def key(self, name: str) -> str:
        """The key of an artifact of this run."""
        if name not in self._keys:
            of = self.settings(KEYS)[section_of(name)]
            inputs = {argument: self._identity(path) for argument, path in self.inputs(name).items()}
            inputs |= of["files"] | (_base_files(self.settings("base")["model"]) if name == "base" else {})
            self._keys[name] = make_key(of["stage"], of["version"], of["settings"] | _own(name), inputs)
        return self._keys[name]

    def _identity(self, path: Path) -> str:
        """The digest of an artifact or a folder of one; before it is there, its key in place of that."""
        own = path.is_relative_to(self.run)
        name, *part = path.relative_to(self.run).parts if own else ("",)
        if not own or name == "corpus":
            return input_digest(path)
        there = self.made.get(self.key(name))
        return input_digest(there.joinpath(*part)) if there else "/".join((self.key(name), *part))

    def inputs(self, name: str) -> dict[str, Path]:
        """Argument of its stage -> the artifact, or folder of one, that the Makefile gives it."""
        section = section_of(name)
        find = {
            "base": self._into_base,
            "finetuned": lambda: self._into_finetuned(name.removeprefix("finetuned-")),
            "scores": self._into_scores,
            "tagger": lambda: self._of_run(init="base", scores="scores"),
            "chosen": self._into_chosen,
            "masked": self._into_masked,
            "referred": lambda: self._of_run(masked="masked") | self._referring("excess_loss"),
        }
        return find[section]() if section in find else self._into_pretrained(name, section)

    def _of_run(self, **named: str) -> dict[str, Path]:
        return {argument: self.run / place for argument, place in named.items()}

    def _of_corpus(self, *parts: str) -> dict[str, Path]:
        """Those that there are."""
        return {part: path for part in parts if (path := self.run / "corpus" / part).is_dir()}

    def _referring(self, scorer: str) -> dict[str, Path]:
        asked = self.reference and "reference" in NEEDS.get(scorer, ())
        return {"reference": self.reference} if asked else {}

    def _into_base(self) -> dict[str, Path]:
        words = self.settings("base")["vocabulary"]["words"]
        return self._of_corpus("general", *(("domain", "task") if words else ()))

    def _into_finetuned(self, init: str) -> dict[str, Path]:
        return self._of_run(init=init, task="corpus/task") | self._of_corpus("elsewhere")

    def _into_scores(self) -> dict[str, Path]:
        scorer = self.settings("scores")["scorer"]
        asked = (
            {"classifier": "finetuned-base"} if "classifier" in NEEDS[scorer] else {"init": "base", "corpus": "corpus"}
        )
        return self._of_run(task="corpus/task", **asked) | self._referring(scorer)

    def _into_chosen(self) -> dict[str, Path]:
        asked = {"init": "base"} if self.settings("chosen")["vectors"] == "encoder" else {}
        return self._of_run(corpus="corpus", **asked)

    def _into_masked(self) -> dict[str, Path]:
        masked = self.settings("masked")
        scorer = masked["scorer"] if masked["policy"] == "selective" else ""
        asked = {"chosen": "chosen"} if self.settings("chosen")["method"] != "none" else {}
        asked |= {"tagger": "tagger"} if scorer == "tagger" else {}
        asked |= {"classifier": "finetuned-base"} if "classifier" in NEEDS.get(scorer, ()) else {}
        return self._of_run(init="base", corpus="corpus", **asked) | self._referring(scorer)

    def _into_pretrained(self, name: str, section: str) -> dict[str, Path]:
        settings = self.settings(section)
        text = "general" if name.startswith("general") else {"dapt": "domain", "tapt": "task"}[section]
        control = "-control" if "-control" in name else ""
        asked = {"init": name.replace("dapt-tapt", "dapt") if name.startswith("dapt-tapt") else "base"}
        if settings["clm"]["select"] == "excess_loss" and not control and text != "general":
            asked["referred"] = f"referred/{text}"
        if self.settings("masked")["general_documents"]:
            asked["general"] = "masked/general"
        if settings["probe"]["rows"]:
            asked["task"] = "corpus/task"
        return self._of_run(masked=f"masked{control}/{text}", **asked)


def _own(name: str) -> Settings:
    """Settings that the Makefile adds for one artifact."""
    if name == "masked-control":
        return {"control": True}
    again = AGAIN.search(name) if section_of(name) in ("dapt", "tapt") else None
    return {"repeat": int(again[1])} if again else {}


@lru_cache
def _base_files(model: str) -> dict[str, str]:
    """Of a base that is a local folder, as its stage names them."""
    files = sorted(path for path in Path(model).iterdir() if path.is_file()) if model and Path(model).is_dir() else []
    return {f"file {i}: {path.name}": file_digest(path) for i, path in enumerate(files)}
