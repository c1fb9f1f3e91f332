"""How an artifact was made, in a few words: a line a stage, the place to add another."""

from collections.abc import Callable, Mapping

from pipeline.publishing.lineage import Step
from pipeline.publishing.repeating import without_places
from pipeline.run.artifact import Manifest


def told_of(step: Step) -> str:
    """How an artifact was made, in a few words."""
    stage = str(step.manifest["stage"])
    how = TOLD.get(stage)
    return how(step.manifest["config"], step.manifest["metrics"]) if how else stage.replace("_", " ")


def _documents(config: Manifest, metrics: Mapping[str, float]) -> str:
    count = sum(count for name, count in metrics.items() if name.endswith("/train"))
    return f"{count:,} documents to learn from, cleaned"


def _begun(config: Manifest, metrics: Mapping[str, float]) -> str:
    named = without_places(str(config["model"]))
    return f"`{named}`" if named else f"pretrained from scratch, {config['objective']}"


def _masked(config: Manifest, metrics: Mapping[str, float]) -> str:
    policy = str(config["policy"]).replace("_", " ")
    by = f" by {config['scorer']}" if policy == "selective" else ""
    return f"{policy} masking{by}, {config['mask_rate']:.0%} of the tokens"


TOLD: Mapping[str, Callable[[Manifest, Mapping[str, float]], str]] = {
    "prepare": _documents,
    "start": _begun,
    "pretrain": lambda config, _: f"continued pretraining, {config['objective']}",
    "mask": _masked,
    "finetune": lambda config, found: f"fine-tuned on {found['train_rows']:,} rows, {len(config['seeds'])} seeds",
    "score": lambda config, _: f"importance of words, {config['scorer']}",
    "train_tagger": lambda *_: "a tagger of important words",
    "choose": lambda config, _: f"documents like the task's, {config['method']}",
    "interpolate": lambda config, _: f"weights mixed, {config['alpha']:g} of the adapted",
    "train_multitask": lambda *_: "several tasks learned at once",
}
"""Stage -> how it went, of its settings and metrics."""
