"""Every scorer by its name, and what it needs: the one place to add another.

A scorer is a function from documents to importances: `score(documents)` is float32 [words] of each document, higher is
more important. In the table below each name stands with what it must be given before it is one:

    classifier        a fine-tuned classifier; explains a document's label, or what it predicts where there is none
    base              a masked language model
    reference         another one, adapted to good text
    task              words and label of the labelled texts
    domain, general   words of these texts
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.draws import SCORE, document_keys, uniform
from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.scoring.attribution import attention, gradient, integrated_gradients
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document, Importances
from pipeline.scoring.keyword import keyword
from pipeline.scoring.language import LanguageModel, entropy, excess_loss, loss
from pipeline.scoring.lexicon import log_odds, pmi, tfidf
from pipeline.scoring.perturbation import occlusion, prefix
from pipeline.tokens import fingerprint

Score = Callable[[Sequence[Document]], Importances]

Scorer = Literal[
    "prefix", "occlusion", "gradient", "integrated_gradients", "attention",
    "log_odds", "tfidf", "pmi", "keyword", "entropy", "loss", "excess_loss", "random",
]  # fmt: skip
"""Names of the scorers that weigh words and leave the decision to the stage."""


@dataclass(frozen=True)
class Recipe:
    """Of what a scorer is made, and how."""

    needs: tuple[str, ...]
    make: Callable[..., Score]


def random(documents: Sequence[Document]) -> Importances:
    """A draw for each word of each document: the control of every other scorer."""
    keys = document_keys([document.id for document in documents])
    draw = lambda key, count: uniform(0, SCORE, key, np.arange(count)).astype(np.float32)
    return [draw(key, len(document.words)) for key, document in zip(keys, documents, strict=True)]


def _asking(function: Callable[..., Importances]) -> Callable[..., Score]:
    """`function(models…, documents)` as a function of the models that returns a scorer."""
    return partial(partial, function)


def _explaining(function: Callable[[Classifier, Sequence[Document]], Importances]) -> Callable[[Classifier], Score]:
    """The same for a function of a classifier and documents with labels."""
    return lambda classifier: lambda documents: function(classifier, classifier.labelled(documents))


SCORERS: dict[str, Recipe] = {
    "prefix": Recipe(("classifier",), _explaining(prefix)),
    "occlusion": Recipe(("classifier",), _explaining(occlusion)),
    "gradient": Recipe(("classifier",), _explaining(gradient)),
    "integrated_gradients": Recipe(("classifier",), _explaining(integrated_gradients)),
    "attention": Recipe(("classifier",), _asking(attention)),
    "log_odds": Recipe(("task",), log_odds),
    "tfidf": Recipe(("domain", "general"), tfidf),
    "pmi": Recipe(("domain",), pmi),
    "keyword": Recipe(("base",), _asking(keyword)),
    "entropy": Recipe(("base",), _asking(entropy)),
    "loss": Recipe(("base",), _asking(loss)),
    "excess_loss": Recipe(("base", "reference"), _asking(excess_loss)),
    "random": Recipe((), lambda: random),
}

MODELS = {"classifier": Classifier.load, "base": LanguageModel.load, "reference": LanguageModel.load}
REMEDIES = {
    "classifier": "a classifier: run make finetuned-base, and give it as --classifier",
    "base": "a base: run make base, and give it as --init",
    "reference": "a reference model: set REFERENCE=<folder of a checkpoint adapted to good text>",
    "task": "labelled task text: name a task in [corpus]",
    "domain": "domain text: name some as domain in [corpus]",
    "general": "general text to compare with: name some as general in [corpus]",
}


def make_scorer(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    models: Mapping[str, Path | Classifier | None],
    texts: Mapping[str, Iterable | None],
) -> Score:
    """A scorer of the table, of models (in folders, or loaded) and texts as words.

    What it does not need is not touched. InputError where something is missing, or a model has another tokenizer than
    the documents.
    """
    recipe, given = SCORERS[name], {**models, **texts}
    for need in recipe.needs:
        if given.get(need) is None:
            raise InputError(f"scorer = {name} needs {REMEDIES[need]}")
    return recipe.make(*(_loaded(need, given[need], tokenizer) for need in recipe.needs))


def _loaded(need: str, given: object, tokenizer: PreTrainedTokenizerBase) -> object:
    if not isinstance(given, Path):
        return given
    if fingerprint(load_tokenizer(given)) != fingerprint(tokenizer):
        raise InputError(f"the {need} in {given} has another tokenizer than the text: take checkpoints of one base")
    return MODELS[need](given)
