"""Fine-tuning settings one at a time against the baseline: what helps beyond noise, and what does not.

    make ablate                                            # the matrix of the Makefile
    make ablate FACTORS="stabilisers.mixout=0.1 head.pooling=mean"
    make ablate FACTORS="stabilisers.mixout=0.1+head.pooling=mean" INIT=dapt     # both at once, another checkpoint

reads   finetuned-<init>/    the baseline
        ablated-<init>-…/    the same fine-tuning with one setting changed, or several
writes  ablation-<init>/     ablation.md, scores.svg; prints the table
"""

import json
from dataclasses import dataclass
from pathlib import Path

from corpora.parquet import read_rows
from pipeline.finetuning import evidence
from pipeline.finetuning.by_row import by_row
from pipeline.metrics import mean_sd
from pipeline.pages.plots import dots_svg
from pipeline.pages.tables import markdown_table, plus_minus, terminal_table
from pipeline.results.comparison import Compared, Named, compared, p_shown
from pipeline.results.significance import EVERY, Sample
from pipeline.run.artifact import MANIFEST, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import changes
from pipeline.run.progress import clock
from pipeline.run.stage import run

HEAD = ["setting", "dev", "test", "against baseline", "p", "min", "max", "failed", "time"]
"""Of the table; before the time come a column for every other source, and one for what is lost there."""


@dataclass(frozen=True)
class AblationConfig:
    """What is shown."""

    confidence: float = 0.95
    """Of the intervals, and of the verdict over all settings together."""


@dataclass(frozen=True)
class Tried:
    """A fine-tuning, and what it changed."""

    name: str
    metric: str
    results: dict[int, dict[str, object]]
    sample: Sample
    seconds: float

    @classmethod
    def read(cls, folder: Path, baseline: Path) -> "Tried":
        """From its artifact."""
        told = json.loads((folder / evidence.FILE).read_text(encoding="utf-8"))
        here, there = read_manifest(folder), read_manifest(baseline)
        if any(here["inputs"].get(name) != there["inputs"].get(name) for name in ("init", "task", "elsewhere")):
            raise InputError(f"{folder} was made from another checkpoint or task than {baseline}: make it again")
        pairs = changes(there["config"], here["config"]).items()  # without settings newer than the baseline
        changed = ", ".join(f"{name} = {now}" for name, (before, now) in pairs if before is not None) or "baseline"
        results = {one["seed"]: one for one in told["seeds"]}
        scores = {(EVERY, seed): one["measured"][told["metric"]] for seed, one in results.items()}
        rows = by_row(told["kind"], told["metric"], read_rows(folder / "predictions"), told["names"])
        return cls(changed, told["metric"], results, Sample(scores, rows), here["provenance"]["seconds"])

    @property
    def elsewhere(self) -> dict[str, tuple[evidence.MeanSd, evidence.MeanSd]]:
        """Of every other source: how good answers are there, and what is lost on the way."""
        return evidence.at_home_and_elsewhere(list(self.results.values()), self.metric)


def ablate(config: AblationConfig, baseline: Path, others: list[Path], out: Path) -> dict[str, float]:
    """Write the table; metrics with the mean difference of every setting."""
    base, tried = Tried.read(baseline, baseline), [Tried.read(folder, baseline) for folder in others]
    named = [(Named(one.name, one.sample), Named(base.name, base.sample)) for one in tried]
    against = {one.arm: one for one in compared(named, config.confidence)}
    ranked = sorted(tried, key=lambda one: -against[one.name].found.mean)
    rows = [_row(base, base, None), *(_row(one, base, against[one.name]) for one in ranked)]
    verdict = _verdict([against[one.name] for one in ranked])
    head = [*HEAD[:-1], *(part for name in base.elsewhere for part in (f"on {name}", "lost")), HEAD[-1]]
    title = f"test {base.metric.replace('_', ' ')}"
    scores = {one.name: list(one.sample.scores.values()) for one in (base, *ranked)}
    (out / "scores.svg").write_text(dots_svg(scores, title), encoding="utf-8")
    parts = [
        "# One setting at a time",
        verdict,
        markdown_table(head, rows),
        _notes(base, config),
        "![scores](scores.svg)",
    ]
    (out / "ablation.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"\n{terminal_table(head, rows)}\n\n{verdict}\n")
    return {one.name: against[one.name].found.mean for one in ranked}


def _row(one: Tried, base: Tried, against: Compared | None) -> list[str]:
    values, dev = list(one.sample.scores.values()), [result["dev"] for result in one.results.values()]
    return [
        one.name,
        plus_minus(*mean_sd(dev)),
        plus_minus(*mean_sd(values)),
        against.shown if against else "",
        p_shown(against.p) if against else "",
        f"{min(values):.1f}",
        f"{max(values):.1f}",
        str(sum(result["degenerate"] for result in one.results.values())),
        *(plus_minus(*pair) for name in base.elsewhere for pair in one.elsewhere[name]),
        clock(one.seconds),
    ]


def _verdict(against: list[Compared]) -> str:
    """What can be said of all settings together."""
    found = {how: [one.arm for one in against if one.verdict == how] for how in ("better", "worse")}
    said = [f"{'; '.join(names)}: {how}" for how, names in found.items() if names]
    if not said:
        return "No setting is different from the baseline beyond noise."
    return f"Beyond noise, of all settings together: {'. '.join(said)}."


def _notes(base: Tried, config: AblationConfig) -> str:
    seeds = len(base.results)
    return (
        f"Mean ± standard deviation over {seeds} seeds; the best epoch was chosen on dev, test was looked at once. "
        f"*Against baseline*: mean paired difference, with its {config.confidence:.0%} interval over seeds and "
        "test rows, for this setting alone. *p*: of no difference, corrected for all settings of the table (Holm "
        "1979); with few seeds it is small only where a difference is large and steady. *Failed*: seeds whose answers "
        "are all the same; they count in every number. To choose among settings, read dev."
        + (" *Lost*: from the task's test rows to those of another source, seed by seed." if base.elsewhere else "")
    )


def sources(config: AblationConfig, others: list[Path]) -> list[Path]:
    """What tells one fine-tuning from another."""
    return [folder / MANIFEST for folder in others]


if __name__ == "__main__":
    run(ablate, sources=sources)
