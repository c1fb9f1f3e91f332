"""The promises of the training engine, kept before your eyes.

    make prove-resume

For a small BERT, RoBERTa and ModernBERT, with dropout: train without a break; train again and again kill the process
(SIGKILL) at random steps until it has finished; the weights must have one hash. Then the same training by two
processes and by four micro-batches, and every sequence alone against all side by side.

On a GPU attention drops nothing, as its kernels draw for themselves; two processes need two GPUs. Half precision,
which is what a GPU with bf16 gets unless ACCELERATE_MIXED_PRECISION=no, rounds more coarsely, and is held to that.
"""

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig
from pipeline.masking.replacement import Vocabulary
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.run.processes import processes, rank
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train
from pipeline.training.unpadding import first_position, unpad, unpadded_attention

KINDS = ("bert", "roberta", "modernbert")
STEPS, KILLS, VOCABULARY, PAD, MASK = 40, 3, 500, 1, 4
TWO_PROCESSES = ("accelerate", "launch", "--config_file", "stages/launch/cpu2.yaml")


@dataclass(frozen=True)
class Within:
    """How near is near enough."""

    loss: float
    weight: float
    hidden: float


def within() -> Within:
    """In fp32, and in the half precision of this machine's GPU."""
    half = processes().mixed_precision != "no"
    return Within(loss=0.05, weight=0.01, hidden=0.05) if half else Within(loss=1e-4, weight=1e-4, hidden=2e-6)


