"""Models in and out: every trap on the way is told in one line."""

import json
import shutil

import pytest
import torch
import yaml
from conftest import WORDS, wordpiece
from huggingface_hub import constants
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from pipeline.models import (
    ModelSize,
    load_classifier,
    load_masked_lm,
    load_token_classifier,
    load_tokenizer,
    load_trained,
    model_card,
    new_bert,
    save,
)
from pipeline.run.errors import InputError
from pipeline.tokens import fingerprint

KINDS = ["bert", "roberta", "modernbert"]


@pytest.fixture
def copy(checkpoints, tmp_path):
    """A copy of the toy BERT to spoil."""
    return shutil.copytree(checkpoints["bert"], tmp_path / "copy")


def equal(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_comes_back_whole_and_without_a_warning(checkpoints, new_model, kind, capsys):
    assert equal(load_masked_lm(checkpoints[kind]), new_model(kind))
    assert "!" not in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_prediction_head_is_told_loudly(checkpoints, tmp_path, kind, capsys):
    AutoModel.from_pretrained(checkpoints[kind]).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(checkpoints[kind]).save_pretrained(tmp_path)
    load_masked_lm(tmp_path)
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("!")]
    assert len(told) == 1 and "no head for masked language modelling" in told[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("load", [load_classifier, load_token_classifier])
def test_a_fresh_head_depends_on_the_seed_alone(checkpoints, new_model, tmp_path, kind, load):
    new_model(kind, seed=1).save_pretrained(tmp_path / "other")
    torch.manual_seed(3)
    one = load(checkpoints[kind], ["a", "b", "c"], seed=5)
    torch.manual_seed(4)
    other, third = load(tmp_path / "other", ["a", "b", "c"], seed=5), load(checkpoints[kind], ["a", "b", "c"], seed=6)
    heads = [dict(m.named_parameters()) for m in (one, other, third)]
    fresh = [n for n in heads[0] if "pooler" in n or not n.startswith(one.base_model_prefix)]
    assert fresh and all(torch.equal(heads[0][n], heads[1][n]) for n in fresh)
    assert not torch.equal(heads[0]["classifier.weight" if kind != "roberta" or load is load_token_classifier else
                                    "classifier.out_proj.weight"], heads[2][fresh[-2]])  # fmt: skip
    assert not equal(one.base_model, other.base_model)


def test_a_trained_pooler_is_not_taken_over(checkpoints, copy):
    model = AutoModelForSequenceClassification.from_pretrained(copy)
    model.bert.pooler.dense.weight.data.fill_(7)
    model.save_pretrained(copy)
    found, plain = (load_classifier(place, ["a", "b"], seed=0) for place in (copy, checkpoints["bert"]))
    assert equal(found.bert.pooler, plain.bert.pooler)


def test_the_encoder_of_a_classifier_is_that_of_the_checkpoint(checkpoints, new_model):
    found, wanted = load_classifier(checkpoints["bert"], ["a", "b"], 0), new_model("bert")
    assert equal(found.bert.encoder, wanted.bert.encoder)


def test_labels_are_kept_with_the_model(checkpoints, copy):
    model = load_classifier(checkpoints["bert"], ["坏", "好"], 0)
    save(model, wordpiece(), copy, "card")
    assert AutoModelForSequenceClassification.from_pretrained(copy).config.id2label == {0: "坏", 1: "好"}
    assert not load_trained(AutoModelForSequenceClassification, copy).training


def test_weights_that_are_only_a_pickle_are_refused(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit'\ntR.")
    with pytest.raises(InputError, match=r"only as a pickle .* convert it to model.safetensors"):
        load_masked_lm(copy)


def test_a_tokenizer_without_mask_token_is_refused(copy):
    tokenizer = wordpiece()
    tokenizer.mask_token = None
    tokenizer.save_pretrained(copy)
    with pytest.raises(InputError, match="no mask token"):
        load_masked_lm(copy)


def test_a_tokenizer_of_another_model_is_refused_with_both_sizes(copy):
    tokenizer = wordpiece()
    tokenizer.add_tokens([f"new{i}" for i in range(3)])
    tokenizer.save_pretrained(copy)
    with pytest.raises(InputError, match=rf"{len(WORDS) + 3} entries, its model only {len(WORDS)} embeddings"):
        load_masked_lm(copy)


@pytest.mark.parametrize("place", ["/no/such/folder", "./nothing", "~/nowhere", "a/b/c"])
def test_a_wrong_path_is_one_line_that_says_what_a_base_is(place):
    for load in (load_masked_lm, load_tokenizer):
        with pytest.raises(InputError, match=f"no folder {place}: BASE is a local folder") as told:
            load(place)
        assert "\n" not in str(told.value)


def test_a_hub_that_is_not_reached_is_one_line_with_two_ways_out_at_once(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody listens
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"not reached \(.*\): give a local folder .* \(hf download some/base\)$"):
        load_masked_lm("some/base")
    assert "Retry" not in capfd.readouterr().err
    with pytest.raises(InputError, match=r"cannot load my base from the hub \(Repo id must .*: it must be there"):
        load_masked_lm("my base")


@pytest.mark.parametrize("kind", KINDS)
def test_a_length_the_model_does_not_take_is_refused(checkpoints, kind):
    load_tokenizer(checkpoints[kind], max_length=32)
    with pytest.raises(InputError, match=r"max_length = 33, but the model in .* takes at most 32 ids: lower it"):
        load_tokenizer(checkpoints[kind], max_length=33)


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_tokenizer_without_a_limit_the_positions_of_the_model_are_one(checkpoints, tmp_path, kind):
    """RoBERTa has 34 here, and the first token of a sequence stands at 2."""
    folder = shutil.copytree(checkpoints[kind], tmp_path / kind)
    told = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps(told | {"model_max_length": 10**30}), encoding="utf-8")
    load_tokenizer(folder, max_length=32)
    with pytest.raises(InputError, match="takes at most 32 ids"):
        load_tokenizer(folder, max_length=33)


def test_what_a_tokenizer_saves_does_not_depend_on_how_it_was_loaded(checkpoints, tmp_path):
    load_tokenizer(checkpoints["bert"]).save_pretrained(tmp_path / "ours")
    settings = json.loads((tmp_path / "ours" / "tokenizer_config.json").read_text())
    assert not {"is_local", "local_files_only"} & settings.keys() and settings["mask_token"] == "[MASK]"


@pytest.mark.parametrize("spoil", ["empty", "no config", "no weights", "cut weights"])
def test_a_folder_that_is_no_model_is_one_line(copy, spoil):
    if spoil == "cut weights":
        (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:1000])
    for path in copy.iterdir():
        if spoil == "empty" or path.name == {"no config": "config.json", "no weights": "model.safetensors"}.get(spoil):
            path.unlink()
    with pytest.raises(InputError, match="cannot load") as told:
        load_masked_lm(copy)
    assert "\n" not in str(told.value)


