"""Put the results side by side: did it help?

    make report
    make compare RECIPES="demo demo-random"

reads   runs/<recipe>/   every finished finetuned-*, and the checkpoints they came from
writes  report/          report.md, scores.svg, losses.svg, confusion.svg (of classes), reliability.svg (of taggers);
                         prints the table
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pipeline.finetuning import evidence
from pipeline.finetuning.pages import class_table, confusions, elsewhere_table, measures_table, title_of
from pipeline.metrics import paired_difference
from pipeline.reports import (
    dots_svg,
    lines_svg,
    markdown_table,
    plus_minus,
    reliability_svg,
    terminal_table,
)
from pipeline.run.artifact import MANIFEST, Manifest, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.processes import clock
from pipeline.run.stage import run
from pipeline.vocabulary.pages import vocabulary_line

ORDER = ["base", "dapt", "tapt", "dapt-tapt", "multitask"]
RELIABILITY = "reliability.json"


@dataclass(frozen=True)
class ReportConfig:
    """What is shown."""

    confidence: float = 0.95
    """Of the interval of the difference to base, over fine-tuning seeds."""


@dataclass(frozen=True)
class Arm:
    """A fine-tuned checkpoint and how it was pretrained."""

    name: str
    folder: Path
    result: Manifest
    pretrained: Manifest

    @property
    def last(self) -> str:
        """`dapt` of `demo/dapt`."""
        return self.name.split("/")[-1]

    @cached_property
    def evidence(self) -> dict[str, object]:
        """What every seed found."""
        path = self.folder / f"finetuned-{self.last}" / evidence.FILE
        if not path.exists():
            raise InputError(f"{path.parent} is of an older version ({path.name} is missing): make it again")
        return json.loads(path.read_text(encoding="utf-8"))

    @property
    def metric(self) -> str:
        """What arms are compared by."""
        return str(self.evidence["metric"])

    @property
    def beside(self) -> str:
        """The measure shown beside it."""
        return next(name for name in self.evidence["metrics"] if name != self.metric)

    @property
    def seeds(self) -> dict[int, float]:
        """What every fine-tuning seed reached on the test rows."""
        start = f"{self.metric}_seed_"
        metrics = self.result["metrics"]
        return {int(name.removeprefix(start)): value for name, value in metrics.items() if name.startswith(start)}


def report(config: ReportConfig, runs: list[Path], out: Path) -> dict[str, float]:
    """Write the report of one run, or of several side by side; metrics with each arm's accuracy."""
    arms, left_out = _comparable([arm for folder in runs for arm in _arms(folder, prefix=len(runs) > 1)])
    rows, head = [_row(arm, arms[0], config.confidence) for arm in arms], _head(arms[0])
    verdicts = _verdicts(arms, config.confidence) + _failed(arms)
    curves = {arm.name: _curve(arm) for arm in arms}
    scores = {arm.name: list(arm.seeds.values()) for arm in arms}
    (out / "scores.svg").write_text(dots_svg(scores, f"test {title_of(arms[0].metric)}, %"), encoding="utf-8")
    (out / "losses.svg").write_text(lines_svg(curves, "dev loss on fixed masks, own corpus"), encoding="utf-8")
    parts = [
        "# Did it help?",
        *verdicts,
        *left_out,
        markdown_table(head, rows),
        "![scores](scores.svg)",
        "![losses](losses.svg)",
    ]
    parts += ["## All measures", _measures(arms), *_elsewhere(arms), *_classes(arms, out)]
    parts += _vocabulary(runs)
    keywords = _keywords(runs)
    if keywords:
        parts += ["## Keywords against planted truth", markdown_table(["", "precision", "recall", "F1"], keywords)]
    parts += _reliability(runs, out)
    parts += [
        "## How to read it",
        _notes(config, arms[0]),
        "## Repeat",
        "```\n" + "\n".join(_commands(arms)) + "\n```",
    ]
    (out / "report.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n" + terminal_table(head, rows) + "\n")
    for line in [*verdicts, *left_out]:
        print(line.replace("**", ""))
    return {f"{arm.name}/{arm.metric}": arm.result["metrics"][arm.metric] for arm in arms}