def model_of(kind: str, dropout: float) -> PreTrainedModel:
    """A random model, 2 layers of width 32."""
    sizes = {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    names = ("attention_dropout", "embedding_dropout", "mlp_dropout")
    if kind != "modernbert":
        names = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    drops = dict.fromkeys(names, dropout)
    if torch.cuda.is_available():
        drops |= {name: 0.0 for name in names if name.startswith("attention")}
    config = AutoConfig.for_model(kind, **sizes, **ids, intermediate_size=64, max_position_embeddings=66, **drops)
    torch.manual_seed(0)
    return AutoModelForMaskedLM.from_config(config)


def batches() -> MaskedBatches:
    """600 sequences of 5 to 60 random ids in words of one to three."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(5, 61, 600)
    offsets = np.cumsum([0, *lengths])
    words = np.concatenate([np.repeat(np.arange(n), draw.integers(1, 4, n))[:n] for n in lengths])
    ids = draw.integers(5, VOCABULARY, offsets[-1])
    names = np.array([f"row-{i}" for i in range(len(lengths))], dtype="S")
    sequences = Sequences(names, offsets, ids.astype(np.int32), words.astype(np.int32), np.zeros(len(ids), np.uint8))
    vocabulary = Vocabulary(MASK, np.arange(5, VOCABULARY, dtype=np.int32))
    return MaskedBatches(sequences, MaskingConfig(policy="whole_word"), vocabulary, PAD)


def run_training(kind: str, held: int, out: Path) -> None:
    """One training, to `out`/model.safetensors; continues what a killed one left there."""
    config = TrainerConfig(
        steps=STEPS, batch_size=16, per_device_batch_size=held, learning_rate=1e-3, save_steps=4, warmup_ratio=0.1
    )
    objective = MaskedLM(model_of(kind, 0.1).to(processes().device))
    train(objective, batches(), config, kind, folder=out)
    if rank() == 0:
        save_file(
            {name: p.detach().cpu() for name, p in objective.model.named_parameters()}, out / "model.safetensors"
        )


def train_in(out: Path, kind: str, held: int = 16, launch: tuple[str, ...] = ()) -> subprocess.Popen:
    """The same in a process of its own."""
    before = [str(Path(sys.executable).parent / launch[0]), *launch[1:]] if launch else [sys.executable]
    call = [*before, "-m", "tests.proofs", "--train", kind, str(held), str(out)]
    return subprocess.Popen(call, stderr=subprocess.DEVNULL)


def finished(process: subprocess.Popen) -> None:
    """Wait for a training that nobody breaks."""
    assert process.wait() == 0, f"the training failed: {process.args}"


def steps_done(out: Path) -> int:
    """Lines of the log: steps that were made, over all lives of the training."""
    log = out / "logs" / "metrics.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def train_and_kill(out: Path, kind: str) -> list[int]:
    """Train with dropout, killed at random steps; the steps at which it died."""
    died = []
    while len(died) < KILLS:
        process, goal = train_in(out, kind), steps_done(out) + random.randint(1, STEPS // (KILLS + 1))
        while process.poll() is None and steps_done(out) < goal:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        died.append(steps_done(out))
    finished(train_in(out, kind))
    return died


def digest(out: Path) -> str:
    """Hash of the weights a training ended with."""
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()[:12]


def apart(one: Path, other: Path) -> tuple[float, float]:
    """The largest difference between two trainings: of a step's loss, and of a weight."""
    losses = [[json.loads(line)["loss"] for line in (out / "logs" / "metrics.jsonl").open()] for out in (one, other)]
    weights = [load_file(out / "model.safetensors") for out in (one, other)]
    weight = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    return float(np.abs(np.subtract(*losses)).max()), weight


def alone_or_together(kind: str) -> float:
    """The largest difference between the hidden states of sequences side by side and of each alone."""
    device = processes().device
    model, data = model_of(kind, 0.0).eval().to(device), batches()
    rows = {name: x.to(device) for name, x in data.batch(np.arange(40), np.zeros(40, dtype=int)).items()}
    rows.pop("labels")
    with torch.no_grad(), processes().autocast():
        with unpadded_attention(model):
            together = model.base_model(**unpad(rows, first_position(model), model.device)).last_hidden_state[0]
        alone = [
            model.base_model(input_ids=ids[None, : int(mask.sum())]).last_hidden_state[0]
            for ids, mask in zip(rows["input_ids"], rows["attention_mask"], strict=True)
        ]
    return float((together - torch.cat(alone)).abs().max())


def proofs(kind: str, folder: Path) -> Iterator[tuple[str, bool]]:
    """What was seen of one kind of model, and whether it is what was promised."""
    finished(train_in(folder / "unbroken", kind))
    wanted = digest(folder / "unbroken")
    yield f"unbroken, {STEPS} steps, dropout 0.1: weights {wanted}", True
    near, died = within(), train_and_kill(folder / "killed", kind)
    found = digest(folder / "killed")
    yield f"killed (SIGKILL) after steps {', '.join(map(str, died))} and resumed: weights {found}", found == wanted
    arms = {"two processes": {"launch": TWO_PROCESSES}, "four micro-batches": {"held": 4}}
    if torch.cuda.device_count() == 1:
        arms.pop("two processes")
    for name, more in arms.items():
        out = folder / name.replace(" ", "-")
        finished(train_in(out, kind, **more))
        loss, weight = apart(folder / "unbroken", out)
        yield f"{name}: loss within {loss:.0e}, weights within {weight:.0e}", loss < near.loss and weight < near.weight
    hidden = alone_or_together(kind)
    yield f"side by side = each alone: hidden states within {hidden:.0e}", hidden < near.hidden


def main(kinds: Sequence[str]) -> int:
    """Prove it for these kinds of models; 1 when a promise was broken."""
    folder, broken = Path(tempfile.mkdtemp(prefix="proofs-")), 0
    try:
        for kind in kinds:
            print(kind)
            for text, kept in proofs(kind, folder / kind):
                print(f"  {'✓' if kept else '✗'} {text}", flush=True)
                broken += not kept
    finally:
        shutil.rmtree(folder)
    print("every promise kept" if not broken else f"{broken} promises broken")
    return int(broken > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", nargs=3, metavar=("KIND", "HELD", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, help="one kind of model; all when none is named")
    given = parser.parse_args()
    if given.train:
        run_training(given.train[0], int(given.train[1]), Path(given.train[2]))
    else:
        sys.exit(main([given.kind] if given.kind else KINDS))