def test_a_new_model_is_the_same_for_one_seed():
    size = ModelSize(hidden_size=16, layers=2, heads=2, max_length=32)
    one, other, third = (new_bert(size, 50, 0, seed) for seed in (1, 1, 2))
    assert equal(one, other) and not equal(one, third)


def test_a_width_that_heads_do_not_divide_is_refused():
    with pytest.raises(ValueError, match="hidden_size = 16 must be a multiple of heads = 3"):
        ModelSize(hidden_size=16, heads=3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_opens_with_the_auto_classes(checkpoints, tmp_path, kind):
    model, tokenizer = load_masked_lm(checkpoints[kind]), load_tokenizer(checkpoints[kind])
    save(model, tokenizer, tmp_path, model_card("Toy", "none", "A toy.", {"steps": 3}))
    assert equal(AutoModelForMaskedLM.from_pretrained(tmp_path), model)
    assert AutoModelForTokenClassification.from_pretrained(tmp_path).base_model is not None
    assert fingerprint(AutoTokenizer.from_pretrained(tmp_path)) == fingerprint(tokenizer)
    assert not list(tmp_path.glob("*.bin"))


@pytest.mark.parametrize(("base", "named"), [("hfl/base", {"base_model": "hfl/base"}), ("dapt", {}), ("none: 1", {})])
def test_a_card_has_metadata_the_hub_reads(base, named):
    """Of a base only where the hub knows it by this name."""
    _, front, text = model_card("Toy", base, "A toy.", {"steps": 3}).split("---\n", 2)
    assert yaml.safe_load(front) == {"library_name": "transformers", "tags": ["keymask"], **named}
    assert "# Toy" in text and "| steps | 3 |" in text and f"| made from | {base} |" in text


def test_code_that_comes_with_a_model_is_never_run(copy, tmp_path):
    config = json.loads((copy / "config.json").read_text())
    config |= {
        "auto_map": {"AutoModelForMaskedLM": "bad.Bad", "AutoConfig": "bad.Config"},
        "model_type": "nothing-known",
    }
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "bad.py").write_text(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    with pytest.raises(InputError, match="cannot load"):
        load_masked_lm(copy)
    assert not (tmp_path / "was-here").exists()
