"""Predicting the next token: what a decoder goes on with (Radford et al. 2018), from all tokens or from chosen ones.

Which tokens are learned from is `ClmConfig.select`: Rho-1 (Lin et al. 2024) leaves out what a reference knows no
better than the model does, ESLM (2025) what the model knows already. Both rank the tokens of a batch; here those of
each sequence are ranked by themselves, so that micro-batches and processes change nothing, and how many targets there
are is known before anything is computed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from pipeline.batches import IGNORE, Around, LabelledBatches, MaskedBatches, by_length, targets_in
from pipeline.models import ModelSize, load_causal_lm
from pipeline.objectives.cross_entropy import linear_losses
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.yardstick import EVALUATION_TOKENS, over_dev
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.training.unpadding import batch_on_device, taken
from pipeline.vocabulary.wordpiece import SPECIAL_TOKENS

Select = Literal["all", "chosen", "loss", "excess_loss"]


@dataclass(frozen=True)
class ClmConfig:
    """Which next tokens are learned from."""

    select: Select = "all"
    """all: every one. chosen: those of the words that [masked] chooses, nothing of which is hidden (with a scorer as
    much as with none: masked.mask_rate is their share). loss: of each sequence the share `keep` that the model knows
    least (ESLM). excess_loss: that which a reference knows better than the model by most (Rho-1)."""
    keep: float = 0.6
    """That share, of loss and excess_loss; Rho-1 took 0.6 to 0.7."""

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep = {self.keep} must be above 0 and at most 1")

    @property
    def ranked(self) -> bool:
        """Whether the model itself has a say in what it learns from."""
        return self.select in ("loss", "excess_loss")


def next_ids(input_ids: Tensor, attention_mask: Tensor) -> Tensor:
    """int64 [B, L]: the id after each token, IGNORE where there is none; right-padded ids and mask [B, L]."""
    labels = input_ids.new_full(input_ids.shape, IGNORE)
    labels[:, :-1] = torch.where(attention_mask[:, 1:].bool(), input_ids[:, 1:], IGNORE)
    return labels


class NextTokenBatches(Around):
    """Sequences as written, the next token asked for wherever it is learned from."""

    def __init__(self, masked: MaskedBatches, config: ClmConfig | None = None) -> None:
        super().__init__(masked)
        self.config = config or ClmConfig()
        if self.config.select == "excess_loss" and masked.sequences.reference is None:
            raise InputError(
                "clm.select = excess_loss needs what a reference model says of the text: "
                "set REFERENCE=<folder of a checkpoint adapted to good text>"
            )

    def batch(self, indices: np.ndarray, epochs: np.ndarray, elapsed: float = 0.0) -> dict[str, Tensor]:
        """`input_ids`, `attention_mask`, `labels` [B, L]; `reference` [B, L], its loss of each label."""
        visit, select = self.masked.chosen(indices, epochs, elapsed), self.config.select
        asked = np.ones(len(visit.input_ids), dtype=bool)
        if select == "chosen":
            asked[:] = False
            asked[visit.targets] = True
        ends = visit.rows.offsets[1:][self.masked.goes_on(indices)] - 1
        asked[ends[visit.word_ids[ends] < 0]] = False  # nobody is to learn to stop where a text was cut
        columns = {"asked": (asked, False)}
        if select == "excess_loss":
            sequences = self.masked.sequences
            columns["reference"] = (np.asarray(sequences.reference)[sequences.places(indices)], 0.0)
        batch = visit.tensors(self.masked.pad_id, **columns)
        batch |= {name: _moved(batch[name]) for name in columns}
        labels = next_ids(batch["input_ids"], batch["attention_mask"])
        return batch | {"labels": labels.where(batch.pop("asked"), IGNORE)}


def _moved(grid: Tensor) -> Tensor:
    """[B, L]: what is said of each token, at the one before it; nothing at the last."""
    return nn.functional.pad(grid[:, 1:], (0, 1))


class DecoderLM(MaskedLM):
    """A decoder; like a masked language model it computes what the loss needs, and without padding."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.plain = _says_plainly(model)

    @property
    def splits(self) -> bool:
        """As of masked language modelling, and nothing is done to logits after the decoder (Gemma 2 does)."""
        return self.plain and super().splits

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """As of masked language modelling; nothing is kept for tokens to come."""
        return super().arranged(batch) | {"use_cache": False}


