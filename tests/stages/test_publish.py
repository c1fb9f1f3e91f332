"""What of an artifact goes out, and what stays at home."""

import json

import pytest

from pipeline.run.artifact import open_draft, seal
from pipeline.run.errors import InputError
from stages.publish import PublishConfig, publish

CONFIG = {"model_type": "bert", "architectures": ["BertForMaskedLM"], "num_hidden_layers": 1, "hidden_size": 8}
OUT = ["config.json", "generator/config.json", "generator/tokenizer.json", "task.json", "tokenizer.json", "vocab.txt"]
HOME = ["evidence.json", "logs/metrics.jsonl", "seeds/13/config.json", "seeds/13/head.safetensors", "vocabulary.md",
        "predictions/part-00000.parquet"]  # fmt: skip


@pytest.fixture
def model(tmp_path):
    """A model made of a base that is no longer there, with all that may lie beside one."""
    draft = open_draft(tmp_path / "runs" / "toy" / "finetuned-dapt", "key", {})
    found = {"metric": "f1", "metrics": ["f1"], "seeds": [{"seed": 1, "dev": 1.0, "measured": {"f1": 5.0}}]}
    for name in (*OUT, *HOME):
        (draft / name).parent.mkdir(parents=True, exist_ok=True)
        (draft / name).write_text(json.dumps(found))
    (draft / "config.json").write_text(json.dumps(CONFIG))
    how = {"seconds": 2.0, "command": "make dapt", "commit": "abc", "python": "3", "versions": {}, "machine": "m"}
    metrics = {"f1": 5.0, "f1_sd": 0.0, "test_rows": 9, "train_rows": 9}
    manifest = {"stage": "finetune", "config": {"seeds": [1]}, "inputs": {"init": "0" * 64}, "metrics": metrics}
    seal(draft, tmp_path / "runs" / "toy" / "finetuned-dapt", {**manifest, "key": "key", "provenance": how})
    return tmp_path / "runs" / "toy" / "finetuned-dapt"


def published(model, **settings):
    defaults = model.parent / "defaults.json"
    defaults.write_text("{}")
    publish(PublishConfig(**settings), model, model.parent, model.parent, defaults, model.parent / "out")
    return model.parent / "out"


def test_what_opens_a_model_goes_out_and_all_else_stays_at_home(model):
    out = published(model)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()) == ["README.md", *OUT]
    assert "*init, no longer there*" in (out / "README.md").read_text()


def test_a_file_that_is_not_the_one_that_was_sealed_is_not_published(model):
    (model / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json is not the file that was made"):
        published(model)


@pytest.mark.parametrize("licence", ["Apache 2.0", "my own!", "MIT"])
def test_a_licence_is_named_as_the_hub_names_it(licence):
    with pytest.raises(ValueError, match="as the hub names it"):
        PublishConfig(licence=licence)
