"""Put the results side by side: did it help?

    make report
    make compare RECIPES="demo demo-random"

reads   runs/<recipe>/   every finished finetuned-* with what it says of the test rows, the checkpoints they came from,
                         and what there is of the text: corpus/, scores/, tagger/, masked/, filled-*
writes  report/          report.html, one file that needs nothing beside it, in both languages; report.md and its
                         pictures, the same for terminals and code hosts; prints the table
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from corpora.parquet import read_rows
from pipeline.finetuning.by_row import TRUTH
from pipeline.pages.html import write_html
from pipeline.pages.markdown import write_markdown
from pipeline.pages.parts import Picture, Said, Section, Table, english
from pipeline.pages.tables import terminal_table
from pipeline.results import sections, text
from pipeline.results.arms import Arm, base_of, by_task, comparable, is_control
from pipeline.results.budget import by_steps
from pipeline.results.changes import changed, changes, judged
from pipeline.results.comparison import Compared
from pipeline.results.cost import cost, repeat
from pipeline.results.differences import differences, failed, verdicts
from pipeline.results.fills import fills
from pipeline.results.overview import overview
from pipeline.run.artifact import MANIFEST, Manifest, read_manifest
from pipeline.run.key import ADDED
from pipeline.run.stage import run

TITLE = Said("Did it help?", "有帮助吗？")
CHANGED = 5
"""Rows that are shown as fixed, and as broken."""
TEXT = ("corpus", "chosen", "scores", "tagger", "masked", "masked-control")
"""Artifacts of a run that are shown beside its arms."""


@dataclass(frozen=True)
class ReportConfig:
    """What is shown."""

    confidence: float = 0.95
    """Of the intervals, and of the verdicts over all comparisons together."""
    against: tuple[str, ...] = field(default=(), metadata=ADDED)
    """Variants that the others are compared with as well as with the recipe as it is: ["random"]."""


def report(config: ReportConfig, runs: list[Path], out: Path) -> dict[str, float]:
    """Write the report of one run, or of several side by side, task by task; metrics with each arm's accuracy."""
    tasks, left_out = zip(*map(comparable, by_task(runs)), strict=True)
    found = differences(tasks, read_rows, config.confidence, config.against)
    shown, printed = [], []
    for arms, one, left in zip(tasks, found, left_out, strict=True):
        lines = [*verdicts(one, arms), *failed(arms), *left]
        table = sections.results_table(arms, one)
        printed.append((table, lines))
        mine = [folder for folder in runs if any(arm.folder == folder for arm in arms)]
        first = Section(Said("Verdict", "结论"), [*lines, table], leads=True)
        shown += _of_task([first, *_sections(config, mine, arms, one)], mine[0], alone=len(tasks) == 1)
    shown.sort(key=lambda section: not section.leads)
    over = overview(tasks, found, config.confidence)
    shown[:0] = [over] if over.parts else []
    write_markdown(out / "report.md", TITLE, shown)
    write_html(out / "report.html", TITLE, shown, _language(runs[0]), [_about(runs, arms) for arms in tasks])
    for table, lines in [*printed, *((part, [over.title]) for part in over.parts if isinstance(part, Table))]:
        _print(table, lines)
    return {f"{arm.name}/{arm.metric}": arm.score for arms in tasks for arm in arms}


def _of_task(found: list[Section], folder: Path, alone: bool) -> list[Section]:
    """The sections that have something to show; of several tasks each with the name of its own."""
    there = [one for one in found if one.parts]
    if alone:
        return there
    task = _made(folder).get("corpus", {}).get("config", {}).get("task") or folder.name
    named = lambda title: Said(f"{title.en} · {task}", f"{title.zh} · {task}")
    of_run = lambda part: replace(part, name=f"{folder.name}-{part.name}") if isinstance(part, Picture) else part
    return [replace(one, title=named(one.title), parts=[*map(of_run, one.parts)]) for one in there]


def _sections(config: ReportConfig, runs: list[Path], arms: list[Arm], found: list[Compared]) -> list[Section]:
    """All there may be to show, in the order in which it is asked for."""
    made = {folder.name: _made(folder) for folder in runs}
    several = len(runs) > 1
    every = {f"{run}/{name}" if several else name: one for run, found in made.items() for name, one in found.items()}
    return [
        sections.every_seed(arms),
        sections.comparisons(found),
        by_steps(arms),
        sections.curves(arms),
        text.masks(runs, read_rows),
        text.speaking(runs, read_rows),
        sections.keywords(runs),
        sections.reliability(runs),
        text.cleaning(runs, read_rows),
        sections.vocabulary(runs),
        _fills(arms),
        sections.classes(arms),
        _changes(arms),
        sections.elsewhere(arms),
        sections.measures(arms),
        cost(every),
        sections.notes(arms, config.confidence),
        repeat(every, made),
    ]


