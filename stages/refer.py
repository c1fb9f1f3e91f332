"""Store what a reference model loses on every token of the masked corpus, once, for `clm.select = excess_loss`.

    make dapt BASE=<decoder> REFERENCE=<its copy adapted to good text> SET="… dapt.clm.select=excess_loss"

reads   masked/       sequences of domain and task, train/ and dev/
        a checkpoint  the reference: a decoder with the same tokenizer
writes  referred/     domain/ and task/, each train/: one row a sequence with the loss of each of its tokens in nats

Rho-1 (Lin et al. 2024) asks the reference in every batch or stores its scores; stored, a training costs no more than
without one, and any number of trainings share them. Under `accelerate launch` each process takes the next shard.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpora.parquet import metadata_of, read_batches, shards, write_shard
from corpora.schemas import REFERRED
from pipeline.models import load_causal_lm, load_tokenizer
from pipeline.objectives.causal_lm import CausalLM, token_losses
from pipeline.run.errors import InputError
from pipeline.run.processes import processes, total, wait_for_all
from pipeline.run.sharing import claimed, share, unmade
from pipeline.run.stage import run
from pipeline.tokens import fingerprint


@dataclass(frozen=True)
class ReferConfig:
    """How a reference is asked."""

    batch_sequences: int = 1024
    """Sequences looked at together; they are sorted by length inside, so a larger number wastes less on padding."""


def refer(config: ReferConfig, masked: Path, reference: Path | None, out: Path) -> dict[str, float]:
    """Write the losses; metrics with their mean and the reference's perplexity."""
    if reference is None:
        raise InputError("clm.select = excess_loss needs a reference model: set REFERENCE=<folder of a checkpoint>")
    tokenizer = load_tokenizer(reference)
    parts = [part for part in (Path("domain") / "train", Path("task") / "train") if (masked / part).exists()]
    targets = {path: out / part / path.name for part in parts for path in shards(masked / part)}
    for path in targets:
        if metadata_of(path).get("tokenizer") != fingerprint(tokenizer):
            raise InputError(f"{reference} has another tokenizer than {masked}: take checkpoints of one base")
    objective = CausalLM(load_causal_lm(reference).to(processes().device)).eval()
    for source in claimed(unmade(targets), "shards"):
        _refer_shard(config, objective, source, targets[source])
    wait_for_all()
    found = total(_added([json.loads(metadata_of(path)["counts"]) for path in share(targets.values())]))
    mean = found["loss"] / max(found["tokens"], 1)
    return {"tokens": found["tokens"], "loss": mean, "perplexity": float(np.exp(mean))}


def _refer_shard(config: ReferConfig, objective: CausalLM, source: Path, target: Path) -> None:
    """One shard of sequences -> one shard of losses, row for row, with its counts in the footer."""
    counts, metadata = {"tokens": 0, "loss": 0.0}, {}

    def rows() -> Iterator[dict[str, object]]:
        for batch in read_batches(source, ("id", "input_ids"), config.batch_sequences):
            losses = token_losses(objective, [np.array(ids) for ids in batch["input_ids"]])
            for name, row in zip(batch["id"], losses, strict=True):
                counts["tokens"] += len(row) - 1
                counts["loss"] += float(row.sum(dtype=np.float64))
                yield {"id": name, "loss": row}
        metadata["counts"] = json.dumps(counts)

    write_shard(target, REFERRED, rows(), metadata)


def _added(counts: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(count[name] for count in counts) for name in ("tokens", "loss")}


if __name__ == "__main__":
    run(refer)
