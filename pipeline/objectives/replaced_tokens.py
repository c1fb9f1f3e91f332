"""Replaced-token detection (Clark et al. 2020, ELECTRA): which tokens of a text did a small model put there?

The generator predicts masked words and fills them in with draws from what it believes; the discriminator says of every
token whether it is the one that was written. A draw that hits the token as written counts as real. No gradient goes
through the draw. What is drawn is a function of (seed, epoch, document, position), whatever the batch; no position is
drawn twice, as masking takes each at most once.
"""

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import linear

from pipeline.batches import MaskedBatches, targets_in
from pipeline.draws import SAMPLE, bits, uniform
from pipeline.metrics import precision_recall_f1
from pipeline.objectives.cross_entropy import LOGITS_AT_ONCE
from pipeline.objectives.electra import Electra, RtdConfig
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.objective import Objective
from pipeline.objectives.yardstick import over_dev
from pipeline.training.dropout import TAPE, key_dropout
from pipeline.training.dropout import places as on_tape
from pipeline.training.ordered import order_embeddings
from pipeline.training.unpadding import can_unpad, unpadded_attention

DRAWN, DETECTION = (int(bits(0, SAMPLE, number).view(np.int64)) for number in range(2))
"""What makes of the keys of tokens those of what is drawn for them, and those of the discriminator's dropout."""

SHADES = 256
"""Probabilities are told apart so finely when the area under the ROC curve is measured."""