def _arms(folder: Path, prefix: bool) -> list[Arm]:
    """The finished arms of a run, base first."""
    found = [path.parent for path in folder.glob(f"finetuned-*/{MANIFEST}") if "." not in path.parent.name]
    names = {path.name.removeprefix("finetuned-"): path for path in found}
    ordered = sorted(names, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    title = f"{folder.name}/" if prefix else ""
    return [Arm(title + name, folder, read_manifest(names[name]), read_manifest(folder / name)) for name in ordered]


def _comparable(arms: list[Arm]) -> tuple[list[Arm], list[str]]:
    """Arms fine-tuned the same way on the same task, each once, and a line for each that was not."""
    if not arms:
        raise InputError("no fine-tuned model in this run: run make dapt or make tapt")
    kept, lines, seen = [], [], set()
    for arm in arms:
        same = all(arm.result[part] == arms[0].result[part] for part in ("config", "version"))
        same = same and all(
            arm.result["inputs"].get(name) == arms[0].result["inputs"].get(name) for name in ("task", "elsewhere")
        )
        current = arm.result["inputs"]["init"] == arm.pretrained["digest"]
        if not (same and current):
            lines.append(f"{arm.name} is left out: it is not up to date with this task and recipe; make it again.")
        elif arm.result["key"] not in seen:
            kept.append(arm)
        seen.add(arm.result["key"])
    return kept, lines


def _head(arm: Arm) -> list[str]:
    shown = [title_of(arm.metric), title_of(arm.beside)]
    return ["arm", *shown, "against base", "steps", "tokens", "time", "dev loss"]


def _row(arm: Arm, base: Arm, confidence: float) -> list[str]:
    result, made = arm.result["metrics"], arm.pretrained["metrics"]
    difference = (
        ""
        if arm is base
        else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*paired_difference(arm.seeds, base.seeds, confidence))
    )
    losses = f"{made['dev_loss_before']:.2f} → {made['dev_loss']:.2f}" if "dev_loss" in made else ""
    return [
        arm.name,
        *(plus_minus(result[name], result[f"{name}_sd"]) for name in (arm.metric, arm.beside)),
        difference,
        f"{made.get('steps', 0):,}",
        f"{made.get('tokens', 0) / 1e6:.1f} M",
        clock(arm.pretrained["provenance"]["seconds"]),
        losses,
    ]


def _verdicts(arms: list[Arm], confidence: float) -> list[str]:
    """Every arm against base; of several recipes, the arms of the first also against their like in the others."""
    lines = [_verdict(arm, arms[0], confidence) for arm in arms[1:]]
    for arm in arms:
        if arm.folder == arms[0].folder:
            twins = [other for other in arms if other.folder != arm.folder and other.last == arm.last]
            lines += [_verdict(arm, twin, confidence) for twin in twins]
    return lines


def _verdict(arm: Arm, base: Arm, confidence: float) -> str:
    """A sentence whose wording is bound to the interval."""
    mean, low, high = paired_difference(arm.seeds, base.seeds, confidence)
    found = "better than" if low > 0 else "worse than" if high < 0 else "no different beyond noise from"
    interval = f"{confidence:.0%} interval [{low:+.1f}, {high:+.1f}] over {len(arm.seeds)} seeds"
    return f"**{arm.name} is {found} {base.name}**: {mean:+.1f} {title_of(arm.metric)}, {interval}."


def _failed(arms: list[Arm]) -> list[str]:
    """A line for each arm of which seeds gave every row one answer."""
    failed = lambda arm: int(arm.result["metrics"]["degenerate"])
    return [
        f"{failed(arm)} of {len(arm.seeds)} seeds of {arm.name} gave every row the same answer; they are in the mean."
        for arm in arms
        if failed(arm)
    ]


def _measures(arms: list[Arm]) -> str:
    """Everything that was measured on the test rows."""
    names = list(arms[0].evidence["seeds"][0]["measured"])
    return measures_table({arm.name: arm.result["metrics"] for arm in arms}, names, arms[0].metric)


def _elsewhere(arms: list[Arm]) -> list[str]:
    """How every arm does on rows of another source, where there are any."""
    table = elsewhere_table({arm.name: arm.evidence["seeds"] for arm in arms}, arms[0].metric)
    said = f"{title_of(arms[0].metric)}; *lost*: from the task's own test rows to the others, seed by seed."
    return ["## On rows of another source", table, said] if table else []


def _classes(arms: list[Arm], out: Path) -> list[str]:
    """Every class of every arm, and what the best arm confuses; nothing where there are no classes."""
    found = {arm.name: arm.evidence["seeds"] for arm in arms}
    best = max(arms, key=lambda arm: arm.result["metrics"][arm.metric])
    words, picture = confusions(best.name, found[best.name], list(best.evidence["names"]))
    if picture:
        (out / "confusion.svg").write_text(picture, encoding="utf-8")
        words = [*words, "![confusion](confusion.svg)"]
    table = class_table(found, best.name)
    return ["## Classes", table, *words] if table else []