# ---- what a run consists of ----------------------------------------------------------------------------------------


def _shown(folder: Path) -> list[Path]:
    """The manifests of a run that the report shows."""
    found = sorted(folder.glob(f"*/{MANIFEST}"))
    tuned = {path.parent.name for path in found if path.parent.name.startswith("finetuned-")}
    arms = {name.removeprefix("finetuned-") for name in tuned}
    names = {*tuned, *arms, *(f"filled-{name}" for name in arms), *TEXT}
    return [path for path in found if path.parent.name in names]


def sources(config: ReportConfig, runs: list[Path]) -> list[Path]:
    """The manifests of what is reported: the report is made again when one of them changes."""
    return [path for folder in runs for path in _shown(folder)]


def _made(folder: Path) -> dict[str, Manifest]:
    return {path.parent.name: read_manifest(path.parent) for path in _shown(folder)}


def _there(*folders: Path) -> bool:
    return all(folder.exists() for folder in folders)


def _language(folder: Path) -> str:
    made = _made(folder).get("corpus")
    return str(made["config"]["language"]) if made else "en"


def _about(runs: Sequence[Path], arms: Sequence[Arm]) -> Said:
    """What the page is of, for one task."""
    mine = [folder for folder in runs if any(arm.folder == folder for arm in arms)]
    names, task = ", ".join(folder.name for folder in mine), _made(mine[0]).get("corpus", {}).get("config", {})
    of = f" · {task['task']}" if task.get("task") else ""
    day = max(str(arm.result["provenance"]["finished"])[:10] for arm in arms)
    rows = int(arms[0].result["metrics"]["test_rows"])
    return Said(
        f"{names}{of} · {rows:,} test rows · {len(arms[0].seeds)} seeds · {day}",
        f"{names}{of} · {rows:,} 条测试数据 · {len(arms[0].seeds)} 个种子 · {day}",
    )


# ---- sections that need rows ---------------------------------------------------------------------------------------


def _fills(arms: Sequence[Arm]) -> Section:
    """What every adapted checkpoint fills in, where that was asked."""
    places = {arm.name: arm.folder / f"filled-{arm.last}" for arm in arms}
    found = {
        name: json.loads((place / "fills.json").read_text(encoding="utf-8"))
        for name, place in places.items()
        if _there(place / MANIFEST)
    }
    return fills({name: sentences for name, sentences in found.items() if sentences})


def _changes(arms: Sequence[Arm]) -> Section:
    """Test rows on which the best adapted arm and its base part."""
    adapted = [arm for arm in arms[1:] if arm.last != "base" and not is_control(arm)]
    best = max(adapted, key=lambda arm: arm.score, default=arms[0])
    base, kind = base_of(best, arms), str(best.evidence["kind"])
    before, after = (judged(kind, _predictions(arm, kind)) for arm in (base, best))
    rows = changed(before, after)
    wanted = {one.id for one in (*rows[:CHANGED], *rows[-CHANGED:])}
    texts = {row["id"]: _text(row) for row in _test(base.folder) if row["id"] in wanted} if wanted else {}
    return changes(base.name, best.name, rows, texts, len(before))


def _predictions(arm: Arm, kind: str) -> Iterator[Mapping[str, object]]:
    for one in arm.pretrainings:
        if kind in TRUTH and _there(one.predictions):
            yield from read_rows(one.predictions, ("id", TRUTH[kind], "predicted"))


def _test(folder: Path) -> Iterator[Mapping[str, object]]:
    task = folder / "corpus" / "task" / "test"
    if _there(task):
        yield from read_rows(task, ("id", "text", "text_pair"))


def _text(row: Mapping[str, object]) -> str:
    return " ‖ ".join(str(part) for part in (row["text"], row["text_pair"]) if part)


# ---- for whoever waits ---------------------------------------------------------------------------------------------


def _print(table: Table, lines: Sequence[Said]) -> None:
    """The table and the verdicts."""
    print("\n" + terminal_table([*map(english, table.head)], [[*map(english, row)] for row in table.rows]) + "\n")
    for line in lines:
        print(line.en.replace("**", ""))


if __name__ == "__main__":
    run(report, version=5, sources=sources)
