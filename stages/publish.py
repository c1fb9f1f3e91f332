"""Make a folder that strangers can use: a model or a corpus, and a card that says where it came from.

    make publish FROM=dapt                               # runs/demo/published-dapt/, nothing leaves this machine
    make publish FROM=dapt PUSH=me/reviews-zh            # and what would be uploaded (stages/push.py)
    make publish FROM=corpus                             # a data set: its cards must state their licences

reads   dapt/, finetuned-dapt/, corpus/, …   what is published
        runs/<recipe>/*                      the manifests of all it was made of; arms fine-tuned beside it
        the cards of its texts, under DATA
writes  published-<name>/                    what a stranger needs, linked; README.md, the card
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from corpora.cards import Card
from corpora.config import CorpusConfig
from corpora.dataset_card import write_dataset_card
from corpora.parquet import read_rows
from corpora.parts import CORPORA, Part, parts
from corpora.schemas import InputError as CorpusError
from corpora.spelling.noise import NoiseConfig
from pipeline.finetuning.evidence import FILE as EVIDENCE
from pipeline.pages.parts import Table
from pipeline.publishing.card import Published, published_card
from pipeline.publishing.licences import Source, concerns
from pipeline.publishing.lineage import Step, lineage
from pipeline.publishing.repeating import without_places
from pipeline.publishing.sentences import write_sentence_files
from pipeline.publishing.weights import Weights
from pipeline.results import sections
from pipeline.results.arms import Arm, by_task, comparable
from pipeline.results.differences import differences, failed, verdicts
from pipeline.run.artifact import MANIFEST, Manifest, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.key import file_digest
from pipeline.run.progress import say
from pipeline.run.stage import run

OF_A_MODEL = (
    *("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "task.json", "head.json"),
    *("tokenizer*.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "chat_template*"),
    *("vocab.*", "merges.txt", "*.bpe", "spiece.model", "sentencepiece*.model"),
)
"""Files that open a model; predictions, logs and what every seed found stay at home."""
OF_A_CORPUS = ("general", "domain", "task", "beside", "elsewhere")
"""Its texts; what was dropped, in rejected/ and preview.md, stays at home."""
NOT_READ = ("published", "report", "shown", "predicted", "corrected")
"""Artifacts of a run that nothing is made of."""
CONFIDENCE = 0.95
"""Of intervals, as in a report."""


@dataclass(frozen=True)
class PublishConfig:
    """The section [published]."""

    licence: str = ""
    """Of what is published, as the hub names it: apache-2.0, cc-by-sa-4.0, other. Empty: none has been chosen, and the
    card has none; then nothing is uploaded for everyone to see."""
    sentence_transformers: bool = False
    """Whether SentenceTransformer(folder) is to open the model: texts as vectors, by the mean over their tokens."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*|", self.licence):
            raise ValueError(
                f'licence = "{self.licence}" must be as the hub names it: apache-2.0, cc-by-4.0, mit, other'
            )


