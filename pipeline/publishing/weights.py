"""What kind of model a folder holds, and what opens it."""

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors import safe_open
from transformers.models.auto import modeling_auto

from pipeline.finetuning.heads import HEAD
from pipeline.models import ORDER_MODELS

OPENED_BY = {
    "AutoModelForMaskedLM": (modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES, "fill-mask"),
    "AutoModelForCausalLM": (modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, "text-generation"),
    "AutoModelForSequenceClassification": (
        modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES,
        "text-classification",
    ),
    "AutoModelForTokenClassification": (
        modeling_auto.MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES,
        "token-classification",
    ),
}
"""The class that opens a model -> what it opens (kind -> architecture), and the hub's word for what that is for."""

OF_WORDS = frozenset(kind.__name__ for kind in ORDER_MODELS.values())
"""With a head for the order of segments beside the one for masked words: they open as models of masked words."""


@dataclass(frozen=True)
class Weights:
    """Of a model as it is saved."""

    kind: str
    """`bert`."""
    opens: str
    """The Auto class."""
    task: str
    """The hub's pipeline tag."""
    layers: int
    width: int
    parameters: int
    head: bool
    """Whether a head lies beside it that no Auto class knows."""

    @classmethod
    def of(cls, folder: Path) -> "Weights":
        """Read off config.json and the headers of the weights."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind, name = str(config.get("model_type", "")), next(iter(config.get("architectures") or ()), "")
        opens = "AutoModelForMaskedLM" if name in OF_WORDS else "AutoModel"
        opens = next((auto for auto, (known, _) in OPENED_BY.items() if known.get(kind) == name), opens)
        task = OPENED_BY[opens][1] if opens in OPENED_BY else "feature-extraction"
        layers, width = (int(config.get(key, 0)) for key in ("num_hidden_layers", "hidden_size"))
        parameters, head = _parameters(folder), (folder / HEAD).exists()
        return cls(kind, opens, task, layers, width, parameters, head)


def _parameters(folder: Path) -> int:
    """Numbers in all weight files, their headers alone read."""
    count = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, "numpy") as file:
            count += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no dict
    return count
