"""Other objectives than masked words by command line: continued, from scratch, fine-tuned, one after the other."""

from itertools import islice
from pathlib import Path

import pytest
import torch
from kitchen import Kitchen
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from corpora.parquet import read_rows
from pipeline.models import load_tokenizer
from pipeline.run.artifact import read_manifest
from pipeline.run.key import keyed, make_key
from stages.pretrain import PretrainConfig

SHORT = ("dapt.trainer.steps=6", "tapt.trainer.steps=3", "finetuned.trainer.epochs=1.0", "finetuned.seeds=[13]")
OBJECTIVES = {
    "mlm+sop": ("bert", {"dev_order_loss", "dev_order_accuracy"}),
    "sop": ("bert", {"dev_order_loss", "dev_order_accuracy"}),
    "clm-mlm": ("bert", set()),
    "rtd": ("bert", {"dev_generator_loss", "dev_detection_loss", "dev_fake_rate", "dev_auc", "dev_recall"}),
}


def make(kitchen: Kitchen, stage: str, out: Path, *settings: str, **folders: Path) -> dict[str, float]:
    assert kitchen.make(stage, out, "--set", *SHORT, *settings, **folders) == 0
    return read_manifest(out)["metrics"]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_continues_a_base_and_is_fine_tuned(kitchen, tmp_path, name):
    kind, measured = OBJECTIVES[name]
    out = tmp_path / "dapt"
    found = make(
        kitchen, "pretrain", out, f"dapt.objective={name}", init=kitchen["base"], masked=kitchen["masked"] / "domain"
    )
    slack = 0.3 if name == "clm-mlm" else 0.1  # most of its steps were of next tokens
    assert found["steps"] == 6 and measured <= found.keys() and found["dev_loss"] < found["dev_loss_before"] + slack
    assert AutoConfig.from_pretrained(out).model_type == kind
    assert name == "rtd" or AutoModelForMaskedLM.from_pretrained(out).num_parameters() > 0
    tuned = make(kitchen, "finetune", tmp_path / "finetuned-dapt", init=out, task=kitchen["corpus"] / "task")
    assert 0 <= tuned["accuracy"] <= 100


def test_replaced_tokens_go_on_with_their_generator(kitchen, tmp_path):
    rtd = ("dapt.objective=rtd", "tapt.objective=rtd", "dapt.rtd.generator_width=1.0", "dapt.rtd.generator_layers=1")
    masked = kitchen["masked"]
    make(kitchen, "pretrain", tmp_path / "dapt", *rtd, init=kitchen["base"], masked=masked / "domain")
    first = AutoModelForMaskedLM.from_pretrained(tmp_path / "dapt" / "generator")
    found = make(kitchen, "pretrain", tmp_path / "dapt-tapt", *rtd, init=tmp_path / "dapt", masked=masked / "task")
    then = AutoModelForMaskedLM.from_pretrained(tmp_path / "dapt-tapt" / "generator")
    assert then.config.hidden_size == first.config.hidden_size == 32 and found["steps"] == 3
    AutoModel.from_pretrained(tmp_path / "dapt-tapt")


@pytest.mark.parametrize(
    ("name", "kind"), [("mlm+sop", "bert"), ("rtd", "electra"), ("plm", "xlnet"), ("clm", "llama")]
)
def test_a_base_is_built_by_any_objective(kitchen, tmp_path, name, kind):
    settings = (f"base.objective={name}", "base.trainer.steps=6")
    make(kitchen, "start", tmp_path / "base", *settings, general=kitchen["corpus"] / "general")
    assert AutoConfig.from_pretrained(tmp_path / "base").model_type == kind
    again = ("base.model=" + str(tmp_path / "base"), f"base.objective={name}")
    make(kitchen, "start", tmp_path / "copy" / "base", *again)
    assert (tmp_path / "copy" / "base" / "generator").is_dir() == (name == "rtd")
    folders = {"init": tmp_path / "base", "masked": kitchen["masked"] / "domain"}  # of the same tokenizer
    found = make(kitchen, "pretrain", tmp_path / "dapt", f"dapt.objective={name}", **folders)
    assert found["steps"] == 6 and AutoConfig.from_pretrained(tmp_path / "dapt").model_type == kind
    make(kitchen, "finetune", tmp_path / "finetuned-dapt", init=tmp_path / "dapt", task=kitchen["corpus"] / "task")


