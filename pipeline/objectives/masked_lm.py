"""Masked language modelling (Devlin et al. 2019), computed where there is something to predict."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from pipeline.batches import IGNORE
from pipeline.objectives.cross_entropy import linear_cross_entropy
from pipeline.objectives.objective import Objective, head_modules
from pipeline.run.processes import processes
from pipeline.training.unpadding import batch_on_device, can_unpad, first_position, taken, unpad, unpadded_attention


class MaskedLM(Objective):
    """Masked language modelling that computes no more than the loss needs.

    The loss and its gradients are those of the model as it is, padded, over all tokens (tested). Left out are:

    - padding: the sequences of a batch stand in one row (`unpadding.py`), where the model can do so;
    - tokens without a target: the head sees the M tokens to predict, and so does the feed-forward part of the last
      layer, whose attention is the last place where the others matter;
    - the logits [M, vocabulary] as a whole: softmax and gradients are made some rows at a time.

    The hidden states are gathered by hooks on their way into the model's own modules, so that every architecture keeps
    its code unchanged.
    """

    causal = False
    """Whether a token sees only what is before it, as in a decoder."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.unpadded = can_unpad(model, self.causal)
        self._places: Tensor | None = None
        head_modules(model)[0].register_forward_pre_hook(self._to_head)
        if self.unpadded and (last := _last_feed_forward(model)):
            last.register_forward_pre_hook(self._gather_early)

    def arranged(self, batch: dict[str, Tensor], causal: bool = False) -> dict[str, object]:
        """A batch [B, L] with `labels`, as one row where that can be, with `places` and ids of the `targets`.

        In a row, tokens may be told to see only what is before them (`causal`).
        """
        device, causal = processes().device, causal or self.causal
        arranged = unpad(batch, first_position(self.model), device, causal) if self.unpadded else dict(batch)
        labels = arranged.pop("labels").flatten()
        places = (labels != IGNORE).nonzero()[:, 0]
        return batch_on_device(arranged | {"places": places, "targets": labels[places]}, device)

    def _gather(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """[B, L, width] -> [M, width], unless that has been done or nobody asked for it."""
        if self._places is None or inputs[0].dim() != 3:
            return None
        if (keys := self.token_keys.get(inputs[0].shape[:-1])) is not None:
            self.token_keys.add(keys.flatten()[self._places])
        return tuple(taken(hidden.flatten(0, 1), self._places) for hidden in inputs)

    def _to_head(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return self._gather(module, inputs)

    def _gather_early(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Not under gradient checkpointing: layers run again in backward, when what is wanted has been forgotten."""
        return None if self.model.is_activation_checkpointing else self._gather(module, inputs)

    def _computing_again(self) -> AbstractContextManager[None]:
        return unpadded_attention(self.model) if self.unpadded else nullcontext()

    def logits(self, places: Tensor, token_keys: Tensor | None = None, **inputs: object) -> Tensor:
        """[M, vocabulary] of the M tokens at these places."""
        return self._answer(places, token_keys, **inputs).logits

    def _answer(self, places: Tensor, token_keys: Tensor | None = None, **inputs: object) -> ModelOutput:
        """What the model says of the tokens at these places."""
        self._places = places
        self.token_keys.begin(token_keys)
        try:
            with self._computing_again():
                return self.model(**inputs)
        finally:
            self._places = None

    def forward(self, places: Tensor, targets: Tensor, **inputs: object) -> Tensor:
        """Summed loss of the tokens to predict, int64 [M] each: where they are, and their ids."""
        with self.without_decoder():
            hidden = self.logits(places, **inputs)
        return self.words_lost(hidden, targets)

    def of_words(self, batch: dict[str, Tensor]) -> Tensor:
        """Summed loss of the masked words of a batch as it comes from the host."""
        return self(**self.arranged(batch))

    @property
    def splits(self) -> bool:
        """Whether the decoder can be taken out, and its work done elsewhere."""
        return type(self.model.get_output_embeddings()) is nn.Linear

    def without_decoder(self) -> AbstractContextManager[None]:
        """Within, the model's logits are what its decoder is given, where that can be taken out."""
        return passing_through(self.model.get_output_embeddings()) if self.splits else nullcontext()

    def words_lost(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Summed loss of what the model says without its decoder, [M, width]; where it kept it, of logits."""
        decoder = self.model.get_output_embeddings()
        if not self.splits:
            return cross_entropy(hidden.float(), targets, reduction="sum")
        return linear_cross_entropy(hidden, decoder.weight, decoder.bias, targets)


def _last_feed_forward(model: PreTrainedModel) -> nn.Module | None:
    """Where the last layer of a BERT-type encoder (BERT, RoBERTa, ELECTRA, …) has seen the other tokens.

    For models that can be unpadded, whose layers are known to treat tokens one by one from there on.
    """
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    return getattr(getattr(layers[-1], "attention", None), "output", None) if layers else None


@contextmanager
def passing_through(module: nn.Module) -> Iterator[None]:
    """Within, the module returns what it is given: its work is done elsewhere."""
    module.forward = lambda x: x
    try:
        yield
    finally:
        del module.forward