def publish(config: PublishConfig, model: Path, runs: Path, data: Path, defaults: Path, out: Path) -> dict[str, float]:
    """Link what a stranger needs of an artifact and write its card; metrics with how many files and bytes."""
    manifest = read_manifest(model)
    if manifest["stage"] == "prepare":
        _publish_corpus(config, manifest, model, data, out)
    elif (model / "config.json").exists():
        _publish_model(config, model, runs, data, json.loads(defaults.read_text(encoding="utf-8")), out)
    else:
        raise InputError(
            f"{model} is neither a model nor a corpus: publish FROM=dapt, FROM=finetuned-dapt, FROM=corpus"
        )
    files = [path for path in out.rglob("*") if path.is_file()]
    return {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _publish_model(
    config: PublishConfig, model: Path, runs: Path, data: Path, defaults: dict[str, Manifest], out: Path
) -> None:
    _link(model, out, _opens_a_model)
    weights = Weights.of(out)
    if config.sentence_transformers:
        write_sentence_files(out, weights)
    steps, evidence = lineage(model), model / EVIDENCE
    found, tables = _compared(runs, model.name.removeprefix("finetuned-"))
    card = Published(
        name=f"{model.parent.name}-{model.name}",
        weights=weights,
        steps=steps,
        sources=[source for step in _corpora(steps) for source, _ in _sources(step, data)],
        languages=[*dict.fromkeys(str(step.manifest["config"]["language"]) for step in _corpora(steps))],
        defaults=defaults,
        licence=config.licence,
        sentences=config.sentence_transformers,
        evidence=json.loads(evidence.read_text(encoding="utf-8")) if evidence.exists() else {},
        verdicts=found,
        tables=tables,
    )
    (out / "README.md").write_text(published_card(card), encoding="utf-8")


def _publish_corpus(config: PublishConfig, manifest: Manifest, corpus: Path, data: Path, out: Path) -> None:
    """Texts go out as they are, so every source says by what right, be it that none is stated."""
    if config.sentence_transformers:
        raise InputError(f"published.sentence_transformers is for a model, and {corpus} holds texts: leave it out")
    found = [*_sources(lineage(corpus)[-1], data)]
    if lost := [source.name for source, part in found if part is None]:
        raise InputError(f"no card of {', '.join(lost)} any more: without it nobody can say its licence; set DATA=")
    if silent := [part[0] for _, part in found if not part[0].licence.strip()]:
        raise InputError(
            "; ".join(f"card {card.name} states no licence" for card in silent)
            + f': write licence = "…" into {silent[0].path}, be it "none stated", and run make corpus'
        )
    _link(corpus, out, _is_text)
    against = "".join(f"- {line}\n" for line in concerns([source for source, _ in found], ""))
    told = f"Texts keep the licences of their sources.\n\n## Licences\n\n{against or 'Nothing stands against it.'}\n"
    named = [part for _, part in found]
    write_dataset_card(out, str(manifest["config"]["language"]), manifest["metrics"], named, told, config.licence)


def _opens_a_model(name: str) -> bool:
    tail = name.removeprefix("generator/")  # the second model of rtd
    return "/" not in tail and any(fnmatch(tail, pattern) for pattern in OF_A_MODEL)


def _is_text(name: str) -> bool:
    return name.split("/", maxsplit=1)[0] in OF_A_CORPUS and name.endswith(".parquet")


def _link(artifact: Path, out: Path, wanted: Callable[[str], bool]) -> None:
    """The files of an artifact that are wanted, in their folders, after a look whether they are what was sealed."""
    for name, entry in read_manifest(artifact)["files"].items():
        if not wanted(name):
            continue
        source, target = artifact / name, out / name
        if not source.is_file() or file_digest(source) != entry["sha256"]:
            raise InputError(f"{source} is not the file that was made: remove {artifact} and make it again")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # another file system, or one without hard links
            shutil.copy2(source, target)


# ---- where the texts came from -------------------------------------------------------------------------------------


def _corpora(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.manifest["stage"] == "prepare"]


def _sources(corpus: Step, data: Path) -> Iterator[tuple[Source, Part | None]]:
    """Of every card a recipe named what it states now, and the card; None of one that is no longer to be found."""
    config = corpus.manifest["config"]
    for text in CORPORA:
        named = config["noise"]["text"] if text == "noise" else config.get(text, ())
        for one in filter(None, [named] if isinstance(named, str) else named):
            yield _source(corpus, text, one, data)


def _source(corpus: Step, text: str, named: str, data: Path) -> tuple[Source, Part | None]:
    try:
        [(card, splits)] = parts(_config(text, named), text, data)
    except CorpusError:
        name, _, splits = named.partition(":")
        lost = "its card is no longer to be found, so nobody can say its licence"
        return Source(text, without_places(name), tuple(filter(None, splits.split("+"))), changed=lost), None
    same = corpus.files.get(card.path.name) == file_digest(card.path)
    told = (card.title, card.licence, without_places(_origin(card)), card.hub.name if card.hub else "")
    return Source(text, card.name, splits, *told, "" if same else "its card was changed since it was read"), (
        card,
        splits,
    )


def _config(text: str, named: str) -> CorpusConfig:
    if text == "noise":
        return CorpusConfig(noise=NoiseConfig(text=(named,)))
    return CorpusConfig(**{text: named if text == "task" else (named,)})


def _origin(card: Card) -> str:
    return f"{card.origin} {card.hub}".strip() if card.hub else card.origin


# ---- whether it helped ---------------------------------------------------------------------------------------------


def _compared(folder: Path, name: str) -> tuple[list[str], list[Table]]:
    """What the report of the run says of an arm, in sentences and numbers: against base, and against its controls."""
    arms = _arms(folder)
    arm = next((one for one in arms[1:] if name in [again.last for again in one.pretrainings]), None)
    if arm is None:
        return [], []
    [found] = differences([arms], read_rows, CONFIDENCE)
    mine = [one for one in found if arm.name in (one.arm, one.control)]
    shown = [one for one in arms if one.name in {name for pair in mine for name in (pair.arm, pair.control)}]
    tables = [
        sections.results_table(shown, found),
        *(t for t in sections.comparisons(mine).parts if isinstance(t, Table)),
    ]
    return [line.en for line in (*verdicts(mine, arms), *failed(shown), sections.luck(shown))], tables


def _arms(folder: Path) -> list[Arm]:
    """The arms of a run that can be compared, base first; none where there is no base among them."""
    try:
        arms = comparable(by_task([folder])[0])[0]
    except InputError as error:  # none, or a checkpoint that is gone
        say(f"! the card compares nothing: {error}")
        return []
    return arms if arms[0].last == "base" else []


def sources(config: PublishConfig, runs: Path, data: Path, defaults: Path) -> list[Path]:
    """All that a card is read off beside the model: it is written again when one of them changes."""
    made = [path.parent for path in sorted(runs.glob(f"*/{MANIFEST}")) if not path.parent.name.startswith(NOT_READ)]
    corpora = [folder for folder in made if folder.name == "corpus"]
    cards = [part[0].path for folder in corpora for _, part in _sources(lineage(folder)[-1], data) if part]
    return [*dict.fromkeys([*(folder / MANIFEST for folder in made), *cards]), defaults]


if __name__ == "__main__":
    run(publish, version=2, sources=sources)
