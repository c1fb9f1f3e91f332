"""Put the results side by side: did it help?

    make report
    make compare RECIPES="demo demo-random"

reads   runs/<recipe>/   every finished finetuned-*, and the checkpoints they came from
writes  report/          report.md, scores.svg, losses.svg, confusion.svg (of classes), reliability.svg (of taggers);
                         prints the table
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from corpora.parquet import read_rows
from pipeline.comparison import Compared
from pipeline.finetuning.by_row import by_row
from pipeline.pages.markdown import write_markdown
from pipeline.pages.parts import Said, Section, Table, english
from pipeline.reports import terminal_table
from pipeline.results import sections
from pipeline.results.arms import Arm, arms_of, comparable
from pipeline.results.differences import differences, failed, verdicts
from pipeline.run.artifact import MANIFEST
from pipeline.run.stage import run
from pipeline.significance import ByRow

TITLE = Said("Did it help?", "有帮助吗？")


@dataclass(frozen=True)
class ReportConfig:
    """What is shown."""

    confidence: float = 0.95
    """Of the intervals, and of the verdicts over all comparisons together."""


def report(config: ReportConfig, runs: list[Path], out: Path) -> dict[str, float]:
    """Write the report of one run, or of several side by side; metrics with each arm's accuracy."""
    arms, left_out = comparable([arm for folder in runs for arm in arms_of(folder, prefix=len(runs) > 1)])
    found = differences(arms, _rows, config.confidence)
    lines = [*verdicts(found, arms), *failed(arms), *left_out]
    table = sections.results_table(arms, found)
    parts = _sections(config, runs, arms, lines, table, found)
    write_markdown(out / "report.md", TITLE, [one for one in parts if one.parts])
    _print(table, lines)
    return {f"{arm.name}/{arm.metric}": arm.score for arm in arms}


def _rows(arm: Arm) -> ByRow | None:
    """What every seed of an arm said of every test row."""
    return by_row(str(arm.evidence["kind"]), arm.metric, read_rows(arm.tuned / "predictions"))


def _sections(
    config: ReportConfig, runs: list[Path], arms: list[Arm], lines: list[Said], table: Table, found: list[Compared]
) -> list[Section]:
    """All there may be to show, the verdict first."""
    first = [*lines, table, sections.seeds_picture(arms), sections.curves_picture(arms)]
    return [
        Section(Said("Verdict", "结论"), first),
        sections.comparisons(found),
        sections.measures(arms),
        sections.elsewhere(arms),
        sections.classes(arms),
        sections.vocabulary(runs),
        sections.keywords(runs),
        sections.reliability(runs),
        sections.notes(arms[0], config.confidence),
        sections.repeat(arms),
    ]


def _print(table: Table, lines: Sequence[Said]) -> None:
    """The table and the verdicts, for whoever waits."""
    print("\n" + terminal_table([*map(english, table.head)], [[*map(english, row)] for row in table.rows]) + "\n")
    for line in lines:
        print(line.en.replace("**", ""))


def sources(config: ReportConfig, runs: list[Path]) -> list[Path]:
    """The manifests of what is reported: the report is made again when one of them changes."""
    found = [path for folder in runs for path in sorted(folder.glob(f"*/{MANIFEST}"))]
    tuned = {path.parent for path in found if path.parent.name.startswith("finetuned-")}
    shown = tuned | {path.with_name(path.name.removeprefix("finetuned-")) for path in tuned}
    return [path for path in found if path.parent in shown or path.parent.name in ("scores", "tagger", "masked")]


if __name__ == "__main__":
    run(report, sources=sources)