def _curve(arm: Arm) -> list[tuple[float, float]]:
    """(step, dev loss) of a continued pretraining, from before the first step."""
    path = arm.folder / arm.last / "logs" / "metrics.jsonl"
    if not path.exists() or arm.pretrained["stage"] != "pretrain":
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    points = [(line["step"] + 1, line["dev/loss"]) for line in lines if "dev/loss" in line]
    return [(0, arm.pretrained["metrics"]["dev_loss_before"]), *points]


def _vocabulary(runs: list[Path]) -> list[str]:
    """What was added to the vocabulary of the bases; nothing where nothing was."""
    bases = {folder.name: folder / "base" for folder in runs if (folder / "base" / MANIFEST).exists()}
    said = {name: vocabulary_line(read_manifest(base)["metrics"]) for name, base in bases.items()}
    lines = [f"- {name}: {line}" for name, line in said.items() if line]
    return ["## Vocabulary", "\n".join(lines)] if lines else []


def _keywords(runs: list[Path]) -> list[list[str]]:
    """How well scorer and tagger found planted keywords, where the corpus says which they are."""
    rows = []
    for folder in runs:
        for name, what in (("scores", "scorer, task text"), ("masked", "tagger, domain and task text")):
            path = folder / name
            metrics = read_manifest(path)["metrics"] if (path / MANIFEST).exists() else {}
            if "truth_f1" in metrics:
                numbers = [f"{metrics[f'truth_{m}']:.1f}" for m in ("precision", "recall", "f1")]
                rows.append([f"{folder.name}: {what}", *numbers])
    return rows


def _reliability(runs: list[Path], out: Path) -> list[str]:
    """What is said of the taggers of the runs, with their picture; nothing where there is none."""
    taggers = {folder.name: folder / "tagger" for folder in runs if (folder / "tagger" / RELIABILITY).exists()}
    if not taggers:
        return []
    series, rows, measures = {}, [], ("precision", "recall", "f1", "average_precision", "calibration_error")
    for name, folder in taggers.items():
        bins = json.loads((folder / RELIABILITY).read_text(encoding="utf-8"))
        series[name] = [(one["predicted"], one["true"], one["count"]) for one in bins]
        metrics = read_manifest(folder)["metrics"]
        rows.append([name, *(plus_minus(metrics[m], metrics.get(f"{m}_sd")) for m in measures)])
    title = "tagger on dev documents: share of keywords by predicted probability"
    (out / "reliability.svg").write_text(reliability_svg(series, title), encoding="utf-8")
    head = ["tagger", "precision", "recall", "F1", "average precision", "calibration error"]
    said = (
        "Against the scorer's keywords, on task documents the tagger did not learn from, in percent of tokens. "
        "*Calibration error*: how far its probabilities are from the share of keywords among tokens of like "
        "probability, on average; below the diagonal it calls more words important than are. *±*: standard deviation "
        "over taggers of other seeds, where `[tagger] seeds` asks for several; the picture is of the first."
    )
    return ["## Can the tagger be believed?", markdown_table(head, rows), said, "![reliability](reliability.svg)"]


def _notes(config: ReportConfig, arm: Arm) -> str:
    return (
        f"{title_of(arm.metric)} and {title_of(arm.beside)} on the test rows, mean ± standard deviation over "
        "fine-tuning seeds, in percent where there is a scale; the best epoch was chosen on dev, test was looked at "
        "once. *Against base*: mean of the paired differences, seed by seed, with its "
        f"{config.confidence:.0%} t-interval. Each checkpoint was pretrained once: what another pretraining seed "
        "would change is not in the interval. *Dev loss*: held-out text of the arm's own corpus with fixed whole-word "
        "masks, the same for every policy, before → after. Time is wall clock of pretraining. *Calibration error*: "
        "how far probabilities are from the share that comes true, on average."
    )


def _commands(arms: list[Arm]) -> list[str]:
    return sorted({str(arm.result["provenance"]["command"]).strip() for arm in arms})


def sources(config: ReportConfig, runs: list[Path]) -> list[Path]:
    """The manifests of what is reported: the report is made again when one of them changes."""
    found = [path for folder in runs for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    tuned = {path.parent for path in found if path.parent.name.startswith("finetuned-")}
    shown = tuned | {path.with_name(path.name.removeprefix("finetuned-")) for path in tuned}
    return [path for path in found if path.parent in shown or path.parent.name in ("scores", "tagger", "masked")]


if __name__ == "__main__":
    run(report, sources=sources)
