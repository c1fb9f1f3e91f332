"""What a comparison will cost before it starts: artifacts to make, tokens, hours at the speed of this machine, disk.

    make estimate                                        # of RECIPE
    make estimate RECIPES="demo demo-random" REPEATS=3   # as make compare would make them, with their controls

Writes nothing. The corpora must be there: `make estimate` makes them first.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path

from transformers import MODEL_FOR_MASKED_LM_MAPPING

from corpora.parquet import read_rows
from pipeline.costs import Training, disk, fine_tuning, parameters_of, pretraining, random_model, speed, tokens_in
from pipeline.models import ModelSize, load_config
from pipeline.pages.tables import terminal_table
from pipeline.plan import Plan, finished
from pipeline.run.artifact import MANIFEST, input_digest, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import changes
from pipeline.run.progress import clock
from pipeline.run.stage import section_of

SAMPLE = 1000
"""Texts whose length is looked at."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Pace:
    """How fast a model is trained here."""

    kind: str
    parameters: int
    rate: float | None = None
    """Tokens a second; none of a kind that is not measured."""

    def clocked(self, one: Training) -> str:
        """The time of a training."""
        return clock(one.tokens / self.rate) if self.rate else UNKNOWN


class Planned:
    """A run as its settings plan it, and what of it is there."""

    def __init__(self, plan: Plan, repeats: int) -> None:
        self.plan, self.run, self.repeats = plan, plan.run, repeats
        self.rows = {name: int(n) for name, n in read_manifest(self.run / "corpus")["metrics"].items()}

    def length(self, part: str, most: int) -> float:
        """Mean ids of a text of general, domain or task."""
        folder = self.run / "corpus" / part / "train"
        rows = islice(read_rows(folder, ["text", "text_pair", "tokens", "source"]), SAMPLE) if folder.exists() else ()
        texts = (" ".join(filter(None, (row["text"] or row["source"], row["text_pair"], *(row["tokens"] or ()))))
                 for row in rows)  # fmt: skip
        return tokens_in(texts, most)

    def documents(self, split: str) -> int:
        """How many there are of task/train, domain/train, …"""
        if split not in self.rows:
            place, part = self.run / "corpus", split.partition("/")[0]
            raise InputError(f"{place} has no {split}: name text for it in [corpus] {part}")
        return self.rows[split]

    def trainings(self) -> Iterator[Training]:
        """Of base, baseline, DAPT and its controls, those of all repeats."""
        base, tuned = self.plan.settings("base"), self.plan.settings("finetuned")
        if not base["model"]:
            documents = self.documents("general/train")
            length = self.length("general", base["max_length"])
            yield pretraining("base", base["trainer"], length, min(base["documents"] or documents, documents))
        task = self.length("task", tuned["max_length"])
        rows = {part: self.documents(f"task/{part}") for part in ("train", "dev", "test")}
        yield fine_tuning("finetuned-base", tuned, task, rows)
        for arm, part in self.arms().items():
            trainer, most = self.plan.settings(section_of(arm))["trainer"], self.plan.settings("masked")["max_length"]
            length, documents = self.length(part, most), self.documents(f"{part}/train")
            if part == "general":
                documents = min(documents, self.plan.settings("masked")["general_documents"])
            for name in (arm, *(f"{arm}-{n}" for n in range(2, self.repeats + 1))):
                yield pretraining(name, trainer, length, documents)
                yield fine_tuning(f"finetuned-{name}", tuned, task, rows)

    def arms(self) -> dict[str, str]:
        """What is pretrained, and on which text: DAPT, and of a recipe as it is the controls of make controls."""
        if "domain/train" not in self.rows:
            return {}
        masked, controls = self.plan.settings("masked"), {}
        if masked["policy"] == "selective":
            there = [arm for arm in ("tapt", "dapt-tapt") if (self.run / f"finetuned-{arm}" / MANIFEST).exists()]
            controls = {"dapt-control": "domain"} | {name: "task" for arm in there for name in (arm, f"{arm}-control")}
        if masked["general_documents"]:
            controls["general"] = "general"
        return {"dapt": "domain"} | ({} if "@" in self.run.name else controls)  # a variant has the recipe beside it


