"""Is this machine, and is this base, fit for what is to come? Each trap by a name, with its remedy, before any hours.

A finding is good, worth a note, or a fault that makes training useless or impossible.
"""

import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.diagnosis import masked_losses, mean_and_error, sequences_from
from pipeline.models import ModelSize, load_causal_lm, load_config, load_masked_lm, load_tokenizer, new_bert
from pipeline.objectives.permuted_lm import open_xlnet
from pipeline.run.artifact import Manifest, read_manifest
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.tokens import Frame, Spans, sequence_rows, unknown_rate
from pipeline.training.optim import adamw
from pipeline.training.unpadding import can_unpad, first_position

ENOUGH_DISK = 10e9
"""Bytes free without a note: a base, its checkpoints and a corpus."""
BYTES_A_PARAMETER = 16
"""Of a training in fp32: weight, gradient and two moments."""
DEAD, DULL = 0.95, 0.02
"""A head is dead whose masked loss is this share of a blind guess's or more; more unknown tokens than DULL are worth a
note."""
LONGEST = 64
"""Ids of a sequence that is looked at."""
DECAYED = ("modernbert", "modernbert-decoder", "eurobert")
"""Kinds of model that are published past a decay to almost 0, after a long time at one rate: ModernBERT (Warner et al.
2024), mmBERT, Ettin, EuroBERT and what was made of them."""
AFTER_DECAY, BEFORE_DECAY = 5e-5, 3e-4
"""Learning rates those are continued at: past their decay, and from before it, as BioClinical ModernBERT was."""

