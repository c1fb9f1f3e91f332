"""What a model is trained to do: each objective returns a summed loss, and the trainer divides once.

An objective is a module around a transformers model: `forward(**arranged(batch)) -> loss summed over the targets`. How
many targets there are is read off the labels (`IGNORE` = none), so that the trainer can count them over all processes
first. `token_keys` in a batch, if there, say what dropout drops (`dropout.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy, linear
from transformers import PreTrainedModel

from pipeline.batches import IGNORE
from pipeline.dropout import key_dropout
from pipeline.ordered import order_embeddings
from pipeline.run.processes import processes
from pipeline.scoring.importance import LEVELS
from pipeline.unpadding import batch_on_device, can_unpad, first_position, taken, unpad, unpadded_attention

LOGITS_AT_ONCE = 1 << 24
"""Logits held in memory at a time, 64 MB: some 800 targets of a vocabulary of 21,128."""


def head_modules(model: PreTrainedModel) -> list[nn.Module]:
    """The modules of a model beside its encoder: what a task adds, in the order in which they are used."""
    return [module for module in model.children() if module is not model.base_model]


class Objective(nn.Module):
    """A model and what it learns: `forward(**arranged(batch))` is the loss, summed over the targets."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.token_keys = key_dropout(model)
        order_embeddings(model)

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """A batch from the host as `forward` takes it, on this process's device."""
        return batch_on_device(batch, processes().device)

    def checkpoint_activations(self) -> None:
        """Compute activations again in backward instead of keeping them."""
        again = lambda: (nullcontext(), self._computing_again())
        self.model.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": again})

    def _computing_again(self) -> AbstractContextManager[None]:
        """What must hold while a layer is computed again in backward as it held in forward."""
        return self.token_keys.remembered()


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

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.unpadded = can_unpad(model)
        self._places: Tensor | None = None
        head_modules(model)[0].register_forward_pre_hook(self._gather)
        if self.unpadded and (last := _last_feed_forward(model)):
            last.register_forward_pre_hook(self._gather_early)

    def arranged(self, batch: dict[str, Tensor]) -> dict[str, object]:
        """A batch [B, L] with `labels`, as one row where that can be, with `places` and ids of the `targets`."""
        device = processes().device
        arranged = unpad(batch, first_position(self.model), device) if self.unpadded else dict(batch)
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

    def _gather_early(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Not under gradient checkpointing: layers run again in backward, when what is wanted has been forgotten."""
        return None if self.model.is_activation_checkpointing else self._gather(module, inputs)

    def _computing_again(self) -> AbstractContextManager[None]:
        return unpadded_attention(self.model) if self.unpadded else nullcontext()

    def logits(self, places: Tensor, token_keys: Tensor | None = None, **inputs: object) -> Tensor:
        """[M, vocabulary] of the M tokens at these places."""
        self._places = places
        self.token_keys.begin(token_keys)
        try:
            with self._computing_again():
                return self.model(**inputs).logits
        finally:
            self._places = None

    def forward(self, places: Tensor, targets: Tensor, **inputs: object) -> Tensor:
        """Summed loss of the tokens to predict, int64 [M] each: where they are, and their ids."""
        decoder = self.model.get_output_embeddings()
        if type(decoder) is not nn.Linear:
            return cross_entropy(self.logits(places, **inputs).float(), targets, reduction="sum")
        with _passing_through(decoder):
            hidden = self.logits(places, **inputs)
        return linear_cross_entropy(hidden, decoder.weight, decoder.bias, targets)


def _last_feed_forward(model: PreTrainedModel) -> nn.Module | None:
    """Where the last layer of a BERT-type encoder (BERT, RoBERTa, ELECTRA, …) has seen the other tokens.

    For models that can be unpadded, whose layers are known to treat tokens one by one from there on.
    """
    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    return getattr(getattr(layers[-1], "attention", None), "output", None) if layers else None


@contextmanager
def _passing_through(module: nn.Module) -> Iterator[None]:
    """Within, the module returns what it is given: its work is done elsewhere."""
    module.forward = lambda x: x
    try:
        yield
    finally:
        del module.forward


def linear_cross_entropy(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """`cross_entropy(linear(hidden, weight, bias), targets, reduction="sum")` without keeping the logits.

    hidden [M, width], weight [V, width], bias [V] or None, targets [M]. The gradients are made in forward, while a
    block of logits is at hand: one exponential for both, and `LOGITS_AT_ONCE` numbers in memory.
    """
    return _LinearCrossEntropy.apply(hidden, weight, bias, targets)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:  # noqa: ANN001
        kind, ctx.kinds = hidden.device.type, [x.dtype for x in (hidden, weight, bias) if x is not None]
        compute = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        with torch.autocast(kind, enabled=False):
            return _forward(ctx, hidden.to(compute), weight.to(compute), bias, targets)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        made = ctx.saved_tensors
        scaled = [
            part.mul_(grad).to(kind) if wanted else None  # in place: a second backward is refused by autograd
            for part, kind, wanted in zip(made, ctx.kinds, ctx.needs_input_grad, strict=False)
        ]
        return (*scaled, *[None] * (4 - len(scaled)))


def _forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:  # noqa: ANN001
    """The loss; keeps the gradients where any is wanted."""
    wanted = any(ctx.needs_input_grad)
    loss = hidden.new_zeros((), dtype=torch.float32)
    blank = torch.empty_like if weight.dtype == torch.float32 and len(hidden) else torch.zeros_like
    grads = [torch.empty_like(hidden), blank(weight, dtype=torch.float32)] if wanted else []
    grads += [torch.zeros_like(bias, dtype=torch.float32)] if wanted and bias is not None else []
    rows = max(1, LOGITS_AT_ONCE // len(weight))
    for first in range(0, len(hidden), rows):
        block = slice(first, first + rows)
        logits = linear(hidden[block], weight, None if bias is None else bias.to(weight.dtype))
        lost, grad = _softmax_loss(logits, targets[block, None])
        loss += lost
        if wanted:
            _add_gradients(grads, block, grad, hidden, weight)
    ctx.save_for_backward(*grads)
    return loss


def _softmax_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Summed loss of logits [M, V] at targets [M, 1], and its gradient: softmax, minus one at the target."""
    logits = logits.float()
    logits -= logits.amax(1, keepdim=True)
    at_target = logits.gather(1, targets)
    total = logits.exp_().sum(1, keepdim=True)
    grad = logits.div_(total).scatter_add_(1, targets, torch.full_like(targets, -1.0, dtype=logits.dtype))
    return (total.log() - at_target).sum(), grad


def _add_gradients(grads: list[Tensor], block: slice, grad: Tensor, hidden: Tensor, weight: Tensor) -> None:
    if len(grads) > 2:
        grads[2] += grad.sum(0)
    grad = grad.to(weight.dtype)
    grads[0][block] = grad @ weight
    if weight.dtype == torch.float32:  # the first block writes: zeros to add to would be one more pass over [V, width]
        torch.addmm(grads[1], grad.T, hidden[block], beta=float(block.start > 0), out=grads[1])
    else:
        grads[1] += grad.T @ hidden[block]


Loss = Callable[[Tensor, Tensor], Tensor]
"""(float32 logits, labels) -> the loss, summed over the targets (`batches.targets_in` counts them)."""


class Labelling(Objective):
    """Whatever is learned from labels, by any loss: classes of sequences [B] or of tokens [B, L], and more."""

    def __init__(self, model: nn.Module, loss: Loss | None = None) -> None:
        super().__init__(model)
        self.loss = loss or summed_cross_entropy

    def forward(self, labels: Tensor, token_keys: Tensor | None = None, **inputs: Tensor) -> Tensor:
        """Summed loss of what has a label."""
        self.begin(token_keys, inputs)
        return self.loss(self.model(**inputs).logits.float(), labels)

    def begin(self, token_keys: Tensor | None, inputs: dict[str, Tensor]) -> None:
        """A new batch: the keys [B, L] of its tokens, for dropout."""
        self.token_keys.begin(token_keys)
        if token_keys is not None:
            self.token_keys.add(token_keys[:, 0])  # of a sequence as a whole


def summed_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Sequence[float] = (), smoothing: float = 0.0
) -> Tensor:
    """Of classes [B, C] or [B, L, C] against labels [B] or [B, L], IGNORE: none; `weights` [C] of classes.

    `smoothing` is the share of what is asked for that is spread over all classes (Szegedy et al. 2016).
    """
    logits, labels, weight = logits.flatten(0, -2), labels.flatten(), logits.new_tensor(weights) if weights else None
    return cross_entropy(logits, labels, weight, ignore_index=IGNORE, reduction="sum", label_smoothing=smoothing)


def soft_cross_entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Of two classes [B, L, 2], of which the second has a probability: labels [B, L] in 255ths of it, or IGNORE.

    What speaks for the second class weighs `weight`. With 0 and 255 it is `summed_cross_entropy`.
    """
    logs = logits.log_softmax(-1)[labels != IGNORE]
    p = labels[labels != IGNORE] / LEVELS
    return -(weight * p * logs[:, 1] + (1 - p) * logs[:, 0]).sum()
