"""Fine-tune a classifier on the task from any checkpoint: several seeds, best epoch by dev, test once.

    make finetuned-base        make finetuned-dapt

reads   base/ dapt/ tapt/ …   the checkpoint to start from
        corpus/task/          train, dev and test rows
writes  finetuned-<init>/     the model of the best dev seed, results of every seed, predictions of every test row;
                              seeds/<seed>/, every model, where asked for
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpora.parquet import read_rows, write_corpus
from corpora.schemas import PREDICTIONS
from pipeline.batches import LabelledBatches
from pipeline.draws import bits
from pipeline.metrics import classification, mean_sd
from pipeline.models import load_classifier, load_tokenizer, model_card, save
from pipeline.objectives import Labelling
from pipeline.prediction import predict
from pipeline.run.artifact import SCRATCH, keyed
from pipeline.run.processes import processes, rank, say, wait_for_all
from pipeline.run.stage import run
from pipeline.trainer import TrainerConfig, train

Result = dict[str, object]
"""seed, dev, steps, accuracy, macro_f1, and what was predicted of every test row."""


@dataclass(frozen=True)
class FinetuneConfig:
    """How the classifier is trained, the same for every checkpoint that is compared."""

    max_length: int = 128
    """Longest input in ids; what is longer is cut at the end, and counted."""
    seeds: tuple[int, ...] = (13, 43, 83, 181, 271)
    """Seeds of head, order and dropout; every one is reported (the first of Train No Evil's)."""
    keep_seeds: bool = False
    """Keep every seed's model in seeds/<seed>/, so that make agreement can say what another seed changes. Off, as five
    large models are five times the disk."""
    metric: str = "accuracy"
    """What chooses the best epoch on dev: accuracy or macro_f1."""
    trainer: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=32, learning_rate=2e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999), evaluations=10
        )
    )
    """Length and pace; debiased AdamW and enough epochs for few labels (Zhang et al. 2021)."""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds must name at least one seed")
        if self.metric not in ("accuracy", "macro_f1"):
            raise ValueError(f"metric = {self.metric} must be accuracy or macro_f1")
        if self.trainer.evaluations < 1:
            raise ValueError("trainer.evaluations must be at least 1: the best epoch is chosen on dev")


@dataclass(frozen=True)
class Split:
    """One split of the task as the model reads it."""

    ids: list[str]
    labels: list[str]
    batches: LabelledBatches
    cut: int


def finetune(config: FinetuneConfig, init: Path, task: Path, out: Path) -> dict[str, float]:
    """Train one classifier a seed; metrics with mean and standard deviation over seeds."""
    tokenizer = load_tokenizer(init, config.max_length)
    names = sorted({row["label"] for row in read_rows(task / "train", ("label",))})
    splits = {part: _split(config, tokenizer, task / part, names) for part in ("train", "dev", "test")}
    results: list[Result] = []
    for seed in config.seeds:
        results.append(_seed(config, seed, init, names, splits, max((r["dev"] for r in results), default=-1.0), out))
    if rank() == 0:
        write_corpus(out / "predictions", PREDICTIONS, _predictions(results, splits["test"], names))
    return _summary(results, splits)


def _split(config: FinetuneConfig, tokenizer: PreTrainedTokenizerBase, folder: Path, names: list[str]) -> Split:
    rows = list(read_rows(folder, ("id", "text", "text_pair", "label")))
    pairs = [row["text_pair"] for row in rows]
    coded = tokenizer(
        [row["text"] for row in rows], pairs if any(pairs) else None, split_special_tokens=True, verbose=False
    )
    ids = [
        np.array(x[: config.max_length - 1] + x[-1:] if len(x) > config.max_length else x) for x in coded["input_ids"]
    ]
    types = None
    if "token_type_ids" in coded:
        types = [np.array(t[: len(i)]) for t, i in zip(coded["token_type_ids"], ids, strict=True)]
    labels = [row["label"] for row in rows]
    batches = LabelledBatches(ids, [names.index(label) for label in labels], tokenizer.pad_token_id, types)
    return Split(
        [row["id"] for row in rows], labels, batches, sum(len(x) > config.max_length for x in coded["input_ids"])
    )


def _seed(
    config: FinetuneConfig, seed: int, init: Path, names: list[str], splits: dict[str, Split], best: float, out: Path
) -> Result:
    """The result of one seed, from the draft where a killed run already has it; its model is kept if above `best`."""
    done = out / SCRATCH / f"{seed}.json"
    if done.exists():
        return json.loads(done.read_text())
    model = load_classifier(init, names, seed).to(processes().device)
    measure = lambda: _measure(model, splits["dev"].batches)
    trainer = replace(config.trainer, seed=int(bits(config.trainer.seed, seed)) >> 33)
    trained = train(Labelling(model), splits["train"].batches, trainer, f"seed {seed}", measure, best=config.metric)
    probabilities = predict(model, splits["test"].batches)
    test = classification(np.array(splits["test"].batches.labels), probabilities.argmax(1))
    result = {"seed": seed, "dev": trained.evaluation[config.metric], "steps": trained.steps, **test}
    say(f"  seed {seed}: dev {result['dev']:.1f}, test {test[config.metric]:.1f}")
    result |= {"predicted": probabilities.argmax(1).tolist(), "probability": probabilities.max(1).round(4).tolist()}
    if rank() == 0:
        facts = {"labels": ", ".join(names), "seed": seed, "test accuracy": f"{test['accuracy']:.1f}"}
        card = model_card("Classifier", str(init.name), "Fine-tuned by Keymask.", facts | keyed(config.trainer))
        if result["dev"] > best:
            save(model, load_tokenizer(init), out, card)
        if config.keep_seeds:
            save(model, load_tokenizer(init), out / "seeds" / str(seed), card)
        done.parent.mkdir(exist_ok=True)
        done.write_text(json.dumps(result))
    wait_for_all()
    return result


def _measure(model: PreTrainedModel, batches: LabelledBatches) -> dict[str, float]:
    return classification(np.array(batches.labels), predict(model, batches).argmax(1))


def _predictions(results: list[Result], test: Split, names: list[str]) -> Iterator[dict[str, object]]:
    for result in results:
        for i, (name, label) in enumerate(zip(test.ids, test.labels, strict=True)):
            guess, p = names[result["predicted"][i]], result["probability"][i]
            yield {"id": name, "seed": result["seed"], "label": label, "predicted": guess, "probability": p}


def _summary(results: list[Result], splits: dict[str, Split]) -> dict[str, float]:
    summary: dict[str, float] = {}
    for name in ("accuracy", "macro_f1", "dev"):
        summary[name], summary[f"{name}_sd"] = mean_sd([result[name] for result in results])
    summary |= {f"accuracy_seed_{result['seed']}": result["accuracy"] for result in results}
    summary |= {f"{part}_rows": len(split.ids) for part, split in splits.items()}
    return {**summary, "steps": results[0]["steps"], "cut": sum(split.cut for split in splits.values())}


if __name__ == "__main__":
    run(finetune, version=3)
