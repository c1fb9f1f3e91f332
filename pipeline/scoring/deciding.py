"""Importance and decision of every word of many documents, by any scorer by its name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.run.processes import gathered
from pipeline.run.progress import progress
from pipeline.scoring.buffer import BufferConfig, buffer
from pipeline.scoring.causal import CausalClassifier
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document, Importances, Scored
from pipeline.scoring.importance import top_edge
from pipeline.scoring.scorers import SCORERS, make_scorer
from pipeline.training.config import TrainerConfig

TOGETHER = 512
"""Documents scored together: enough of each length, and memory that does not grow with the corpus."""

NEEDS = {"buffer": ("classifier",), "causal_prefix": ("classifier",)} | {n: r.needs for n, r in SCORERS.items()}
"""What each scorer must be given (scorers.py); the first two are no functions of documents alone: one decides, one
is trained."""


@dataclass(frozen=True)
class ScoringConfig:
    """What decides that a word is a keyword."""

    buffer: BufferConfig = field(default_factory=BufferConfig)
    """Settings of scorer = buffer."""
    causal: TrainerConfig = field(
        default_factory=lambda: TrainerConfig(
            epochs=10, batch_size=32, learning_rate=5e-5, warmup_ratio=0.1, adam_betas=(0.9, 0.999)
        )
    )
    """Training of scorer = causal_prefix, as of the tagger, which starts from as good an encoder."""
    keyword_share: float = 0.15
    """Share of the words that are keywords at most, with any other scorer: as many as are masked by default, so that
    keywords can fill the budget and still compete for it. Their importance must be above 0."""
    max_length: int = 128
    """Longest input in ids; words past it have no importance."""

    def __post_init__(self) -> None:
        if not 0 < self.keyword_share < 1:
            raise ValueError(f"keyword_share = {self.keyword_share} must lie between 0 and 1")


@dataclass(frozen=True)
class Given:
    """What there is for scorers to ask for."""

    tokenizer: PreTrainedTokenizerBase
    classifier: Path | None
    base: Path | None
    reference: Path | None
    texts: Callable[[], Mapping[str, Iterable | None]]
    """Words of the task, domain and general text; asked again, they begin again."""
    classify: Classifier | None = None
    """The classifier, loaded."""

    def lacks(self, name: str) -> list[str]:
        """What a scorer needs and is not there."""
        there = {"classifier": self.classify, "base": self.base, "reference": self.reference, **self.texts()}
        return [need for need in NEEDS[name] if there.get(need) is None]


def scored(config: ScoringConfig, name: str, given: Given, documents: Sequence[Document]) -> list[Scored]:
    """Of each word of each document, which have a label where there is a classifier."""
    if name == "buffer":
        return _in_parts(partial(buffer, config.buffer, given.classify), documents)
    if name == "causal_prefix":
        score = CausalClassifier.taught(given.classifier, given.tokenizer, gathered(documents), config.causal)
    else:
        models = {"classifier": given.classify, "base": given.base, "reference": given.reference}
        score = make_scorer(name, given.tokenizer, models, given.texts())
    return _decided(_in_parts(score, documents), config.keyword_share)


def _in_parts(scorer: Callable[[Sequence[Document]], list], documents: Sequence[Document]) -> list:
    starts = range(0, len(documents), TOGETHER)
    parts = progress(starts, len(starts), "parts")
    return [found for start in parts for found in scorer(documents[start : start + TOGETHER])]


def _decided(importances: Importances, keyword_share: float) -> list[Scored]:
    """Keywords are the top share of all words, over all processes, that are above zero."""
    everywhere = np.concatenate([np.zeros(0, np.float32), *gathered(importances)])
    edge = max(0.0, float(top_edge(everywhere, keyword_share)))
    return [Scored(importance, importance > edge) for importance in importances]