def test_a_killed_run_ends_as_one_that_was_not(kitchen, tmp_path):
    rtd = {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}
    settings = ("--set", *SHORT, "dapt.objective=rtd", "dapt.trainer.save_steps=2")
    assert kitchen.make("pretrain", tmp_path / "a" / "toy" / "dapt", *settings, **rtd) == 0
    begun = kitchen.begun(
        "pretrain", tmp_path / "b" / "toy" / "dapt", *settings, fault="checkpoint.rename@2:kill", **rtd
    )
    begun.process.join()
    assert begun.process.exitcode == -9
    assert kitchen.make("pretrain", tmp_path / "b" / "toy" / "dapt", *settings, **rtd) == 0
    files = [read_manifest(tmp_path / arm / "toy" / "dapt")["files"] for arm in ("a", "b")]
    weights = [{name: entry for name, entry in one.items() if name.endswith("safetensors")} for one in files]
    assert weights[0] == weights[1] and len(weights[0]) == 3


def test_the_key_of_what_was_made_before_is_as_it_was(kitchen):
    """Masked language modelling is the default, and its key knows nothing of the others."""
    manifest, config = read_manifest(kitchen["dapt"]), kitchen.config(PretrainConfig, "dapt")
    assert keyed(config).keys() == {"trainer"} and config.objective == "mlm"
    assert manifest["key"] == make_key("pretrain", manifest["version"], keyed(config), manifest["inputs"])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (["dapt.objective=xlm"], "one of mlm, mlm+sop, sop, rtd, plm, clm-mlm"),
        (["dapt.detour.causal_share=0.5"], "detour. has settings, and objective = mlm: set objective = clm-mlm"),
        (["dapt.rtd.weight=1.0"], "rtd. has settings, and objective = mlm: set objective = rtd, or drop them"),
        (["dapt.objective=rtd", "dapt.rtd.generator_width=2.0"], "must be above 0 and at most 1"),
        (["dapt.objective=rtd", "dapt.rtd.generator_layers=7"], "the discriminator has 1: lower it"),
        (
            ["dapt.objective=plm"],
            "is of the kind bert: set objective = mlm, or build a base with base.objective = plm",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_with_one_line(kitchen, tmp_path, capsys, settings, why):
    folders = {"init": kitchen["base"], "masked": kitchen["masked"] / "domain"}
    assert kitchen.make("pretrain", tmp_path / "dapt", "--set", *settings, **folders) == 2
    said = capsys.readouterr().err.splitlines()
    assert why in said[-1] and "Traceback" not in "".join(said)


# ---- decoders -------------------------------------------------------------------------------------------------------


@pytest.fixture
def decoder(kitchen, tmp_path) -> Path:
    """A Qwen of width 32 with a byte-level tokenizer: neither a mask token nor padding, nothing put around a text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )  # fmt: skip
    backend.train_from_iterator((row["text"] for row in read_rows(kitchen["corpus"] / "general")), trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|endoftext|>", model_max_length=64)
    config = Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        head_dim=8, intermediate_size=64, max_position_embeddings=64, tie_word_embeddings=True,
    )  # fmt: skip
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "qwen")
    tokenizer.save_pretrained(tmp_path / "qwen")
    return tmp_path / "qwen"


DECODING = ("base.objective=clm", "dapt.objective=clm", "masked.max_length=48", "masked.policy=whole_word")


def test_a_decoder_goes_on_with_its_text_and_is_fine_tuned(kitchen, decoder, tmp_path):
    """From a named model to a task model, learning from what a reference of one base says it may."""
    base, masked, reference = tmp_path / "base", tmp_path / "masked", tmp_path / "reference" / "dapt"
    make(kitchen, "start", base, *DECODING, f"base.model={decoder}", general=kitchen["corpus"] / "general")
    make(kitchen, "mask", masked, *DECODING, init=base, corpus=kitchen["corpus"])
    row, tokenizer = next(read_rows(masked / "domain" / "train")), load_tokenizer(base)
    assert row["input_ids"][-1] == tokenizer.eos_token_id and row["word_ids"][-1] == -1 and row["word_ids"][0] == 0
    found = make(kitchen, "pretrain", reference, *DECODING, init=base, masked=masked / "domain")
    assert found["dev_loss"] < found["dev_loss_before"] and found["dev_perplexity"] > 1
    referred = make(kitchen, "refer", tmp_path / "referred", *DECODING, masked=masked, reference=reference)
    assert 0 < referred["loss"] < found["dev_loss_before"]
    ranked = (*DECODING, "dapt.clm.select=excess_loss", "dapt.clm.keep=0.5")
    folders = {"init": base, "masked": masked / "domain", "referred": tmp_path / "referred" / "domain"}
    make(kitchen, "pretrain", tmp_path / "dapt", *ranked, **folders)
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "dapt").config.model_type == "qwen3"
    tuned = make(
        kitchen, "finetune", tmp_path / "finetuned-dapt", init=tmp_path / "dapt", task=kitchen["corpus"] / "task"
    )
    assert 0 <= tuned["accuracy"] <= 100


def test_a_decoder_becomes_an_encoder(kitchen, decoder, tmp_path):
    """It is given a mask token; without one the line says how."""
    both = (*DECODING, "base.objective=mntp", "dapt.objective=mntp")
    base, masked, corpus = tmp_path / "base", tmp_path / "masked", kitchen["corpus"]
    make(kitchen, "start", base, *both, f"base.model={decoder}")
    assert load_tokenizer(base).mask_token_id is not None
    make(kitchen, "mask", masked, *both, init=base, corpus=corpus)
    found = make(kitchen, "pretrain", tmp_path / "dapt", *both, init=base, masked=masked / "domain")
    assert found["dev_loss"] < found["dev_loss_before"] and not AutoConfig.from_pretrained(tmp_path / "dapt").is_causal
    make(kitchen, "finetune", tmp_path / "finetuned-dapt", init=tmp_path / "dapt", task=corpus / "task")
    assert not AutoConfig.from_pretrained(tmp_path / "finetuned-dapt").is_causal
    make(kitchen, "start", tmp_path / "clm" / "base", *DECODING, f"base.model={decoder}")
    make(kitchen, "mask", tmp_path / "clm" / "masked", *DECODING, init=tmp_path / "clm" / "base", corpus=corpus)
    folders = {"init": tmp_path / "clm" / "base", "masked": tmp_path / "clm" / "masked" / "domain"}
    assert kitchen.make("pretrain", tmp_path / "clm" / "dapt", "--set", *both, **folders) == 2


def test_losses_of_a_reference_are_those_of_its_own_forward(kitchen, decoder, tmp_path):
    """Row for row in the order of the masked corpus; another tokenizer, and no reference, are refused."""
    base, masked = tmp_path / "base", tmp_path / "masked"
    make(kitchen, "start", base, *DECODING, f"base.model={decoder}")
    make(kitchen, "mask", masked, *DECODING, init=base, corpus=kitchen["corpus"])
    make(kitchen, "refer", tmp_path / "referred", masked=masked, reference=base)
    model = AutoModelForCausalLM.from_pretrained(base)
    pairs = zip(read_rows(masked / "task" / "train"), read_rows(tmp_path / "referred" / "task" / "train"), strict=True)
    for row, said in islice(pairs, 5):
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            wanted = cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="none")
        assert said["id"] == row["id"] and said["loss"][0] == 0
        torch.testing.assert_close(torch.tensor(said["loss"][1:]), wanted, rtol=1e-4, atol=1e-4)
    assert kitchen.make("refer", tmp_path / "none" / "referred", masked=masked) == 2
    assert kitchen.make("refer", tmp_path / "other" / "referred", masked=kitchen["masked"], reference=base) == 2
    asked = ("--set", *SHORT, *DECODING, "dapt.clm.select=excess_loss")
    assert kitchen.make("pretrain", tmp_path / "dapt", *asked, init=base, masked=masked / "domain") == 2
    wrong = {"init": base, "masked": masked / "domain", "referred": tmp_path / "referred" / "task"}
    assert kitchen.make("pretrain", tmp_path / "dapt", *asked, **wrong) == 2
