"""Write the cards and the recipe of an experiment on your own files, with a comment on every line to look at.

    make new NAME=shop TASK=reviews.csv DOMAIN="raw/*.txt" BASE=hfl/chinese-macbert-base
    make dapt RECIPE=shop/shop.toml

writes  <NAME>/task.toml, <NAME>/domain.toml   what the columns mean: guessed, to be read and corrected
        <NAME>/<NAME>.toml                     the recipe

Columns may be named: TEXT=content LABEL=stars. Without BASE a small one is built from GENERAL.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from corpora.drafting import Look, language_of, look, roles
from corpora.schemas import InputError
from corpora.segment import check_language

CARD = """\
# {what}. Read it: what stands here was guessed from the first rows of {path}.
name = "{name}-{part}"
title = ""                  # what it is
language = "{language}"
licence = ""                # who may read the text, and a model made from it
origin = ""                 # where it comes from, and when

[fields]                    # role = column: {columns}
{fields}

[files]                     # from here, or absolute; add dev = and test = where you have them: else parts of train
{split} = {files}
"""

RECIPE = """\
# {name}: does {domain} help {task}?
#
#     make doctor RECIPE={recipe}      # is the base sound, the machine ready?
#     make diagnose RECIPE={recipe}    # is this domain worth it? minutes, no training
#     make dapt RECIPE={recipe}        # did it help?
#     make controls RECIPE={recipe}    # would random words have done as well?

[corpus]
language = "{language}"
task = "{folder}/task.toml"
domain = ["{folder}/domain.toml"]{general}

{base}
[finetuned]
max_length = 128            # ids of a text that are read; make finetuned-base says how many are cut
seeds = [13, 43, 83, 181, 271]   # five runs: fewer tell nothing from noise

[finetuned.trainer]
epochs = 10                 # the best of them is chosen on dev
batch_size = 16
learning_rate = {tuning}

[scores]
language = "{language}"

[tagger.trainer]
epochs = 5
batch_size = 16
learning_rate = {tuning}
evaluations = 5

[masked]
language = "{language}"
max_length = 128
selective_share = 0.5       # half of the predicted words stay random ones

[dapt.trainer]
epochs = 3                  # passes over the domain; steps = … in its place says how long exactly
batch_size = {batch}
learning_rate = {pretraining}

[tapt.trainer]
epochs = 100                # the task's text is short (Gururangan et al. 2020)
batch_size = {batch}
learning_rate = {pretraining}
"""

NAMED = """\
[base]
language = "{language}"
model = "{model}"
"""

SCRATCH = """\
[base]                      # built from the general text: small, for want of a base
language = "{language}"
vocab_size = 8000
hidden_size = 192
layers = 3
heads = 3
dropout = 0.0               # few steps: nothing to overfit

[base.trainer]
steps = 2000
batch_size = 32
learning_rate = 1e-3
"""


def draft(args: argparse.Namespace) -> Path:
    """Write the files; the path of the recipe."""
    if missing := [name for name in ("name", "task", "domain") if not getattr(args, name)]:
        example = 'make new NAME=shop TASK=reviews.csv DOMAIN="raw/*.txt" BASE=hfl/chinese-macbert-base'
        raise InputError(f"{' and '.join(f'{name.upper()}=' for name in missing)} not set, as in {example}")
    if strange := "".join(sorted(set(re.sub(r"[\w./-]", "", args.name)))):
        raise InputError(
            f"NAME={args.name} has {strange!r} in it, which make and recipes read otherwise: leave that out"
        )
    if args.language:
        check_language(args.language)
    folder = Path(args.name)
    if folder.exists():
        raise InputError(f"{folder} is there already: choose another NAME=, or move it away")
    if not (args.base or args.general):
        raise InputError("no base: set BASE=<folder or hub name>, or GENERAL=<files> to build one from")
    task, domain = look(args.task), look(args.domain)
    columns = {"task": roles(task, {"text": args.text, "label": args.label}, labelled=True)}
    columns["domain"] = roles(domain, {"text": args.text if args.text in domain.columns else ""}, labelled=False)
    language = args.language or language_of(task, columns["task"]["text"])
    cards = {"task": (task, args.task, "train"), "domain": (domain, args.domain, "unlabeled")}
    if args.general:
        cards["general"] = (look(args.general), args.general, "unlabeled")
        columns["general"] = roles(cards["general"][0], {}, labelled=False)
    folder.mkdir(parents=True)
    for part, (seen, written, split) in cards.items():
        text = _card(args.name, part, seen, written, split, columns[part], language)
        (folder / f"{part}.toml").write_text(text, encoding="utf-8")
    recipe = folder / f"{folder.name}.toml"
    recipe.write_text(_recipe(args, folder, recipe, language), encoding="utf-8")
    for part, found in columns.items():
        print(f"  {part:<8} {', '.join(f'{role} = {column}' for role, column in found.items())}, {language}")
    return recipe


def _card(name: str, part: str, seen: Look, written: str, split: str, found: dict[str, str], language: str) -> str:
    quoted = lambda value: json.dumps(value, ensure_ascii=False)
    return CARD.format(
        what={"task": "The labelled rows", "domain": "The text to adapt to", "general": "Text to build a base from"}[
            part
        ],
        path=seen.path,
        name=Path(name).name,
        part=part,
        language=language,
        columns="a txt file has none, any name does" if seen.is_plain else ", ".join(seen.columns),
        fields="\n".join(f"{role} = {quoted(column)}" for role, column in found.items()),
        split=split,
        files=quoted(str(Path(written).absolute())),
    )


def _recipe(args: argparse.Namespace, folder: Path, recipe: Path, language: str) -> str:
    base = NAMED.format(language=language, model=args.base) if args.base else SCRATCH.format(language=language)
    rates = ("2e-5", "1e-4", "256") if args.base else ("3e-4", "5e-4", "64")
    tuning, pretraining, batch = rates
    return RECIPE.format(
        name=folder.name, domain=args.domain, task=args.task, recipe=recipe, language=language, folder=folder,
        general=f'\ngeneral = ["{folder}/general.toml"]' if args.general else "", base=base,
        tuning=tuning, pretraining=pretraining, batch=batch,
    )  # fmt: skip


def main() -> None:
    """Draft from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("name", "task", "domain"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("text", "label", "language", "base", "general"):
        parser.add_argument(f"--{name}", default="")
    args = parser.parse_args()
    try:
        recipe = draft(args)
    except InputError as error:
        print(f"new: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"written: {recipe} and its cards: read them, then make doctor RECIPE={recipe}")


if __name__ == "__main__":
    main()
