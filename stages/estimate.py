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
from dataclasses import fields
from itertools import islice
from pathlib import Path

from transformers import MODEL_FOR_MASKED_LM_MAPPING

from corpora.parquet import read_rows
from pipeline.costs import Training, disk, fine_tuning, pretraining, random_model, speed, tokens_in
from pipeline.models import ModelSize, load_config
from pipeline.pages.tables import terminal_table
from pipeline.run.artifact import MANIFEST, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.progress import clock

SAMPLE = 1000
"""Texts whose length is looked at."""


class Planned:
    """A run as its settings plan it, and what of it is there."""

    def __init__(self, run: Path, repeats: int) -> None:
        self.run, self.repeats = run, repeats
        names = ("corpus", "base", "masked", "dapt", "finetuned")
        self.settings = {name: json.loads((run / ".settings" / f"{name}.json").read_text("utf-8")) for name in names}
        self.rows = {name: int(n) for name, n in read_manifest(run / "corpus")["metrics"].items()}

    def length(self, part: str, most: int) -> float:
        """Mean ids of a text of general, domain or task."""
        folder = self.run / "corpus" / part / "train"
        rows = islice(read_rows(folder, ["text", "text_pair", "tokens", "source"]), SAMPLE) if folder.exists() else ()
        texts = (" ".join(filter(None, (row["text"] or row["source"], row["text_pair"], *(row["tokens"] or ()))))
                 for row in rows)  # fmt: skip
        return tokens_in(texts, most)

    def trainings(self) -> Iterator[Training]:
        """Of base, baseline, DAPT and its controls, those of all repeats."""
        base, dapt, tuned = (self.settings[name] for name in ("base", "dapt", "finetuned"))
        if not base["model"]:
            length = self.length("general", base["max_length"])
            documents = min(base["documents"] or self.rows["general/train"], self.rows["general/train"])
            yield pretraining("base", base["trainer"], length, documents)
        task = self.length("task", tuned["max_length"])
        rows = {part: self.rows[f"task/{part}"] for part in ("train", "dev", "test")}
        yield fine_tuning("finetuned-base", tuned, task, rows)
        if "domain/train" not in self.rows:
            return
        masked = self.settings["masked"]
        read = {"dapt": "domain"} | ({"dapt-control": "domain"} if masked["policy"] == "selective" else {})
        read |= {"general": "general"} if masked.get("general_documents") else {}
        for arm, part in read.items():
            length, documents = self.length(part, masked["max_length"]), self.rows[f"{part}/train"]
            documents = min(documents, masked["general_documents"]) if part == "general" else documents
            for name in (arm, *(f"{arm}-{n}" for n in range(2, self.repeats + 1))):
                yield pretraining(name, dapt["trainer"], length, documents)
                yield fine_tuning(f"finetuned-{name}", tuned, task, rows)

    def depends(self, name: str) -> str:
        """What a training is of: equal ones of two recipes are made once."""
        parts = ["corpus", "base"]
        parts += ["masked", "dapt"] if "dapt" in name or "general" in name else []
        parts += ["finetuned"] if name.startswith("finetuned") else []
        return name + json.dumps([self.settings[part] for part in parts], sort_keys=True)


def estimate(runs: list[Path], repeats: int = 1) -> list[str]:
    """The lines to print; every arm is pretrained so many times."""
    seen, rows, left, checkpoints = set(), [], 0, 0
    rates: dict[str, tuple[float, int]] = {}
    for run in runs:
        plan = Planned(run, repeats)
        size = json.dumps([plan.settings["base"][name] for name in ("model", "hidden_size", "layers", "vocab_size")])
        for one in plan.trainings():
            known = plan.depends(one.name)
            there = known in seen or (run / one.name / MANIFEST).exists()
            seen.add(known)
            if there:
                left += 1
                continue
            if size not in rates:
                rates[size] = _measured(plan)
            checkpoints += 1
            seconds = one.tokens / rates[size][0]
            rows.append((f"{run.name}/{one.name}", one, seconds, rates[size]))
    return _told(rows, left, checkpoints, runs[0])


def _measured(plan: Planned) -> tuple[float, int]:
    """Tokens a second of a training of the base's size, and its parameters."""
    base, trainer = plan.settings["base"], plan.settings["dapt"]["trainer"]
    made = plan.run / "base"
    if base["model"] or (made / "config.json").exists():
        config = load_config(base["model"] or made)
        if type(config) not in MODEL_FOR_MASKED_LM_MAPPING:
            raise InputError(f"{config.model_type} is no model of masked words: its speed is not estimated here")
        model = random_model(config)
    else:
        model = random_model(ModelSize(**{field.name: base[field.name] for field in fields(ModelSize)}),
                             base["vocab_size"])  # fmt: skip
    length = max(round(plan.length("domain", plan.settings["masked"]["max_length"])), 8)
    return speed(model, length, min(trainer["batch_size"], 32)), model.num_parameters()


def _told(
    rows: list[tuple[str, Training, float, tuple[float, int]]], left: int, checkpoints: int, run: Path
) -> list[str]:
    if not rows:
        return [f"nothing to train: {left} artifacts are there, or equal to others"]
    table = [[name, f"{one.steps:,}", f"{one.tokens / 1e6:.1f} M", clock(seconds)] for name, one, seconds, _ in rows]
    needs = disk(max(parameters for *_, (_, parameters) in rows), checkpoints)
    free = shutil.disk_usage(run).free
    rates = sorted({rate for *_, rate in rows})
    return [
        terminal_table(["to train", "steps", "tokens", "time"], table),
        "",
        f"in all {sum(one.tokens for _, one, *_ in rows) / 1e6:.1f} M tokens, {clock(sum(s for *_, s, _ in rows))} at "
        + ", ".join(f"{rate:,.0f} tokens/s for {parameters / 1e6:.1f} M parameters" for rate, parameters in rates)
        + ", measured now",
        f"there already, or equal to others: {left}; checkpoints {needs / 1e9:.1f} of {free / 1e9:.0f} GB free",
        *(["! the disk is too small: set RUNS= to one with more"] if needs > free else []),
    ]


def main() -> None:
    """Estimate from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=1)
    args = parser.parse_args()
    try:
        print("\n".join(estimate(args.runs, args.repeats)))
    except InputError as error:
        print(f"estimate: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
