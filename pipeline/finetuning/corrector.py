"""The model of spelling correction: a masked language model that corrects, and a head beside it that detects.

macbert4csc (Xu 2021, after Soft-Masked BERT, Zhang et al. 2020): the model reads the text as it is written, nothing
masked. What it would write at each place is the answer of its own pre-trained head for masked words; whether the place
is wrong is asked of a fresh one. Saved, it is a masked language model that `AutoModelForMaskedLM` opens, with the
other head beside.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from transformers import PreTrainedModel

from pipeline.batches import IGNORE, by_length
from pipeline.finetuning.characters import Spelt
from pipeline.finetuning.heads import HEAD, HEAD_WEIGHTS, Head, HeadConfig
from pipeline.finetuning.losses import binary_focal
from pipeline.objectives.cross_entropy import LOGITS_AT_ONCE, linear_cross_entropy
from pipeline.objectives.labelling import Labelling
from pipeline.objectives.masked_lm import passing_through
from pipeline.objectives.objective import head_modules
from pipeline.prediction import PADDING, TOKEN_BUDGET, evaluating
from pipeline.run.errors import InputError
from pipeline.run.processes import processes
from pipeline.training.unpadding import batch_on_device


class Corrector(nn.Module):
    """A masked language model and a head that says of each place how likely it is wrong."""

    def __init__(self, mlm: PreTrainedModel, config: HeadConfig) -> None:
        super().__init__()
        size = mlm.config
        if reason := config.refusal(True, size.num_hidden_layers):
            raise InputError(reason)
        if config.crf:
            raise InputError("head.crf = true chains tags, and spelling correction has none: leave it out")
        self.mlm, self.config = mlm, config
        spread = getattr(size, "initializer_range", 0.02)
        self.head = Head(config, size.num_hidden_layers, size.hidden_size, 1, True, spread)

    @property
    def encoder(self) -> PreTrainedModel:
        """What both heads read."""
        return self.mlm.base_model

    def forward(self, places: Tensor, attention_mask: Tensor, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(states [M, width] on their way into the vocabulary, logits [M] of being wrong); places bool [B, L].

        The correction reads the last layer, on which its head was trained; the detection those that the head's
        `layers` say.
        """
        every = self.config.layers != "last"
        found = self.encoder(attention_mask=attention_mask, output_hidden_states=every, **inputs)
        wrong = self.head(found.hidden_states if every else (), found.last_hidden_state, attention_mask)[..., 0]
        hidden = found.last_hidden_state[places]
        with passing_through(self.mlm.get_output_embeddings()):
            for module in head_modules(self.mlm):
                hidden = module(hidden)
        return hidden, wrong[places]

    def best(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Of states [M, width]: the likeliest ids [M] and their probabilities [M]; logits some rows at a time."""
        decoder = self.mlm.get_output_embeddings()
        rows = max(1, LOGITS_AT_ONCE // len(decoder.weight))
        blocks = [
            linear(block, decoder.weight, decoder.bias).float().softmax(-1).max(-1) for block in hidden.split(rows)
        ]
        return torch.cat([ids for _, ids in blocks]), torch.cat([likely for likely, _ in blocks])

    def gradient_checkpointing_enable(self, how: dict[str, object]) -> None:
        """Of the encoder's layers."""
        self.mlm.gradient_checkpointing_enable(how)

    def save_pretrained(self, folder: Path) -> None:
        """The masked language model as the library saves it, the head beside it."""
        self.mlm.save_pretrained(folder)
        save_file({name: x.detach().cpu().contiguous() for name, x in self.head.state_dict().items()},
                  folder / HEAD_WEIGHTS)  # fmt: skip
        (folder / HEAD).write_text(json.dumps(asdict(self.config), indent=1), encoding="utf-8")


class Correcting(Labelling):
    """correction x cross-entropy of what should stand there + detection x focal loss of being wrong.

    Both are sums over the places, which are the targets that the trainer divides by. Where the vocabulary lacks what
    should stand there, only that it is wrong is learned.
    """

    def __init__(
        self, model: Corrector, correction: float, detection: float, gamma: float, alpha: float, attacked: bool = False
    ) -> None:
        super().__init__(model)
        self.correction, self.detection, self.gamma, self.alpha = correction, detection, gamma, alpha
        self.attacked = attacked
        """Whether gradients are asked for twice: then all logits are kept, [M, vocabulary]."""

    def forward(self, labels: Tensor, token_keys: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Summed loss; labels [B, L] as `Characters` makes them."""
        self.begin(token_keys, inputs)
        places = labels != IGNORE
        hidden, detected = self.model(places=places, **inputs)
        targets = labels[places]
        wrong, known = targets != inputs["input_ids"][places], targets >= 0
        right = self._right(hidden[known], targets[known])
        found = binary_focal(detected.float()[:, None], wrong.float()[:, None], self.gamma, self.alpha)
        return self.correction * right + self.detection * found

    def _right(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Summed cross-entropy of states [M, width] and ids [M]."""
        decoder = self.model.mlm.get_output_embeddings()
        if self.attacked:
            logits = linear(hidden, decoder.weight, decoder.bias)
            return cross_entropy(logits.float(), targets, reduction="sum")
        return linear_cross_entropy(hidden, decoder.weight, decoder.bias, targets)


Asked = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Of M places: positions among the characters of all texts, ids read, probability of being wrong, best ids, how likely
these are."""


@torch.inference_mode()
def asked(model: Corrector, batches: Spelt) -> Iterator[Asked]:
    """What a model says of all places, batch by batch, the longest windows first."""
    with evaluating(model):
        for indices in by_length(batches.lengths(np.arange(len(batches))), TOKEN_BUDGET, PADDING):
            inputs = batch_on_device(batches.batch(indices), processes().device)
            inputs.pop("labels")
            windows = [batches.windows[i] for i in indices]
            places = torch.zeros_like(inputs["attention_mask"], dtype=torch.bool)
            rows = np.repeat(np.arange(len(windows)), [len(one.columns) for one in windows])
            places[rows, np.concatenate([one.columns for one in windows])] = True
            if len(rows):
                hidden, wrong = model(places=places, **inputs)
                best, likely = model.best(hidden)
                found = (inputs["input_ids"][places], wrong.float().sigmoid(), best, likely)
                yield np.concatenate([one.places for one in windows]), *(x.cpu().numpy() for x in found)