State = Literal["good", "note", "fault"]


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it."""

    name: str
    state: State
    fact: str
    remedy: str = ""


# ---- the machine ----------------------------------------------------------------------------------------------------


def machine(runs: Path, pinned: dict[str, str]) -> Iterator[Finding]:
    """Python and libraries against `pinned` versions, devices, memory, disk, and a sentence learned."""
    yield Finding("python", "good", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    yield _libraries(pinned)
    yield from _devices()
    free = shutil.disk_usage(next(p for p in (runs, *runs.resolve().parents) if p.exists())).free
    remedy = "set RUNS= to a disk with more" if free < ENOUGH_DISK else ""
    yield Finding("disk", "note" if remedy else "good", f"{free / 1e9:.0f} GB free for {runs}", remedy)
    yield _learns()


def _libraries(pinned: dict[str, str]) -> Finding:
    other = [f"{name} {there or 'is missing'} (pinned: {wanted})" for name, wanted in pinned.items()
             if ((there := _version(name)) or "").partition("+")[0] != wanted]  # fmt: skip
    if other:
        return Finding("libraries", "note", ", ".join(other), "run make setup, or expect other figures")
    return Finding("libraries", "good", f"torch {torch.__version__}, {len(pinned)} libraries as pinned")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    yield Finding("processor", "good", f"{cores} cores, {pages / 1e9:.0f} GB of memory")
    if not torch.cuda.is_available():
        driver = shutil.which("nvidia-smi")
        told = "an NVIDIA driver is there, and torch sees no GPU" if driver else "none: training runs on the processor"
        remedy = "install torch for CUDA: make setup TORCH_INDEX=" if driver else ""
        yield Finding("gpu", "note" if driver else "good", told, remedy)
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        name = torch.cuda.get_device_name(number)
        kind = "bf16" if torch.cuda.is_bf16_supported() else "no bf16: fp16 with loss scaling"
        yield Finding("gpu", "good", f"{name}, {free / 1e9:.0f} of {total / 1e9:.0f} GB free, {kind}")


def _learns() -> Finding:
    """A model of two layers learns one masked sentence by heart."""
    started, ids = time.perf_counter(), torch.arange(5, 21)[None]
    model = new_bert(ModelSize(32, 2, 2, 32, 0.0), 40, 0, 0).to(processes().device)
    optimizer = adamw(model, 5e-3, (0.9, 0.98), 1e-6, 0.0)
    hidden, labels = ids.clone(), torch.full_like(ids, -100)
    hidden[0, ::4], labels[0, ::4] = 4, ids[0, ::4]
    batch = {"input_ids": hidden.to(model.device), "labels": labels.to(model.device)}
    for _ in range(30):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    seconds = time.perf_counter() - started
    left = float(loss.detach())
    if not left < 0.1:
        return Finding("training", "fault", f"one sentence was not learned: loss {left:.2f}", "install torch again")
    return Finding("training", "good", f"a masked sentence is learned by heart in {seconds:.1f} s")


# ---- the base -------------------------------------------------------------------------------------------------------


def base(place: str | Path, texts: Sequence[str], spans: Spans, rates: Mapping[str, float]) -> Iterator[Finding]:
    """A checkpoint from a folder or hub name, looked at with a few hundred texts of its language.

    `rates` are the peak learning rates it is to be continued at: setting -> rate.
    """
    config, tokenizer = load_config(place), load_tokenizer(place)
    masks = type(config) in MODEL_FOR_MASKED_LM_MAPPING
    if masks:
        model, kind = load_masked_lm(place), "masked words"
    elif config.model_type == "xlnet":
        model, kind = open_xlnet(place, 0), "words in any order: set objective = plm in [base] and [dapt]"
    else:
        model, kind = load_causal_lm(place), "next tokens: set objective = clm in [base] and [dapt]"
    yield Finding("base", "good", f"{config.model_type}, {model.num_parameters() / 1e6:.1f} M parameters, {kind}")
    yield from _tokenizer(tokenizer, texts, spans, model)
    yield _room(model, tokenizer)
    if masks:
        yield _head(place, model, tokenizer, texts, spans)
    unpadded = can_unpad(model, causal=not masks)
    told = "sequences stand in one row, each alone: the same as padded" if unpadded else "batches are padded"
    yield Finding(
        "rows", "good" if unpadded else "note", told, "" if unpadded else "expect half the speed on short texts"
    )
    yield _memory(model)
    yield from _decay(place, config.model_type, rates) if rates else ()


def _tokenizer(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spans: Spans, model: PreTrainedModel
) -> Iterator[Finding]:
    rows, entries = model.get_input_embeddings().num_embeddings, len(tokenizer)
    frame = Frame.of(tokenizer)
    around = f"{tokenizer.decode(frame.before) or 'nothing'} … {tokenizer.decode(frame.after) or 'nothing'}"
    yield Finding("tokenizer", "good", f"{entries:,} entries, {rows:,} embeddings, {around} around a text")
    unknown = unknown_rate(tokenizer, texts)
    words = sum(len(spans(text)) for text in texts)
    tokens = sum(map(len, tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]))
    dull = unknown > DULL
    remedy = "another base, or [base.vocabulary] to add what is missing" if dull else ""
    told = f"{tokens / max(words, 1):.2f} tokens a word, {unknown:.2%} unknown"
    yield Finding("vocabulary", "note" if dull else "good", told, remedy)
    yield _offsets(tokenizer, texts, spans)


def _offsets(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spans: Spans) -> Finding:
    """Whether tokens can be told which word they belong to."""
    without = total = 0
    for row in _rows(tokenizer, texts, spans):
        inside = ~np.isin(row["input_ids"], tokenizer.all_special_ids)
        total += int(inside.sum())
        without += int((inside & (row["word_ids"] < 0)).sum())
    if without > 0.01 * total:
        told = f"{without} of {total} tokens belong to no word"
        return Finding("word offsets", "fault", told, "save the tokenizer again as tokenizer.json with offsets")
    return Finding("word offsets", "good", f"of {total:,} tokens each belongs to its word")


def _room(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Finding:
    first = first_position(model)
    takes = getattr(model.config, "max_position_embeddings", 0) - first
    longest = min(takes, tokenizer.model_max_length) if takes > 0 else tokenizer.model_max_length
    counted = f"positions count from {first}" if first else "positions count from 0"
    return Finding("length", "good", f"at most {longest:,} ids a sequence; {counted}")


def _head(
    place: str | Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spans: Spans
) -> Finding:
    """Masked words guessed: beside a blind guess, and beside one that knows how frequent every token is."""
    rows = list(_rows(tokenizer, texts, spans))
    sequences = sequences_from(rows)
    loss, error = mean_and_error(*masked_losses(model, tokenizer, sequences))
    blind = float(np.log(model.config.vocab_size))
    counts = np.bincount(sequences.input_ids[sequences.word_ids >= 0])
    shares = counts[counts > 0] / counts.sum()
    frequent = float(-(shares * np.log(shares)).sum())
    told = f"masked words cost {loss:.2f} ± {error:.2f}; by their frequency alone {frequent:.2f}, blind {blind:.2f}"
    if loss >= DEAD * blind:
        remedy = "its head for masked words is not trained: train longer, or take a checkpoint saved with its head"
        return Finding("head", "fault", told, remedy)
    if loss >= frequent:
        return Finding("head", "note", told, "it has hardly learned, or not this language: make diagnose says more")
    return Finding("head", "good", told)


def _memory(model: PreTrainedModel) -> Finding:
    needs = BYTES_A_PARAMETER * model.num_parameters()
    cuda = torch.cuda.is_available()
    there = torch.cuda.mem_get_info()[1] if cuda else os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    told = f"weights, gradients and moments take {needs / 1e9:.1f} of {there / 1e9:.0f} GB, activations more"
    if needs > 0.8 * there:
        return Finding(
            "memory", "fault", told, "LAUNCH with stages/launch/fsdp2.yaml on several GPUs, or a smaller base"
        )
    return Finding("memory", "good", told)


def _decay(place: str | Path, kind: str, rates: Mapping[str, float]) -> Iterator[Finding]:
    """The rates to come beside those it was last trained at, if they are known.

    Of our own checkpoints they are: to their peak one may warm up again (Ibrahim et al. 2024), not beyond it.
    """
    last = _last_training(Path(place))
    if last and last["schedule"] == "constant":
        most, told, way_out = np.inf, f"its learning rate stayed at {last['learning_rate']:g} to the end", ""
    elif last:
        most, told = last["learning_rate"], f"its learning rate went down from {last['learning_rate']:g}"
        way_out = "begin at a base of trainer.schedule = constant"
    elif kind in DECAYED:
        most, told = AFTER_DECAY, f"{kind} is published when its learning rate has gone down"
        way_out = f"take its authors' checkpoint from before the decay (up to {BEFORE_DECAY:g})"
    else:
        return
    asked = ", ".join(f"{name} = {rate:g}" for name, rate in rates.items())
    high = [name for name, rate in rates.items() if rate > most]
    remedy = f"set {' and '.join(high)} to {most:g} or less, or {way_out}" if high else ""
    yield Finding("decay", "note" if high else "good", f"{told}; the recipe warms up to {asked}", remedy)


def _last_training(place: Path) -> Manifest | None:
    """Settings of the training of ours that a checkpoint ended with; None of one that came from elsewhere."""
    try:
        config = read_manifest(place)["config"]
    except InputError:
        return None
    return _last_training(Path(config["model"])) if config.get("model") else config.get("trainer")


def _rows(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], spans: Spans) -> Iterator[dict[str, object]]:
    batch = {"id": [str(i) for i in range(len(texts))], "text": list(texts), "text_pair": [None] * len(texts)}
    return sequence_rows(batch, tokenizer, spans, min(LONGEST, tokenizer.model_max_length))


def opened(place: str | Path, texts: Sequence[str], spans: Spans, rates: Mapping[str, float]) -> Iterator[Finding]:
    """The findings of a base; one that cannot be opened is a fault of its own."""
    try:
        yield from base(place, texts, spans, rates)
    except InputError as error:
        fact, _, remedy = str(error).partition(": ")
        yield Finding("base", "fault", fact, remedy)
