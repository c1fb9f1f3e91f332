"""Check a whole recipe before anything long starts, and tell make what changed.

    python -m stages.check --recipe demo --out runs/demo/.settings

Every section is built as the dataclass of the stage that reads it: unknown settings, wrong types and unknown sections
are refused together, not an hour later one by one. Each section is then written to `<out>/<section>.json`, only where
its content changed, or that of a file it names: make compares times, and so remakes only what a change reaches.
`<out>/defaults.json` has every section as it is where a recipe says nothing, `<out>/keys.json` what of a section goes
into the key of what is made by it.
"""

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from pipeline.run.errors import InputError
from pipeline.run.key import keyed, named_files
from pipeline.run.recipe import build, load_recipe, nearest, recipe_folder
from pipeline.run.stage import config_class

SECTIONS = {
    "corpus": "prepare",
    "base": "start",
    "diagnosed": "diagnose",
    "finetuned": "finetune",
    "multitask": "train_multitask",
    "scores": "score",
    "tagger": "train_tagger",
    "chosen": "choose",
    "masked": "mask",
    "referred": "refer",
    "dapt": "pretrain",
    "tapt": "pretrain",
    "interpolated": "interpolate",
    "filled": "fill",
    "static": "export",
    "shown": "show",
    "agreement": "agree",
    "ablation": "ablate",
    "predicted": "predict",
    "corrected": "correct",
    "report": "report",
    "published": "publish",
}
"""Section of a recipe -> the stage that reads it. This table is the one place where stages are named to another."""


def check(recipe: str, overrides: list[str], out: Path) -> None:
    """Refuse a recipe with all that is wrong in it, or write its sections."""
    tables = load_recipe(recipe, overrides)
    problems = [
        f"unknown section [{n}]{nearest(n, SECTIONS)}; known: {', '.join(SECTIONS)}"
        for n in tables
        if n not in SECTIONS
    ]
    sections, configs, defaults, keys = {}, {}, {}, {}
    for section, stage in SECTIONS.items():
        try:
            module = importlib.import_module(f"stages.{stage}")
            cls = config_class(getattr(module, stage))
            config = build(cls, tables.get(section, {}), section, recipe_folder(recipe))
            configs[section], defaults[section] = config, asdict(cls())
            version, files = getattr(module, "VERSION", 1), named_files(config)
            keys[section] = {"stage": stage, "version": version, "settings": keyed(config), "files": files}
            settings = asdict(config) | {f"sha256 of {name}": sha for name, sha in files.items()}
            sections[section] = json.dumps(settings, indent=2, ensure_ascii=False)
        except InputError as error:
            problems.append(str(error))
    if problems := problems + _apart(configs):
        raise InputError("; ".join(problems))
    sections |= {"defaults": json.dumps(defaults, indent=2), "keys": json.dumps(keys, indent=2, ensure_ascii=False)}
    out.mkdir(parents=True, exist_ok=True)
    for section, text in sections.items():
        path = out / f"{section}.json"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _apart(configs: dict[str, object]) -> list[str]:
    """What one section asks for, and another does not make."""
    if not {"masked", "dapt", "tapt"} <= configs.keys() or configs["masked"].general_documents:
        return []
    asked = []
    for name in ("dapt", "tapt"):
        replay, choose = configs[name].replay, configs[name].probe.choose
        asked += [f"{name}.replay = {replay} reads general text again"] if replay else []
        asked += [f"{name}.probe.choose = {choose} is measured on general text"] if choose == "general_loss" else []
    return [f"{one}, and none is masked: set masked.general_documents to as many documents" for one in asked]


def main() -> None:
    """Check from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    try:
        check(args.recipe, args.set, args.out)
    except (InputError, OSError) as error:
        print(f"recipe {args.recipe}: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
