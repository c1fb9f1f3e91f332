"""Every pretraining objective by its name, and what the stages ask of it: the one place to add another.

A method knows neither the trainer nor the corpus; `pipeline/pretraining.py` puts the three together.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn
from transformers import BertForPreTraining, PreTrainedModel, PreTrainedTokenizerBase

from pipeline.batches import Batches, MaskedBatches
from pipeline.models import ModelSize, load_masked_lm, load_order_model, new_bert
from pipeline.objectives import causal_lm, masked_next, permuted_lm, replaced_tokens, sentence_order
from pipeline.objectives.causal_lm import CausalLM, ClmConfig, NextTokenBatches, new_decoder, open_decoder
from pipeline.objectives.detour import Detour, DetourBatches, DetourConfig
from pipeline.objectives.electra import RtdConfig, new_electra, open_electra
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.objective import Objective
from pipeline.objectives.permuted_lm import PermutedBatches, PermutedLM, new_xlnet, open_xlnet
from pipeline.objectives.replaced_tokens import ReplacedTokens
from pipeline.objectives.sentence_order import OrderBatches, SentenceOrder
from pipeline.objectives.yardstick import fixed_mask_loss
from pipeline.run.key import ADDED


@dataclass(frozen=True)
class Method:
    """A way to pretrain. What it makes is saved by `model.save_pretrained(folder)`."""

    called: str
    """What a model's card says it was made by."""
    open: Callable[[str | Path, int], nn.Module]
    """The model of a checkpoint; what is not in it drawn from a seed."""
    new: Callable[[ModelSize, int, int, int], nn.Module]
    """A fresh one of (size, entries of the vocabulary, id of padding, seed)."""
    objective: Callable[[nn.Module], Objective]
    """What is trained."""
    batches: Callable[[MaskedBatches], Batches]
    """What it reads."""
    measure: Callable[[Objective, MaskedBatches], dict[str, float]]
    """What is said of it on dev sequences under fixed masks, `loss` first; every process calls."""
    prepare: Callable[[PreTrainedModel, PreTrainedTokenizerBase], None] = lambda model, tokenizer: None
    """What a named base and its tokenizer lack is added to them."""
    added: int = 0
    """Ids that its batches put into a sequence."""
    reads: Literal["corrupted", "chosen", "text"] = "corrupted"
    """What of masking it makes use of: all, which words were chosen, or nothing."""


MASKED_LM = Method(
    called="masked language modelling",
    open=lambda place, seed: load_masked_lm(place),
    new=new_bert,
    objective=MaskedLM,
    batches=lambda masked: masked,
    measure=fixed_mask_loss,
)


def _ordering(words: bool) -> Method:
    return Method(
        called="masked language modelling and the order of segments" if words else "the order of segments",
        open=load_order_model,
        new=partial(new_bert, kind=BertForPreTraining),
        objective=partial(SentenceOrder, words=words),
        batches=partial(OrderBatches, words=words),
        measure=sentence_order.measure,
        added=sentence_order.ADDED,
        reads="corrupted" if words else "text",
    )


def _detecting(config: RtdConfig) -> Method:
    return Method(
        called="replaced-token detection",
        open=partial(open_electra, config=config),
        new=partial(new_electra, config=config),
        objective=partial(ReplacedTokens, config=config),
        batches=lambda masked: masked,
        measure=replaced_tokens.measure,
    )


def _detouring(config: DetourConfig) -> Method:
    return replace(
        MASKED_LM,
        called="next tokens, then masked language modelling",
        objective=Detour,
        batches=partial(DetourBatches, config=config),
    )


def _continuing(config: ClmConfig) -> Method:
    return Method(
        called="causal language modelling",
        open=open_decoder,
        new=new_decoder,
        objective=partial(CausalLM, config=config),
        batches=partial(NextTokenBatches, config=config),
        measure=causal_lm.measure,
        reads="chosen" if config.select == "chosen" else "text",
    )


MASKED_NEXT = Method(
    called="masked next-token prediction",
    open=masked_next.open_both_sides,
    new=masked_next.new_both_sides,
    objective=masked_next.MaskedNext,
    batches=masked_next.ShiftedBatches,
    measure=masked_next.measure,
    prepare=masked_next.add_mask_token,
)

PERMUTED_LM = Method(
    called="permutation language modelling",
    open=open_xlnet,
    new=new_xlnet,
    objective=PermutedLM,
    batches=PermutedBatches,
    measure=permuted_lm.measure,
    reads="chosen",
)


@dataclass(frozen=True)
class ObjectiveConfig:
    """What a model is pretrained by."""

    objective: Literal["mlm", "mlm+sop", "sop", "rtd", "plm", "clm-mlm", "clm", "mntp"] = field(
        default="mlm", metadata=ADDED
    )
    """Masked words (mlm); beside them the order of two segments (with masked.replacement = similar: MacBERT), or that
    alone (sop); replaced tokens told from those as written (rtd: ELECTRA); words in any order (plm: XLNet); next
    tokens under a causal mask, then masked words (clm-mlm: a causal detour); next tokens (clm: decoders); masked
    words, each from the place before it, by a decoder that sees both sides (mntp: it becomes an encoder)."""
    rtd: RtdConfig = field(default_factory=RtdConfig, metadata=ADDED)
    """Settings of rtd."""
    detour: DetourConfig = field(default_factory=DetourConfig, metadata=ADDED)
    """Settings of clm-mlm."""
    clm: ClmConfig = field(default_factory=ClmConfig, metadata=ADDED)
    """Settings of clm."""

    def __post_init__(self) -> None:
        owners = (("rtd", "rtd", RtdConfig()), ("detour", "clm-mlm", DetourConfig()), ("clm", "clm", ClmConfig()))
        for name, owner, default in owners:
            if self.objective != owner and getattr(self, name) != default:
                told = f"{name}. has settings, and objective = {self.objective}"
                raise ValueError(f"{told}: set objective = {owner}, or drop them")

    @property
    def method(self) -> Method:
        """The objective as the stages use it."""
        made = {
            "mlm": lambda: MASKED_LM,
            "mlm+sop": lambda: _ordering(words=True),
            "sop": lambda: _ordering(words=False),
            "rtd": lambda: _detecting(self.rtd),
            "plm": lambda: PERMUTED_LM,
            "clm-mlm": lambda: _detouring(self.detour),
            "clm": lambda: _continuing(self.clm),
            "mntp": lambda: MASKED_NEXT,
        }
        return made[self.objective]()
