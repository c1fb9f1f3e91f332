"""A tokenizer and a model with new entries.

The embedding of an entry is the mean of those of the pieces it replaces (Gee et al. 2022, Fast Vocabulary Transfer),
and so are its bias and, where it is not the same, its row of the output. Its logit is then the mean of theirs: a new
word takes no larger share of a prediction than its pieces have on average, and the old entries keep their logits. A
word that was unknown begins as the unknown token.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pipeline.models import load_tokenizer
from pipeline.run.errors import InputError
from pipeline.vocabulary.families import Family


def extended(tokenizer: PreTrainedTokenizerBase, family: Family, place: str) -> PreTrainedTokenizerBase:
    """The tokenizer with the entries of the family after its own, opened from a file as everybody will open it."""
    old = tokenizer.get_vocab()
    new = {entry: max(old.values()) + 1 + i for i, entry in enumerate(family.made)}
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        path = Path(folder) / "tokenizer.json"
        whole = json.loads(path.read_text(encoding="utf-8"))
        # added tokens too: those outside the model would be given ids anew, after all that the model has
        whole["model"]["vocab"] |= {token["content"]: token["id"] for token in whole["added_tokens"]} | new
        family.extend(whole["model"])
        path.write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")
        found = load_tokenizer(folder)
    found.name_or_path = tokenizer.name_or_path
    if found.get_vocab() != old | new:
        kind = type(tokenizer).__name__
        raise InputError(
            f"the tokenizer of {place} ({kind}) does not keep new entries when it is opened: save it as a "
            "PreTrainedTokenizerFast, or set base.vocabulary.words = 0"
        )
    return found


def rows_of(tokenizer: PreTrainedTokenizerBase, family: Family) -> dict[int, list[int]]:
    """Id of each new entry -> ids of the old pieces of what it stands for."""
    ids = tokenizer.get_vocab()
    return {ids[entry]: [ids[piece] for piece in pieces] for entry, pieces in family.made.items()}


@torch.no_grad()
def widen(model: PreTrainedModel, rows: Mapping[int, Sequence[int]]) -> None:
    """Give a model a row for each new id, the mean of the rows of others; the old ones, and what is tied, stay."""
    size = max(model.get_input_embeddings().num_embeddings, max(rows) + 1)  # a padded vocabulary may have room
    model.resize_token_embeddings(size, mean_resizing=False)
    for weight in vocabulary_weights(model):
        for row, pieces in rows.items():
            weight[row] = weight[list(pieces)].float().mean(0)


def vocabulary_weights(model: PreTrainedModel) -> list[Tensor]:
    """What has a row for every entry of the vocabulary: embeddings, the output's matrix if another, and its bias."""
    head = model.get_output_embeddings()
    found = [model.get_input_embeddings().weight, *(head.parameters() if head is not None else ())]
    return list(dict.fromkeys(found))