class CausalLM(DecoderLM):
    """A decoder and its next tokens."""

    causal = True

    def __init__(self, model: PreTrainedModel, config: ClmConfig | None = None) -> None:
        _check_causal(model)
        super().__init__(model)
        self.config = config or ClmConfig()

    def targets(self, batch: dict[str, Tensor]) -> list[int]:
        """Of each sequence the share that is kept, one at least where there is any."""
        if not self.config.ranked:
            return super().targets(batch)
        return [int(kept((batch["labels"] != IGNORE).sum(1), self.config.keep).sum())]

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """As of masked language modelling; of targets that are ranked also their `rows`, and the `reference` [M]."""
        rest = {name: x for name, x in batch.items() if name != "reference"}
        arranged = super().arranged(rest)
        if not self.config.ranked:
            return arranged
        asked = batch["labels"] != IGNORE
        more = {"rows": asked.nonzero()[:, 0]}
        if "reference" in batch:
            more["reference"] = batch["reference"][asked]
        return arranged | batch_on_device(more, processes().device)

    def forward(
        self,
        places: Tensor,
        targets: Tensor,
        rows: Tensor | None = None,
        reference: Tensor | None = None,
        **inputs: object,
    ) -> Tensor:
        """Summed loss of the next tokens that are learned from; `rows` int64 [M] are their sequences."""
        with self.without_decoder():
            hidden = self.logits(places, **inputs)
        if rows is not None:
            lost = self.losses_of(hidden.detach(), targets)
            best = highest(lost if reference is None else lost - reference, rows, self.config.keep)
            hidden, targets = taken(hidden, best), targets[best]
        return self.words_lost(hidden, targets)

    @torch.no_grad()
    def losses_of(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """float32 [M]: the loss of each target, of what `without_decoder` leaves."""
        decoder = self.model.get_output_embeddings()
        if not self.splits:
            return nn.functional.cross_entropy(hidden.float(), targets, reduction="none")
        return linear_losses(hidden, decoder.weight, decoder.bias, targets)


@torch.no_grad()
def _says_plainly(model: PreTrainedModel) -> bool:
    """Whether logits are what the decoder says, no more: tried on three ids."""
    heard: list[Tensor] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda *said: heard.append(said[-1]))
    logits = _logits(model, [[1, 2, 3]])
    hook.remove()
    return torch.equal(logits, heard[0])


def _check_causal(model: PreTrainedModel) -> None:
    """InputError where a token sees what comes after it: the text would be given away."""
    if not torch.allclose(*_logits(model, [[1, 2, 3], [1, 2, 4]])[:, :2], atol=1e-5, rtol=1e-4):
        kind = type(model).__name__
        raise InputError(f"objective = clm needs a decoder, and a {kind} sees the next token: use another objective")


@torch.no_grad()
def _logits(model: PreTrainedModel, ids: list[list[int]]) -> Tensor:
    training = model.training
    logits = model.eval()(input_ids=torch.tensor(ids, device=model.device)).logits
    model.train(training)
    return logits


def kept(counts: Tensor, share: float) -> Tensor:
    """int64 [B]: how many of so many targets are learned from, rounded up."""
    return (counts * share).ceil().long()


def highest(scores: Tensor, rows: Tensor, share: float) -> Tensor:
    """int64: places of the highest `share` of the scores [M] of each row, rising; rows [M] do not fall.

    Of equal ones those that stand first.
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[rows[order].argsort(stable=True)]
    counts = rows.bincount()
    rank = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    return order[rank < kept(counts, share)[rows]].sort().values


def new_decoder(size: ModelSize, vocab_size: int, pad_id: int, seed: int) -> PreTrainedModel:
    """A decoder with random weights, normal(0, width ** -0.5): Llama's layers, as SmolLM has them."""
    config = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=size.hidden_size,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        intermediate_size=8 * size.hidden_size // 3,
        max_position_embeddings=size.max_length,
        attention_dropout=size.dropout,
        initializer_range=size.hidden_size**-0.5,
        tie_word_embeddings=True,
        pad_token_id=pad_id,
        bos_token_id=SPECIAL_TOKENS.index("[CLS]"),
        eos_token_id=SPECIAL_TOKENS.index("[SEP]"),
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config)


def open_decoder(place: str | Path, seed: int) -> PreTrainedModel:
    """A decoder with its head from a folder or hub name."""
    return load_causal_lm(place)


@torch.no_grad()
def token_losses(objective: CausalLM, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
    """float32 [L] of each sequence of ids: what the model loses on each token in nats; 0 on the first."""
    found: list[np.ndarray] = [np.zeros(0, dtype=np.float32)] * len(sequences)
    batches = LabelledBatches(list(sequences), [0] * len(sequences), objective.model.config.pad_token_id or 0)
    for indices in by_length(batches.lengths(np.arange(len(sequences))), EVALUATION_TOKENS):
        batch = batches.batch(indices)
        batch["labels"] = next_ids(batch["input_ids"], batch["attention_mask"])
        rows, places = (batch["labels"] != IGNORE).nonzero(as_tuple=True)
        arranged = DecoderLM.arranged(objective, batch)
        targets = arranged.pop("targets")
        with objective.without_decoder():
            hidden = objective.logits(**arranged)
        losses = objective.losses_of(hidden, targets).cpu().numpy()
        grid = np.zeros(batch["labels"].shape, dtype=np.float32)
        grid[rows, places + 1] = losses
        for row, index in enumerate(indices):
            found[index] = grid[row, : len(sequences[index])]
    return found


def measure(objective: CausalLM, fixed: MaskedBatches) -> dict[str, float]:
    """Mean loss of every next token of the dev set in nats, whatever the training selects, and e to this power."""
    batches = NextTokenBatches(fixed)

    def count(batch: dict[str, Tensor]) -> tuple[float, int]:
        arranged = DecoderLM.arranged(objective, batch)
        return float(MaskedLM.forward(objective, **arranged).detach()), targets_in(batch["labels"])

    lost, targets = over_dev(batches, fixed.sequences.id, 2, count)
    mean = lost / max(targets, 1)
    return {"loss": mean, "perplexity": float(np.exp(mean))}
