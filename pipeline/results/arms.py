"""Arms: fine-tuned checkpoints side by side, each with the pretraining it came from, and the repeats of it."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

from pipeline.finetuning import evidence
from pipeline.finetuning.by_row import by_row
from pipeline.metrics import mean_sd
from pipeline.pages.parts import Said
from pipeline.results.significance import EVERY, ByRow, Run, Sample
from pipeline.run.artifact import MANIFEST, Manifest, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import changes, flat
from pipeline.training.config import HARDWARE, TrainerConfig

ORDER = ["base", "dapt", "dapt-control", "general", "tapt", "tapt-control", "dapt-tapt", "dapt-tapt-control"]
ORDER += ["interpolated", "multitask"]
GENERAL = "dev_general_loss"
WORDS_CONTROL, TEXT_CONTROL = "-control", "general"
"""`dapt-control` learned as many words as `dapt`, at random; `general` as long, from general text."""

OF_THE_MACHINE = {f"trainer.{one.name}" for one in fields(TrainerConfig) if one.metadata == HARDWARE}
"""Settings of a pretraining that alter no result."""
AGAIN = re.compile(r"(.+)-(\d+)")
"""`dapt-2` is `dapt` pretrained once more."""

Predictions = Callable[[Path], Iterable[Mapping[str, object]]]
"""Reads the rows of a folder of shards."""


@dataclass(frozen=True)
class Arm:
    """A fine-tuned checkpoint and how it was pretrained; and the same from other draws of the pretraining."""

    name: str
    folder: Path
    """Of the run: runs/demo."""
    result: Manifest
    pretrained: Manifest
    repeats: tuple["Arm", ...] = ()
    """`dapt-2`, `dapt-3`: the same arm, pretrained again."""

    @cached_property
    def pretrainings(self) -> tuple["Arm", ...]:
        """This one and its repeats."""
        return (replace(self, repeats=()) if self.repeats else self, *self.repeats)

    @property
    def shown(self) -> str:
        """`dapt × 3` where it was pretrained three times."""
        return f"{self.name} × {len(self.pretrainings)}" if self.repeats else self.name

    @property
    def last(self) -> str:
        """`dapt` of `demo/dapt`."""
        return self.name.split("/")[-1]

    @property
    def variant(self) -> str:
        """`tfidf` of the run `reviews@tfidf`: what of the recipe is otherwise; empty for the recipe as it is."""
        return self.folder.name.partition("@")[2]

    @property
    def role(self) -> str:
        """What it is on whatever task: `dapt`, or `tfidf/dapt` of a variant."""
        return f"{self.variant}/{self.last}" if self.variant else self.last

    @property
    def tuned(self) -> Path:
        """runs/demo/finetuned-dapt."""
        return self.folder / f"finetuned-{self.last}"

    @cached_property
    def evidence(self) -> dict[str, object]:
        """What every seed found, of all pretrainings."""
        path = self.tuned / evidence.FILE
        if not path.exists():
            raise InputError(f"{path.parent} is of an older version ({path.name} is missing): make it again")
        found = json.loads(path.read_text(encoding="utf-8"))
        return found | {"seeds": found["seeds"] + [one for arm in self.repeats for one in arm.evidence["seeds"]]}

    @property
    def metric(self) -> str:
        """What arms are compared by."""
        return str(self.evidence["metric"])

    @property
    def beside(self) -> str:
        """The measure shown beside it."""
        return next(name for name in self.evidence["metrics"] if name != self.metric)

    @property
    def repeat(self) -> int:
        """Which repeat of its pretraining it is; a base is not pretrained again."""
        return int(self.pretrained["config"].get("repeat", 1)) if self.pretrained["stage"] == "pretrain" else EVERY

    @cached_property
    def scores(self) -> dict[Run, float]:
        """What every run reached on the test rows, of what counts."""
        return {(arm.repeat, seed): score for arm in self.pretrainings for seed, score in arm.seeds.items()}

    @property
    def seeds(self) -> dict[int, float]:
        """The same of the fine-tuning seeds of its first pretraining."""
        start = f"{self.metric}_seed_"
        metrics = self.result["metrics"]
        return {int(name.removeprefix(start)): value for name, value in metrics.items() if name.startswith(start)}

    @property
    def score(self) -> float:
        """The mean over runs of what counts."""
        return mean_sd(list(self.scores.values()))[0]

    def measured(self, name: str) -> tuple[float, float | None]:
        """Mean and deviation over runs, of several, of anything that was measured on the test rows."""
        return mean_sd([one["measured"][name] for one in self.evidence["seeds"]])

    def sample(self, rows: Predictions) -> Sample:
        """Its runs, for statistics."""
        return Sample(self.scores, self._by_row(rows))

    def _by_row(self, rows: Predictions) -> ByRow | None:
        """What every run said of every test row; none where its measure is not one of counts."""
        said = ({**row, "repeat": arm.repeat} for arm in self.pretrainings for row in rows(arm.predictions))
        return by_row(str(self.evidence["kind"]), self.metric, said, self.evidence["names"])

    @property
    def predictions(self) -> Path:
        """Of every seed on every test row."""
        return self.tuned / "predictions"

    @cached_property
    def journal(self) -> list[dict[str, float]]:
        """The lines of a continued pretraining's log; none where nothing was pretrained."""
        path = self.folder / self.last / "logs" / "metrics.jsonl"
        if not path.exists() or self.pretrained["stage"] != "pretrain":
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def arms_of(folder: Path, prefix: bool) -> list[Arm]:
    """The finished arms of a run, base first; named `demo/dapt` where there is a prefix."""
    found = [path.parent for path in folder.glob(f"finetuned-*/{MANIFEST}") if "." not in path.parent.name]
    names = {path.name.removeprefix("finetuned-"): path for path in found}
    ordered = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    title = f"{folder.name}/" if prefix else ""
    return [Arm(title + name, folder, read_manifest(names[name]), read_manifest(folder / name)) for name in ordered]


