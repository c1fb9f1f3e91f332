"""A model as sentence-transformers opens it: the mean of the last hidden states (Reimers and Gurevych 2019).

The format is that of the library's own folders: `modules.json` names what a text passes through, the model at the top
and the pooling in a folder of its own. Texts that
are not cut become what `pipeline.encoding` makes of them.
"""

import json
from pathlib import Path

from pipeline.models import load_config, positions_of
from pipeline.publishing.weights import Weights
from pipeline.run.errors import InputError

LOADING = """\
```python
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("{name}")   # this folder, or the name of its repository
vectors = model.encode(["…", "…"])
```"""
POOLING = "1_Pooling"
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": POOLING, "type": "sentence_transformers.models.Pooling"},
]
MEAN = {
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}
LONGEST = 1_000_000
"""A tokenizer that knows no limit says a larger number."""


def write_sentence_files(folder: Path, weights: Weights) -> None:
    """What the library looks for beside a model and its tokenizer."""
    if weights.task == "text-generation":
        raise InputError(
            f"{weights.kind} reads from left to right, and the mean of what it makes of a text means little: "
            "leave out published.sentence_transformers"
        )
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    positions = positions_of(load_config(folder))
    takes = [limit for limit in (tokenizer.get("model_max_length"), positions) if limit]
    longest = int(min(takes, default=LONGEST))
    written = {
        "modules.json": MODULES,
        f"{POOLING}/config.json": {"word_embedding_dimension": weights.width, **MEAN},
        "sentence_bert_config.json": {
            "max_seq_length": longest if longest < LONGEST else None,
            "do_lower_case": False,
        },
    }
    (folder / POOLING).mkdir(exist_ok=True)
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
