"""The card of a model for people who were not there: what it is, what it was made from, whether it helped.

The head is what the hub reads (huggingface.co/docs/hub/model-cards); what is not known is left out of it, the licence
first of all. All else is read off the manifests of the lineage.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from pipeline.pages.markdown import plain
from pipeline.pages.parts import Table, english
from pipeline.pages.tables import markdown_table, plus_minus
from pipeline.publishing.licences import Source, concerns
from pipeline.publishing.lineage import Step, readers
from pipeline.publishing.repeating import command, recipe, without_places
from pipeline.publishing.sentences import LOADING
from pipeline.publishing.telling import told_of
from pipeline.publishing.weights import Weights
from pipeline.run.artifact import Manifest
from pipeline.run.progress import clock

LINEAGE_NOTE = (
    "Named by digest: each was found by the hash of what the next one read, not by its name. "
    "*Read by*, below, says which of them were made directly from a text."
)
CORRECTED = "p is corrected for all comparisons of the run (Holm 1979)."
FILES = 30
"""Raw files that are named, at most."""
LABELS = 20
"""Of a task model, at most."""


@dataclass(frozen=True)
class Published:
    """All that a card is written from."""

    name: str
    """`demo-dapt`."""
    weights: Weights
    steps: Sequence[Step]
    """The lineage, the model last."""
    sources: Sequence[Source]
    languages: Sequence[str]
    defaults: Mapping[str, Manifest]
    licence: str = ""
    sentences: bool = False
    """Whether sentence-transformers opens it."""
    evidence: Mapping[str, object] = field(default_factory=dict)
    """Of a task model: what every seed found."""
    verdicts: Sequence[str] = ()
    """Sentences on the arm that this model is, or that was fine-tuned from it."""
    tables: Sequence[Table] = ()
    """Their numbers."""

    @property
    def made(self) -> Manifest:
        """The model's own manifest."""
        return self.steps[-1].manifest

    @property
    def base(self) -> str:
        """The checkpoint it all began with: a hub name or the last name of a folder; empty where from scratch."""
        begun = next((step for step in self.steps if step.manifest["stage"] == "start"), None)
        return without_places(str(begun.manifest["config"]["model"])) if begun else ""

    @property
    def read(self) -> list[Source]:
        """The sources of text that something in the lineage was made from."""
        return [source for source in self.sources if source.text in readers(self.steps)]

    @property
    def concerns(self) -> list[str]:
        """What is to be settled before it is published."""
        return concerns(self.read, self.base)