def by_task(runs: Sequence[Path]) -> list[list[Arm]]:
    """The arms of all runs, those whose bases were fine-tuned on the same task together, in the order of the runs."""
    found: dict[object, list[Arm]] = {}
    for folder in runs:
        arms = arms_of(folder, prefix=len(runs) > 1)
        found.setdefault(arms[0].result["inputs"].get("task") if arms else None, []).extend(arms)
    return list(found.values())


def comparable(arms: Sequence[Arm]) -> tuple[list[Arm], list[Said]]:
    """Arms fine-tuned the same way on the same task, each once and with its repeats; a line for each that was not."""
    if not arms:
        raise InputError("no fine-tuned model in this run: run make dapt or make tapt")
    kept, lines, seen = [], [], set()
    for arm in arms:
        if (of := _controlled(arm, arms)) and not _as_long(arm, of):
            lines.append(
                Said(
                    f"{arm.name} is left out: it was trained otherwise than {of.name}; run make controls.",
                    f"{arm.name} 未列入：它的训练方式与 {of.name} 不同，请运行 make controls。",
                )
            )
        elif otherwise := _tuned_otherwise(arm, arms[0]):
            lines.append(
                Said(
                    f"{arm.name} is left out: it was fine-tuned otherwise than {arms[0].name} ({otherwise}); arms are "
                    "compared where that is alike, make ablate compares ways of fine-tuning.",
                    f"{arm.name} 未列入：它的微调方式与 {arms[0].name} 不同（{otherwise}）；只比较微调方式相同的模型，"
                    "make ablate 用于比较微调方式。",
                )
            )
        elif not _like(arm, arms[0]):
            lines.append(
                Said(
                    f"{arm.name} is left out: it is not up to date with this task and recipe; make it again.",
                    f"{arm.name} 未列入：它与当前任务和配方不一致，请重新生成。",
                )
            )
        elif arm.result["key"] not in seen:
            kept.append(arm)
        seen.add(arm.result["key"])
    gathered, more = _gathered(kept)
    return gathered, lines + more


