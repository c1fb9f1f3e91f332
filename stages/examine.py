"""Look at this machine and at a base before anything long starts: what is wrong, by name, and what to do.

    make doctor                                   # the machine, and the base of the recipe if there is one
    make doctor BASE=hfl/chinese-macbert-base     # a hub name or a local folder

Writes nothing. A base is asked for masked words of everyday sentences of the embedded demo, so that a head that was
never trained, or another language, shows; `make diagnose` asks your own text. Exit code 2 where something is a fault.
"""

import argparse
import re
import sys
from itertools import islice
from pathlib import Path

from corpora.demo import planted as demo
from corpora.segment import Segmenter
from pipeline.examination import Finding, machine, opened
from pipeline.run.errors import InputError
from pipeline.run.recipe import build, load_recipe
from pipeline.training.config import TrainerConfig

TEXTS = 200
"""Sentences of the demo that a base is asked about."""

SIGNS = {"good": "✓", "note": "!", "fault": "✗"}


def examine(recipe: str, overrides: list[str], run: Path) -> list[Finding]:
    """Everything that was found, printed as it is."""
    tables = load_recipe(recipe, overrides)
    findings = []
    for finding in machine(run, pinned(Path("requirements.txt"))):
        findings.append(_told(finding))
    made = run / "base"
    place = tables.get("base", {}).get("model") or (str(made) if (made / "config.json").exists() else "")
    if not place:
        print("  (no base yet: one is built from scratch, or set BASE=<folder or hub name>)")
        return findings
    language = tables.get("corpus", {}).get("language", "zh")
    sentences = demo.rows(f"{language if language in ('zh', 'en') else 'en'}_general", "unlabeled")
    texts = [row["text"] for row in islice(sentences, TEXTS)]
    print(f"\n{place}")
    spans = Segmenter(language=language).spans
    return findings + [_told(finding) for finding in opened(place, texts, spans, _rates(tables))]


def _rates(tables: dict[str, dict]) -> dict[str, float]:
    """The peak learning rates a base is continued at: of the text that the recipe names."""
    arms = [arm for arm, text in (("dapt", "domain"), ("tapt", "task")) if tables.get("corpus", {}).get(text)]
    trainers = {f"{arm}.trainer": tables.get(arm, {}).get("trainer", {}) for arm in arms}
    return {f"{n}.learning_rate": build(TrainerConfig, table, n).learning_rate for n, table in trainers.items()}


def pinned(requirements: Path) -> dict[str, str]:
    """Library -> version, of what runs: up to the line that says what checks."""
    lines = requirements.read_text(encoding="utf-8").partition("# What checks")[0].splitlines()
    return dict(found.groups() for line in lines if (found := re.fullmatch(r"([\w-]+)==([\w.]+)", line.strip())))


def _told(finding: Finding) -> Finding:
    print(f"{SIGNS[finding.state]} {finding.name:<13} {finding.fact}")
    if finding.remedy:
        print(f"  {'':<13} → {finding.remedy}")
    return finding


def main() -> None:
    """Examine from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="the folder of the recipe's artifacts")
    args = parser.parse_args()
    try:
        findings = examine(args.recipe, args.set, args.run)
    except InputError as error:
        print(f"doctor: {error}", file=sys.stderr)
        sys.exit(2)
    faults = [finding.name for finding in findings if finding.state == "fault"]
    told = f"{len(faults)} fault{'s' * (len(faults) > 1)}: {', '.join(faults)}" if faults else "no fault found"
    print(f"\n{told}")
    sys.exit(2 if faults else 0)


if __name__ == "__main__":
    main()