class ReplacedTokens(Objective):
    """A generator and a discriminator: mean loss of masked words + `weight` x mean loss over tokens."""

    def __init__(self, model: Electra, config: RtdConfig) -> None:
        nn.Module.__init__(self)
        self.model, self.config = model, config
        said = "words" if config.names_words else "detection"
        self.losses = {"generator": 1.0, said: config.weight} if config.train_generator else {said: 1.0}
        model.generator.requires_grad_(config.train_generator)
        self.generator = MaskedLM(model.generator)
        self.generator.unpadded &= can_unpad(model.discriminator.encoder)
        self.token_keys = key_dropout(model.discriminator)
        order_embeddings(model.discriminator)

    def targets(self, batch: dict[str, Tensor]) -> list[int]:
        """Masked tokens, and tokens to say something of: all but padding, or the masked ones."""
        masked = targets_in(batch["labels"])
        told = masked if self._of_masked else int(batch["attention_mask"].sum())
        return [masked, told] if self.config.train_generator else [told]

    @property
    def _of_masked(self) -> bool:
        return self.config.learns in ("detection_masked", "replace_mlm")

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """As for masked words; padded, with the places of all tokens as `inside`."""
        arranged = self.generator.arranged(batch)
        mask = arranged.get("attention_mask")
        return arranged if mask is None else {**arranged, "inside": mask.flatten().nonzero()[:, 0]}

    def forward(self, **arranged: object) -> Tensor:
        """[2] or [1]: summed losses of the generator, where it learns, and of the discriminator."""
        if self.config.names_words:
            lost, wrong = self.named(**arranged)
        else:
            lost, said, replaced = self.told(**arranged)
            wrong = bce(said, replaced, reduction="sum")
        return torch.stack([lost, wrong] if self.config.train_generator else [wrong])

    def told(
        self,
        places: Tensor,
        targets: Tensor,
        input_ids: Tensor,
        token_keys: Tensor,
        inside: Tensor | None = None,
        **inputs: object,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The generator's summed loss, what the discriminator says of tokens [N], and whether they are replaced [N].

        places, targets int64 [M]: where masked tokens are, and their ids; input_ids, token_keys [B, L] or [1, T];
        inside int64 [T] where rows are padded.
        """
        lost, drawn, hidden = self._read(places, targets, input_ids, token_keys, inputs)
        said = self.model.discriminator.head(hidden).float()
        replaced = torch.zeros_like(said).index_copy_(0, places, (drawn != targets).to(said.dtype))
        asked = places if self._of_masked else inside
        return (lost, said, replaced) if asked is None else (lost, said[asked], replaced[asked])

    def named(
        self,
        places: Tensor,
        targets: Tensor,
        input_ids: Tensor,
        token_keys: Tensor,
        inside: Tensor | None = None,
        **inputs: object,
    ) -> tuple[Tensor, Tensor]:
        """The generator's summed loss, and that of the discriminator where it says which words were written."""
        lost, drawn, hidden = self._read(places, targets, input_ids, token_keys, inputs)
        discriminator = self.model.discriminator
        head, table = discriminator.head, discriminator.table
        if self._of_masked:
            return lost, head.named(hidden[places], table, targets)
        shown, written = (input_ids.flatten().index_copy(0, places, ids) for ids in (drawn, targets))
        columns = (hidden, shown, written) if inside is None else (hidden[inside], shown[inside], written[inside])
        return lost, head.copied_or_named(columns[0], table, *columns[1:])

    def _read(
        self, places: Tensor, targets: Tensor, input_ids: Tensor, token_keys: Tensor, inputs: dict[str, object]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Summed loss of the generator, its draws [M], and the text as the discriminator reads it [T, width]."""
        with self.generator.without_decoder():
            hidden = self.generator.logits(places, token_keys, input_ids=input_ids, **inputs)
        drawn = self.drawn(hidden.detach(), targets, token_keys.flatten()[places])
        ids = input_ids.flatten().index_copy(0, places, drawn).view_as(input_ids)
        self.token_keys.begin(token_keys ^ DETECTION)
        with self._computing_again():
            read = self.model.discriminator.encoder(input_ids=ids, **inputs).last_hidden_state
        return self.generator.words_lost(hidden, targets), drawn, read.flatten(0, 1)

    @torch.no_grad()
    def drawn(self, hidden: Tensor, targets: Tensor, keys: Tensor) -> Tensor:
        """int64 [M]: a draw from softmax of the decoder's logits (hidden [M, width]), by keys int64 [M].

        The largest of logits + Gumbel noise; the noise of each token is read off a tape, as in `dropout.py`.
        """
        decoder, found = self.model.generator.get_output_embeddings(), torch.empty_like(targets)
        rows, size = on_tape(keys, DRAWN), decoder.out_features
        for first in range(0, len(targets), step := max(1, LOGITS_AT_ONCE // size)):
            block = slice(first, first + step)
            logits = linear(hidden[block].to(decoder.weight.dtype), decoder.weight, decoder.bias).float()
            if self.config.disallow_correct:
                logits.scatter_(1, targets[block, None], -torch.inf)
            found[block] = (logits + _noise(rows[block], size)).argmax(1)
        return found

    def weighted(self, generator: float, discriminator: float) -> float:
        """What is minimised, of the mean losses of both."""
        return self.losses.get("generator", 0.0) * generator + list(self.losses.values())[-1] * discriminator

    def checkpoint_activations(self) -> None:
        """Compute activations again in backward instead of keeping them, in both models."""
        self.generator.checkpoint_activations()
        again = lambda: (nullcontext(), self._computing_again())
        self.model.discriminator.encoder.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": again})

    def _computing_again(self) -> AbstractContextManager[None]:
        return unpadded_attention(self.model.discriminator.encoder) if self.generator.unpadded else nullcontext()


def _noise(rows: Tensor, size: int) -> Tensor:
    """float32 [M, size]: Gumbel noise read off the tape from `rows` [M] on."""
    return _tape(size, rows.device).as_strided((TAPE, size), (1, 1)).index_select(0, rows)  # no copies of the tape


@lru_cache
def _tape(size: int, device: torch.device) -> Tensor:
    """[TAPE + size]: Gumbel noise."""
    u = uniform(0, SAMPLE, np.arange(TAPE + size))
    return torch.from_numpy(-np.log(-np.log(np.maximum(u, 2.0**-54)))).float().to(device)


def measure(objective: ReplacedTokens, fixed: MaskedBatches) -> dict[str, float]:
    """The weighted loss and its parts, and how well either model does, in percent; the draws are always the same.

    `generator_accuracy` of draws, `fake_rate` of the tokens told, `precision` and `recall` of replaced ones at a
    probability of one half, `auc` whatever the threshold. Where the discriminator says words, the losses alone.
    """

    def count(batch: dict[str, Tensor]) -> np.ndarray:
        lost, said, replaced = objective.told(**objective.arranged(batch))
        shade = (said.sigmoid() * SHADES).long().clamp(max=SHADES - 1)
        shades = torch.stack([torch.bincount(shade[replaced == kind], minlength=SHADES) for kind in (0, 1)])
        masked = targets_in(batch["labels"])
        sums = [float(lost), float(bce(said, replaced, reduction="sum")), masked, len(said)]
        return np.concatenate([sums, shades.flatten().cpu().numpy()])

    if objective.config.names_words:
        return _words_measured(objective, fixed)
    lost, wrong, masked, told, *shades = over_dev(fixed, fixed.sequences.id, 4 + 2 * SHADES, count)
    generator, detection = lost / max(masked, 1), wrong / max(told, 1)
    real, fake = np.array(shades).reshape(2, SHADES)
    fakes, hits, flagged = (float(x.sum()) for x in (fake, fake[SHADES // 2 :], (real + fake)[SHADES // 2 :]))
    return {
        "loss": objective.weighted(generator, detection),
        "generator_loss": generator,
        "detection_loss": detection,
        "generator_accuracy": 100 * (1 - fakes / max(masked, 1)),
        "fake_rate": 100 * fakes / max(told, 1),
        **precision_recall_f1(hits, flagged, fakes),
        "auc": area(real, fake),
    }


def _words_measured(objective: ReplacedTokens, fixed: MaskedBatches) -> dict[str, float]:
    def count(batch: dict[str, Tensor]) -> tuple[float, ...]:
        lost, wrong = objective.named(**objective.arranged(batch))
        return float(lost), float(wrong), targets_in(batch["labels"]), objective.targets(batch)[-1]

    lost, wrong, masked, told = over_dev(fixed, fixed.sequences.id, 4, count)
    generator, words = lost / max(masked, 1), wrong / max(told, 1)
    return {"loss": objective.weighted(generator, words), "generator_loss": generator, "words_loss": words}


def area(negative: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve in percent, of counts [S] of either kind by rising score; 50 where one is not there."""
    pairs = negative.sum() * positive.sum()
    below = np.cumsum(negative) - negative / 2  # those of the same score count half
    return 100 * float((positive * below).sum() / pairs) if pairs else 50.0
