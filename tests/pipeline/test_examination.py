"""A machine and a base looked at: each trap is found by its name, and what is fit has none."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from transformers import BertConfig, BertForMaskedLM, BertModel

from pipeline import examination
from pipeline.batches import MaskedBatches
from pipeline.diagnosis import sequences_from
from pipeline.examination import Finding, _decay, machine, opened
from pipeline.masking.config import MaskingConfig
from pipeline.models import ModelSize, load_masked_lm
from pipeline.objectives.masked_lm import MaskedLM
from pipeline.objectives.permuted_lm import new_xlnet
from pipeline.run.errors import InputError
from pipeline.tokens import sequence_rows
from pipeline.training.config import TrainerConfig
from pipeline.training.trainer import train

RATES = {"dapt.trainer.learning_rate": 5e-4}
TEXTS = ["我们爱这家店", "菜很好吃", "服务不错", "味道差", "the film is good", "a bad play"] * 10


def each_character(text: str) -> np.ndarray:
    return np.array([(i, i + 1) for i, char in enumerate(text) if not char.isspace()]).reshape(-1, 2)


def found(place: Path, texts: list[str] = TEXTS) -> dict[str, Finding]:
    return {finding.name: finding for finding in opened(place, texts, each_character, RATES)}


@pytest.fixture
def known(checkpoints, tokenizer, vocabulary, tmp_path) -> Path:
    """A BERT that knows these texts."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **size, max_position_embeddings=32))
    batch = {"id": [str(i) for i in range(60)], "text": TEXTS, "text_pair": [None] * 60}
    sequences = sequences_from(list(sequence_rows(batch, tokenizer, each_character, 32)))
    batches = MaskedBatches(sequences, MaskingConfig("whole_word", mask_rate=0.3), vocabulary, 0)
    train(MaskedLM(model), batches, TrainerConfig(steps=150, batch_size=16, learning_rate=1e-2), "toy")
    model.save_pretrained(tmp_path / "known")
    tokenizer.save_pretrained(tmp_path / "known")
    return tmp_path / "known"


def test_a_fit_base_has_no_fault_and_no_note(known):
    findings = found(known)
    assert {finding.state for finding in findings.values()} == {"good"}, findings
    assert findings.keys() >= {
        "base",
        "tokenizer",
        "vocabulary",
        "word offsets",
        "length",
        "head",
        "memory",
    }
    assert "each belongs to its word" in findings["word offsets"].fact


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_a_head_that_was_never_trained_is_a_fault(checkpoints, kind):
    head = found(checkpoints[kind])["head"]
    assert head.state == "fault" and "not trained" in head.remedy and "blind" in head.fact


def test_positions_that_count_from_another_number_are_said(checkpoints):
    assert "count from 2" in found(checkpoints["roberta"])["length"].fact
    assert found(checkpoints["roberta"])["length"].fact.startswith("at most 32 ids")


def test_unknown_tokens_are_worth_a_note(known):
    finding = found(known, ["完全陌生的文字", *TEXTS])["vocabulary"]
    assert finding.state == "note" and "unknown" in finding.fact and finding.remedy


def test_a_base_that_cannot_be_opened_is_a_fault_with_its_remedy(tmp_path, tokenizer):
    assert found(tmp_path / "nowhere")["base"].state == "fault"
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(tokenizer) - 9, **size)).save_pretrained(tmp_path / "small")
    tokenizer.save_pretrained(tmp_path / "small")
    finding = found(tmp_path / "small")["base"]
    assert finding.state == "fault" and "do not belong together" in finding.remedy


def test_a_modernbert_past_its_decay_is_not_to_be_warmed_up_far(checkpoints):
    finding = found(checkpoints["modernbert"])["decay"]
    assert finding.state == "note" and "dapt.trainer.learning_rate = 0.0005" in finding.fact
    assert finding.remedy == (
        "set dapt.trainer.learning_rate to 5e-05 or less, or take its authors' checkpoint from before the decay "
        "(up to 0.0003)"
    )
    assert next(_decay("some/name", "modernbert", {"dapt.trainer.learning_rate": 5e-5})).state == "good"
    assert "decay" not in found(checkpoints["bert"])


@pytest.mark.parametrize(
    ("schedule", "peak", "state"), [("wsd", 1e-4, "note"), ("linear", 5e-4, "good"), ("constant", 1e-4, "good")]
)
def test_a_checkpoint_of_ours_may_be_warmed_up_to_its_own_peak(tmp_path, schedule, peak, state):
    """The base is a copy of it."""
    configs = {"dapt": {"trainer": {"schedule": schedule, "learning_rate": peak}}}
    configs["base"] = {"model": str(tmp_path / "dapt"), "trainer": {"schedule": "linear", "learning_rate": 1.0}}
    for name, config in configs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(json.dumps({"config": config}))
    (finding,) = _decay(tmp_path / "base", "modernbert", RATES)
    assert finding.state == state and f"{peak:g}" in finding.fact and bool(finding.remedy) == (state == "note")


def test_what_is_pretrained_otherwise_is_told_by_what(tmp_path, tokenizer):
    size = ModelSize(hidden_size=16, layers=1, heads=2, max_length=32)
    new_xlnet(size, len(tokenizer), tokenizer.pad_token_id, 0).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert "words in any order: set objective = plm" in found(tmp_path)["base"].fact
    with pytest.raises(InputError, match=r"kind xlnet, which has no head for masked words: set objective = plm in"):
        load_masked_lm(tmp_path)


def test_a_model_too_large_for_the_memory_is_a_fault(known, monkeypatch):
    monkeypatch.setattr(examination, "BYTES_A_PARAMETER", 10**12)
    assert found(known)["memory"].state == "fault"


def test_tokens_without_a_word_are_a_fault(known, monkeypatch):
    broken = lambda *args: [{"input_ids": np.array([2, 9, 9, 3]), "word_ids": np.full(4, -1)}]
    monkeypatch.setattr(examination, "_rows", broken)
    monkeypatch.setattr(examination, "_head", lambda *args: Finding("head", "good", ""))
    assert found(known)["word offsets"].state == "fault"


def test_the_machine_learns_a_sentence_and_other_versions_are_worth_a_note(tmp_path):
    pins = {"torch": "0.1", "nothing": "1"}
    findings = {finding.name: finding for finding in machine(tmp_path / "not" / "yet", pins)}
    assert findings["training"].state == "good" and "by heart" in findings["training"].fact
    assert findings["libraries"].state == "note" and "nothing is missing (pinned: 1)" in findings["libraries"].fact
    version = torch.__version__.partition("+")[0]
    pins = {"torch": version, "transformers": transformers.__version__}
    same = {finding.name: finding for finding in machine(tmp_path, pins)}
    assert same["libraries"].state == "good"


def test_a_full_disk_and_a_gpu_that_torch_does_not_see_are_worth_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(examination.shutil, "disk_usage", lambda path: SimpleNamespace(free=1e9))
    monkeypatch.setattr(examination.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(examination.torch.cuda, "is_available", lambda: False)
    findings = {finding.name: finding for finding in machine(tmp_path, {})}
    assert findings["disk"].state == "note" and findings["gpu"].state == "note"