def estimate(runs: list[Path], repeats: int = 1, reference: Path | None = None) -> list[str]:
    """The lines to print; every arm is pretrained so many times."""
    made = finished(runs[0].parent)
    plans = [Plan(run, made, reference) for run in runs]
    _refuse_tuned_otherwise(plans)
    seen, rows, left = set(made), [], 0
    paces: dict[tuple, Pace] = {}
    for planned in (Planned(plan, repeats) for plan in plans):
        base = planned.plan.settings("base")
        size = tuple(base[name] for name in ("model", "hidden_size", "layers", "vocab_size"))
        for one in planned.trainings():
            key = planned.plan.key(one.name)
            if key in seen:
                left += 1
                continue
            seen.add(key)
            if size not in paces:
                paces[size] = _measured(planned)
            rows.append((f"{planned.run.name}/{one.name}", one, paces[size]))
    return _told(rows, left, runs[0])


def _refuse_tuned_otherwise(plans: list[Plan]) -> None:
    """An InputError where the report would leave out what was trained for hours (pipeline/results/arms.py)."""
    first: dict[str, Plan] = {}
    for plan in plans:
        of = first.setdefault(input_digest(plan.run / "corpus" / "task"), plan)
        pairs = changes(of.settings("finetuned"), plan.settings("finetuned")).items()
        if otherwise := ", ".join(
            f"finetuned.{n} = {json.dumps(now)}, there {json.dumps(was)}" for n, (was, now) in pairs
        ):
            raise InputError(
                f"{plan.run} is fine-tuned otherwise than {of.run} ({otherwise}), and arms of one task are compared "
                "where that is alike: set it for all of them, or compare ways of fine-tuning with make ablate"
            )


def _measured(planned: Planned) -> Pace:
    """Of a training of the base's size."""
    base, trainer = planned.plan.settings("base"), planned.plan.settings("dapt")["trainer"]
    if base["model"]:
        config = load_config(planned.plan.made.get(planned.plan.key("base"), base["model"]))
        if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
            return Pace(config.model_type, parameters_of(config))
        model = random_model(config)
    else:
        model = random_model(ModelSize(**{field.name: base[field.name] for field in fields(ModelSize)}),
                             base["vocab_size"])  # fmt: skip
    length = max(round(planned.length("domain", planned.plan.settings("masked")["max_length"])), 8)
    return Pace(model.config.model_type, model.num_parameters(), speed(model, length, min(trainer["batch_size"], 32)))


def _told(rows: list[tuple[str, Training, Pace]], left: int, run: Path) -> list[str]:
    if not rows:
        return [f"nothing to train: {left} artifacts are there, or equal to others"]
    table = [[name, f"{one.steps:,}", f"{one.tokens / 1e6:.1f} M", pace.clocked(one)] for name, one, pace in rows]
    timed = {pace: [one for _, one, of in rows if of == pace] for *_, pace in rows}
    unknown = sorted({pace.kind for pace in timed if pace.rate is None})
    needs = disk(max(pace.parameters for pace in timed), len(rows))
    free = shutil.disk_usage(run).free
    return [
        terminal_table(["to train", "steps", "tokens", "time"], table),
        "",
        f"in all {sum(one.tokens for _, one, _ in rows) / 1e6:.1f} M tokens, {_in_all(timed)}",
        *([f"unknown: of {', '.join(unknown)}, as only models of masked words are measured here"] if unknown else []),
        f"there already, or equal to others: {left}; checkpoints {needs / 1e9:.1f} of {free / 1e9:.0f} GB free",
        *(["! the disk is too small: set RUNS= to one with more"] if needs > free else []),
    ]


def _in_all(timed: dict[Pace, list[Training]]) -> str:
    """The time of all whose pace is known, and what it was reckoned by."""
    known = sorted((pace for pace in timed if pace.rate), key=lambda pace: (pace.rate, pace.parameters))
    if not known:
        return UNKNOWN
    seconds = sum(one.tokens / pace.rate for pace in known for one in timed[pace])
    more = f" and what is {UNKNOWN}" if len(known) < len(timed) else ""
    rates = (f"{pace.rate:,.0f} tokens/s for {pace.parameters / 1e6:.1f} M parameters" for pace in known)
    return f"{clock(seconds)}{more} at {', '.join(rates)}, measured now"


def main() -> None:
    """Estimate from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--reference", type=Path)
    args = parser.parse_args()
    try:
        print("\n".join(estimate(args.runs, args.repeats, args.reference)))
    except InputError as error:
        print(f"estimate: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
