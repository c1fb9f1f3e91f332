"""How to make an artifact again: its recipe as it differs from the defaults, and the command, told to strangers.

Where something lies on the machine it was made on is nobody's business: of a place no more than the last name is told.
"""

import json
import re
from collections.abc import Mapping, Sequence

from pipeline.publishing.lineage import Step
from pipeline.run.artifact import Manifest
from pipeline.run.key import flat
from pipeline.run.stage import section_of

PLACE = re.compile(r"(?<![\w.:/])(?:~|\.{1,2})?/(?:[^\s\"'/]+/)*([^\s\"'/]+)")
"""A path of this machine; no address of the web, no owner/name of the hub."""
OF_HERE = re.compile(r'\s*\b(?:RUNS|FROM|PUSH|UPLOAD|INPUT)=(?:"[^"]*"|\S*)')


def recipe(steps: Sequence[Step], defaults: Mapping[str, Manifest]) -> str:
    """TOML: of every section what differs from `defaults` (section -> settings); the nearest to the end counts."""
    run, found = steps[-1].folder.parent, {}
    for step in (step for step in steps if step.folder.parent == run):
        section = section_of(step.name)
        known, settings = (
            flat(json.loads(json.dumps(one))) for one in (defaults.get(section, {}), step.manifest["config"])
        )
        changed = {name: value for name, value in settings.items() if name in known and known[name] != value}
        found.setdefault(section, {}).update(changed)
    return "\n\n".join(_section(name, settings) for name, settings in found.items() if settings)


def _section(name: str, settings: Mapping[str, object]) -> str:
    return "\n".join([f"[{name}]", *(f"{setting} = {_toml(value)}" for setting, value in settings.items())])


def _toml(value: object) -> str:
    """JSON's strings, numbers, truths and lists are TOML's."""
    return without_places(json.dumps(value, ensure_ascii=False))


def command(step: Step) -> str:
    """What was typed to make it; of one that make was not asked for, what makes it."""
    typed = " ".join(str(step.manifest["provenance"]["command"]).split())
    if not typed.startswith("make "):
        typed = f"make {step.name}"
    return without_places(OF_HERE.sub("", typed))


def without_places(text: str) -> str:
    """Of a path of this machine its last name."""
    return PLACE.sub(r"\1", text)
