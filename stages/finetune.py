"""Fine-tune a model on the task from any checkpoint: several seeds, best epoch by dev, test once.

    make finetuned-base        make finetuned-dapt

reads   base/ dapt/ tapt/ …   the checkpoint to start from
        corpus/task/          train, dev and test rows
        corpus/elsewhere/     test rows of other sources, where the recipe names any
writes  finetuned-<init>/     the model of the best dev seed and task.json, what its answers mean; evidence.json, the
                              results of every seed; predictions/ of every test row; seeds/<seed>/, every model, where
                              asked for
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from corpora.cleaning.rewriting import noted_by
from corpora.parquet import metadata_of, read_rows, write_corpus
from corpora.schemas import PREDICTIONS_OF
from pipeline.draws import bits
from pipeline.finetuning import evidence
from pipeline.finetuning.classifier import ModelConfig, inner, new_model, save_task
from pipeline.finetuning.config import FinetuneConfig
from pipeline.finetuning.evidence import Result, result_of, summary
from pipeline.finetuning.inputs import Reader
from pipeline.finetuning.method import fine_tune
from pipeline.finetuning.spelling import SpellingConfig
from pipeline.finetuning.split import Split, cut_of
from pipeline.finetuning.task import Answers, Row, Task
from pipeline.finetuning.tasks import COLUMNS, task_of
from pipeline.models import load_tokenizer, model_card, save
from pipeline.run.artifact import SCRATCH
from pipeline.run.errors import InputError
from pipeline.run.key import keyed
from pipeline.run.processes import processes, rank, wait_for_all
from pipeline.run.progress import say
from pipeline.run.stage import run

PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Work:
    """What all seeds share."""

    config: FinetuneConfig
    model: ModelConfig
    init: Path
    task: Task
    metric: str
    splits: dict[str, Split]
    elsewhere: dict[str, Split]
    out: Path


def finetune(
    config: FinetuneConfig, init: Path, task: Path, out: Path, elsewhere: Path | None = None
) -> dict[str, float]:
    """Train one model a seed; metrics with mean and standard deviation over seeds."""
    reader = Reader(load_tokenizer(init, config.max_length), config.max_length, config.input)
    rows = {part: list(read_rows(task / part, COLUMNS)) for part in PARTS}
    kind = task_of(rows["train"], config.ordered)
    metric = _metric(config, kind)
    _warn_of_rare(kind, rows["train"])
    splits = {part: Split.of(rows[part], reader, kind) for part in PARTS}
    others = {
        path.name: Split.of(list(read_rows(path / "test", COLUMNS)), reader, kind) for path in _folders(elsewhere)
    }
    model = replace(config.model, rewritten=noted_by(metadata_of(task / "train")))
    work = Work(config, model, init, kind, metric, splits, others, out)
    say(f"  {cut_of(work.splits)}")
    results: list[Result] = []
    for seed in config.seeds:
        results.append(_seed(work, seed, max((result.dev for result in results), default=-np.inf)))
    if rank() == 0:
        write_corpus(out / "predictions", PREDICTIONS_OF[kind.kind], _predictions(work))
        told = {"kind": kind.kind, "names": kind.names, "metric": metric, "metrics": kind.metrics}
        told |= {"seeds": [asdict(one) for one in results]}
        (out / evidence.FILE).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    counted = {f"{part}_rows": len(split.rows) for part, split in work.splits.items()}
    cut = sum(int((split.lost > 0).sum()) for split in work.splits.values())
    return {**summary(kind, metric, results), **counted, "steps": results[0].steps, "cut": cut}


def _folders(elsewhere: Path | None) -> list[Path]:
    return sorted(path for path in elsewhere.iterdir() if path.is_dir()) if elsewhere else []


def _metric(config: FinetuneConfig, task: Task) -> str:
    """What counts; refuses settings this kind of task has no use for."""
    if config.metric and config.metric not in task.metrics:
        raise InputError(f"metric = {config.metric} is not for a task of {task.kind}: {', '.join(task.metrics)}")
    if config.thresholds != "half" and not task.has_thresholds:
        raise InputError(
            f"thresholds = {config.thresholds} is for several labels a row and spelling, not for {task.kind}"
        )
    if config.spelling != SpellingConfig() and task.kind != "spelling":
        raise InputError(
            f"[finetuned.spelling] is for source and target, and this task is of {task.kind}: leave it out"
        )
    return config.metric or task.metrics[0]


def _warn_of_rare(task: Task, rows: list[Row]) -> None:
    """A line where classes stand in one training row: often a wrong column, always hard to learn."""
    counts = Counter(name for row in rows for name in set(row["labels"] or [row["label"]]) if name)
    once = sorted(name for name, count in counts.items() if count == 1)
    if once:
        shown = ", ".join(once[:3]) + (", …" if len(once) > 3 else "")
        say(f"! {len(once)} of {len(counts)} classes stand in a single training row ({shown}): are they classes?")


def _seed(work: Work, seed: int, best: float) -> Result:
    """The result of one seed, from the draft where a killed run already has it; its model is kept if above `best`."""
    done = work.out / SCRATCH / f"{seed}.json"
    if done.exists():
        return Result(**json.loads(done.read_text(encoding="utf-8")))
    config, dev, test = work.config, work.splits["dev"], work.splits["test"]
    model = new_model(work.init, work.task, work.model, seed).to(processes().device)
    measure = lambda: dev.measure(*_tuned(work, model))
    trainer = replace(config.trainer, seed=int(bits(config.trainer.seed, seed)) >> 33)
    batches, label = work.splits["train"].batches, f"seed {seed}"
    trained = fine_tune(model, work.task, batches, config, trainer, work.init, label, measure, work.metric)
    task = work.task if config.thresholds == "half" else _tuned(work, model)[0]
    answers = task.answers(model, test.batches)
    result = result_of(seed, trained.evaluation[work.metric], trained.steps, task, test, answers)
    others = {name: split.measure(task, task.answers(model, split.batches)) for name, split in work.elsewhere.items()}
    result = replace(result, elsewhere=others)
    say(f"  seed {seed}: dev {result.dev:.1f}, test {result.measured[work.metric]:.1f}")
    if rank() == 0:
        _keep(work, task, model, result, best)
        done.parent.mkdir(exist_ok=True)
        scores = answers.scores.astype(np.float64).round(4)  # in float32 this moves code points
        np.savez(done.with_suffix(".npz"), scores=scores.astype(np.float32), predicted=answers.predicted)
        done.write_text(json.dumps(asdict(result), ensure_ascii=False), encoding="utf-8")
    wait_for_all()
    return result


def _tuned(work: Work, model: nn.Module) -> tuple[Task, Answers]:
    """What this model says of dev, and the task: with thresholds tuned on that, where it is asked for."""
    task, dev, how = work.task, work.splits["dev"], work.config.thresholds
    answers = task.answers(model, dev.batches)
    if how == "half":
        return task, answers
    tuned = task.tuned(dev.truth, answers.scores, dev.lengths, one_for_all=how == "one")
    return tuned, Answers(answers.scores, tuned.decide(answers.scores))


def _keep(work: Work, task: Task, model: nn.Module, result: Result, best: float) -> None:
    """Save the model where it is the best so far, and where every one is kept."""
    name, score = work.metric.replace("_", " "), result.measured[work.metric]
    facts = {"labels": ", ".join(task.names), "seed": result.seed, f"test {name}": f"{score:.1f}"}
    facts |= keyed(work.config.trainer) | work.config.method
    card = model_card("Classifier", work.init.name, "Fine-tuned by Keymask.", facts)
    places = [work.out] if result.dev > best else []
    places += [work.out / "seeds" / str(result.seed)] if work.config.keep_seeds else []
    for folder in places:
        save(inner(model), load_tokenizer(work.init), folder, card)
        save_task(folder, task, work.model)


def _predictions(work: Work) -> Iterator[Row]:
    """What every seed said of every test row."""
    test, column = work.splits["test"], work.task.column
    for seed in work.config.seeds:
        with np.load(work.out / SCRATCH / f"{seed}.npz") as found:
            said = work.task.told(Answers(found["scores"], found["predicted"]), test.lengths)
        for row, one in zip(test.rows, said, strict=True):
            yield {"id": row["id"], "seed": seed, column: row[column], **one}


if __name__ == "__main__":
    run(finetune, version=4)
