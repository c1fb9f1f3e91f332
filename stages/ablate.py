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

from pipeline.finetuning import evidence
from pipeline.metrics import holm, mean_sd, paired_difference, paired_p
from pipeline.reports import dots_svg, markdown_table, plus_minus, terminal_table
from pipeline.run.artifact import MANIFEST, changes, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.processes import clock
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
        return cls(changed, told["metric"], results, here["provenance"]["seconds"])

    @property
    def scores(self) -> dict[int, float]:
        """Of every seed, on test."""
        return {seed: one["measured"][self.metric] for seed, one in self.results.items()}

    @property
    def elsewhere(self) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
        """Of every other source: how good answers are there, and what is lost on the way."""
        return evidence.at_home_and_elsewhere(list(self.results.values()), self.metric)


def ablate(config: AblationConfig, baseline: Path, others: list[Path], out: Path) -> dict[str, float]:
    """Write the table; metrics with the mean difference of every setting."""
    base, tried = Tried.read(baseline, baseline), [Tried.read(folder, baseline) for folder in others]
    ps = dict(
        zip((one.name for one in tried), holm([paired_p(one.scores, base.scores) for one in tried]), strict=True)
    )
    ranked = sorted(tried, key=lambda one: -paired_difference(one.scores, base.scores, config.confidence)[0])
    rows = [_row(base, base, config, ""), *(_row(one, base, config, f"{ps[one.name]:.3f}") for one in ranked)]
    verdict = _verdict([one for one in ranked if ps[one.name] < 1 - config.confidence], base)
    head = [*HEAD[:-1], *(part for name in base.elsewhere for part in (f"on {name}", "lost")), HEAD[-1]]
    title = f"test {base.metric.replace('_', ' ')}"
    scores = {one.name: list(one.scores.values()) for one in (base, *ranked)}
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
    return {one.name: paired_difference(one.scores, base.scores, config.confidence)[0] for one in ranked}


def _row(one: Tried, base: Tried, config: AblationConfig, p: str) -> list[str]:
    values, dev = list(one.scores.values()), [result["dev"] for result in one.results.values()]
    difference = paired_difference(one.scores, base.scores, config.confidence)
    return [
        one.name,
        plus_minus(*mean_sd(dev)),
        plus_minus(*mean_sd(values)),
        "" if one is base else "{:+.1f} [{:+.1f}, {:+.1f}]".format(*difference),
        p,
        f"{min(values):.1f}",
        f"{max(values):.1f}",
        str(sum(result["degenerate"] for result in one.results.values())),
        *(plus_minus(*pair) for name in base.elsewhere for pair in one.elsewhere[name]),
        clock(one.seconds),
    ]


def _verdict(beyond: list[Tried], base: Tried) -> str:
    """What can be said of all settings together."""
    if not beyond:
        return "No setting is different from the baseline beyond noise."
    better = [
        one.name for one in beyond if mean_sd(list(one.scores.values()))[0] > mean_sd(list(base.scores.values()))[0]
    ]
    worse = [one.name for one in beyond if one.name not in better]
    said = [f"{'; '.join(names)}: {how}" for names, how in ((better, "better"), (worse, "worse")) if names]
    return f"Beyond noise, of all settings together: {'. '.join(said)}."


def _notes(base: Tried, config: AblationConfig) -> str:
    seeds = len(base.results)
    return (
        f"Mean ± standard deviation over {seeds} seeds; the best epoch was chosen on dev, test was looked at once. "
        f"*Against baseline*: mean of the paired differences, seed by seed, with its {config.confidence:.0%} "
        "t-interval for this setting alone. *p*: of the paired t-test, corrected for all settings of the table (Holm "
        "1979); with few seeds it is small only where a difference is large and steady. *Failed*: seeds whose answers "
        "are all the same; they count in every number. To choose among settings, read dev."
        + (" *Lost*: from the task's test rows to those of another source, seed by seed." if base.elsewhere else "")
    )


def sources(config: AblationConfig, others: list[Path]) -> list[Path]:
    """What tells one fine-tuning from another."""
    return [folder / MANIFEST for folder in others]


if __name__ == "__main__":
    run(ablate, sources=sources)