def published_card(one: Published) -> str:
    """README.md."""
    parts = [
        f"---\n{_head(one)}\n---\n",
        f"# {plain(one.name)}",
        _what(one),
        "## Use\n\n" + _use(one),
        "## What it was made from\n\n" + _lineage(one),
        "## Texts\n\n" + _texts(one),
        "## Licences\n\n" + _licences(one),
        *_found(one),
        "## Make it again\n\n" + _again(one),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


# ---- the head ------------------------------------------------------------------------------------------------------


def _head(one: Published) -> str:
    on_hub = one.base.count("/") == 1 and not Path(one.base).exists()
    results = _results(one)
    tags = ["keymask", "continued-pretraining", *(["sentence-transformers"] if one.sentences else [])]
    return ModelCardData(
        license=one.licence or None,
        language=list(one.languages) or None,
        library_name="sentence-transformers" if one.sentences else "transformers",
        pipeline_tag="sentence-similarity" if one.sentences else one.weights.task,
        base_model=one.base if on_hub else None,
        datasets=[*dict.fromkeys(source.hub for source in one.read if source.hub)] or None,
        tags=tags,
        eval_results=results or None,
        model_name=one.name if results else None,
    ).to_yaml(line_break="\n")


def _results(one: Published) -> list[EvalResult]:
    """What the saved model of a task reached on the test rows: it is that of one seed."""
    if not one.evidence:
        return []
    task = next((source for source in one.sources if source.text == "task"), Source("task", "task", ()))
    kept = _kept(one.evidence)
    about = (one.weights.task, task.name, task.title or task.name)
    return [
        EvalResult(*about, metric_type=name, metric_value=round(kept["measured"][name], 2), dataset_split="test",
                   metric_name=f"{name.replace('_', ' ')}, of this model (seed {kept['seed']})")
        for name in one.evidence["metrics"] if name in kept["measured"]
    ]  # fmt: skip


def _kept(evidence: Mapping[str, object]) -> Mapping[str, object]:
    """The seed whose model was kept: the first of those best on dev."""
    return max(evidence["seeds"], key=lambda seed: seed["dev"])


# ---- the text ------------------------------------------------------------------------------------------------------


def _what(one: Published) -> str:
    kind, how = one.weights, told_of(one.steps[-1])
    size = f"{kind.layers} layers, {kind.width} wide, {kind.parameters / 1e6:.1f} M parameters"
    begun = f"begun as `{one.base}`" if one.base else "begun from random weights"
    names = one.evidence.get("names", []) if one.evidence else []
    labels = ", ".join(plain(str(name)) for name in names[:LABELS]) + (", …" if len(names) > LABELS else "")
    said = f"A model of the kind {kind.kind} ({size}), {begun}. Last step: {how}."
    return f"{said}\n\nIts answers: {labels}." if labels else said


def _use(one: Published) -> str:
    if one.sentences:
        return LOADING.format(name=one.name)
    opens = one.weights.opens
    code = (
        "```python\n"
        f"from transformers import {opens}, AutoTokenizer\n"
        f'place = "{one.name}"   # this folder, or the name of its repository\n'
        f"tokenizer, model = AutoTokenizer.from_pretrained(place), {opens}.from_pretrained(place)\n"
        "```"
    )
    if not one.weights.head:
        return code
    more = "That opens the encoder; the head on it (head.safetensors, task.json) opens with Keymask: `make predict`."
    return f"{code}\n\n{more}"


def _lineage(one: Published) -> str:
    head = ["artifact", "made from", "how", "steps", "tokens", "time", "digest"]
    rows = [_step(step) for step in one.steps]
    return f"{markdown_table(head, rows)}\n\n{LINEAGE_NOTE}"


def _step(step: Step) -> list[str]:
    metrics = step.manifest["metrics"]
    steps, tokens = (metrics.get(name) if "steps" in metrics else None for name in ("steps", "tokens"))
    run = step.folder.parent
    made_from = [_named(place, run) if place else f"*{name}, no longer there*" for name, place in step.inputs.items()]
    return [
        plain(step.name),
        ", ".join(made_from) or ("files below" if step.files else ""),
        told_of(step),
        f"{steps:,}" if steps else "",
        f"{tokens / 1e6:.1f} M" if tokens else "",
        clock(step.manifest["provenance"]["seconds"]),
        f"`{str(step.manifest['digest'])[:12]}`",
    ]


def _named(place: Path, run: Path) -> str:
    """`masked/domain`; with its run where that is another."""
    inside = place.is_relative_to(run)
    return plain(place.relative_to(run if inside else run.parent).as_posix())


def _texts(one: Published) -> str:
    by = readers(one.steps)
    rows = [
        [
            source.text,
            plain(source.title or source.name),
            ", ".join(source.splits),
            plain(source.licence) or "**none stated**",
            plain(source.origin) or "not stated",
            ", ".join(by.get(source.text, [])) or "nothing",
        ]
        for source in one.sources
    ]
    files = {name: sha for step in one.steps for name, sha in step.files.items()}
    lines = [f"- `{without_places(name)}` sha256 `{sha}`" for name, sha in [*files.items()][:FILES]]
    if len(files) > FILES:
        lines.append(f"- and {len(files) - FILES} more")
    table = markdown_table(["text", "source", "splits", "licence", "origin", "read by"], rows)
    return f"{table}\n\nThe files and cards that were read:\n\n" + "\n".join(lines)


def _licences(one: Published) -> str:
    mine = f"This model: `{one.licence}`." if one.licence else "No licence has been chosen for this model."
    points = "\n".join(f"- {plain(line)}" for line in one.concerns)
    return f"{mine}\n\n{points or 'The cards of its texts name nothing that stands against it.'}"


def _found(one: Published) -> list[str]:
    """What was measured: of a training on held-out text, of a task model on test rows, of arms against each other."""
    metrics, parts = one.made["metrics"], []
    rows = [[name.replace("_", " "), f"{metrics[f'{name}_before']:.2f}", f"{value:.2f}"]
            for name, value in metrics.items() if f"{name}_before" in metrics]  # fmt: skip
    if rows:
        parts.append(markdown_table(["on held-out text", "before", "after"], rows))
    if one.evidence:
        parts.append(_seeds(one))
    parts += ["\n".join(f"- {line}" for line in one.verdicts)] if one.verdicts else []
    parts += [markdown_table([*map(english, t.head)], [[*map(english, row)] for row in t.rows]) for t in one.tables]
    parts += [CORRECTED] if one.verdicts else []
    return ["## What was found", *parts] if parts else []


def _seeds(one: Published) -> str:
    metric, metrics = str(one.evidence["metric"]), one.made["metrics"]
    kept = _kept(one.evidence)["seed"]
    scores = ", ".join(
        f"{seed['measured'][metric]:.1f}" + (" (this model)" if seed["seed"] == kept else "")
        for seed in one.evidence["seeds"]
    )
    mean = plus_minus(metrics[metric], metrics.get(f"{metric}_sd"))
    reached = f"{metric.replace('_', ' ')} on {metrics['test_rows']:,} test rows: {mean}"
    seeds = len(one.evidence["seeds"])
    return (
        f"{reached} over {seeds} seeds ({scores}); the seed was chosen on dev."
        if seeds > 1
        else f"{reached}, one seed."
    )


def _again(one: Published) -> str:
    how, step = one.made["provenance"], one.steps[-1]
    name = step.folder.parent.name
    versions = ", ".join(f"{package} {version}" for package, version in how["versions"].items())
    return (
        f"Keymask at commit `{how['commit']}`, Python {how['python']}, {versions}; {how['machine']}. It was made by "
        f"`{command(step)}` with this recipe (what it does not name is at its default):\n\n"
        f"```toml\n# {name}.toml\n{recipe(one.steps, one.defaults)}\n```\n\n"
        "With its cards where the recipe finds them, their files under `DATA`:\n\n"
        f"```\nmake {step.name} RECIPE={name}.toml DATA=<folder>\n```"
    )