def _gathered(arms: Sequence[Arm]) -> tuple[list[Arm], list[Said]]:
    """Every arm with its repeats, and a line for each that repeats another training."""
    first = {arm.name: arm for arm in arms if not AGAIN.fullmatch(arm.name)}
    again: dict[str, list[Arm]] = {name: [] for name in first}
    lines = []
    for arm in (one for one in arms if one.name not in first):
        name = AGAIN.fullmatch(arm.name)[1]
        if name in first and _repeats(arm, first[name]):
            again[name].append(arm)
        else:
            lines.append(
                Said(
                    f"{arm.name} is left out: it repeats another training than {name}; make it again (REPEATS).",
                    f"{arm.name} 未列入：它重复的不是当前 {name} 的训练，请重新生成（REPEATS）。",
                )
            )
    ordered = {name: tuple(sorted(some, key=lambda arm: arm.repeat)) for name, some in again.items()}
    return [replace(arm, repeats=ordered[name]) for name, arm in first.items()], lines


def base_of(arm: Arm, arms: Sequence[Arm]) -> Arm:
    """What an arm is held against first: the base of its run, as it stands among the arms, where equal ones stand
    once; of a base the first one, as of an arm of a run that has none."""
    tuned = arm.folder / "finetuned-base"
    key = read_manifest(tuned)["key"] if arm.last != "base" and (tuned / MANIFEST).exists() else None
    return next((one for one in arms if one.last == "base" and one.result["key"] == key), arms[0])


def is_control(arm: Arm) -> bool:
    """Whether an arm is there to be compared with."""
    return arm.last == TEXT_CONTROL or arm.last.endswith(WORDS_CONTROL)


def _controlled(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """What an arm is the control of, where that is there."""
    name = "dapt" if arm.last == TEXT_CONTROL else arm.last.removesuffix(WORDS_CONTROL)
    return next((one for one in arms if is_control(arm) and one.folder == arm.folder and one.last == name), None)


def _as_long(control: Arm, arm: Arm) -> bool:
    """Whether both were trained alike, from one checkpoint, on text masked alike but for the choice of words."""
    masked = [arm.folder / f"masked{which}" for which in ("", WORDS_CONTROL)]
    made = [read_manifest(path)["config"] | {"control": False} for path in masked if (path / MANIFEST).exists()]
    same = control.last == TEXT_CONTROL or all(config == made[0] for config in made)
    return same and _alike(control, arm) and _begun_alike(control, arm)


def _begun_alike(control: Arm, arm: Arm) -> bool:
    """At one checkpoint; task text after domain text at the domain's, of which the control's has a control as well."""
    begun = [one.pretrained["inputs"].get("init") for one in (control, arm)]
    first = [arm.folder / name for name in (f"dapt{WORDS_CONTROL}", "dapt")]
    if arm.last != "dapt-tapt" or not all((path / MANIFEST).exists() for path in first):
        return begun[0] == begun[1]
    return begun == [read_manifest(path)["digest"] for path in first]


def _repeats(arm: Arm, first: Arm) -> bool:
    """Whether it is the same training on the same text, but for its draws; `dapt-tapt-2` begins at another dapt."""
    text = lambda one: {name: digest for name, digest in one.pretrained["inputs"].items() if name != "init"}
    return _alike(arm, first) and text(arm) == text(first) and arm.repeat != first.repeat


def _alike(arm: Arm, other: Arm) -> bool:
    """Whether they were pretrained with the same settings, whichever repeats they are and on whatever machine.

    What only one of them names is newer than the other, which was made by its default.
    """
    one, two = (flat(each.pretrained["config"]) for each in (arm, other))
    return all(one[name] == two[name] for name in one.keys() & two.keys() - {"repeat"} - OF_THE_MACHINE)


def _tuned_otherwise(arm: Arm, first: Arm) -> str:
    """The settings that its fine-tuning has and the first has otherwise; one that is newer than either is at its
    default."""
    pairs = changes(first.result["config"], arm.result["config"]).items()
    return ", ".join(f"{name} = {now}" for name, (before, now) in pairs if before is not None and now is not None)


def _like(arm: Arm, first: Arm) -> bool:
    """Fine-tuned with the same settings on the same rows, and from the checkpoint that is there."""
    same = all(arm.result[part] == first.result[part] for part in ("config", "version"))
    rows = all(arm.result["inputs"].get(name) == first.result["inputs"].get(name) for name in ("task", "elsewhere"))
    return same and rows and arm.result["inputs"]["init"] == arm.pretrained["digest"]
