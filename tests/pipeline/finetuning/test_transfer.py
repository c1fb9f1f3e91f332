"""An intermediate task: its encoder is the base of the next one, whatever head it had."""

import pytest
import torch

from pipeline.finetuning.classes import Classes
from pipeline.finetuning.classifier import ModelConfig, encoder_of, new_model
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.models import load_masked_lm, load_tokenizer, save

KINDS = ["bert", "roberta", "modernbert"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", [{}, {"pooling": "mean", "widths": (8,)}])
def test_the_encoder_of_a_fine_tuned_model_goes_on_to_another_task(kind, head, checkpoints, tmp_path, capsys):
    """As `BASE=runs/first/finetuned-base` does it."""
    tokenizer = load_tokenizer(checkpoints[kind])
    first = new_model(
        checkpoints[kind], Classes(("a", "b")), ModelConfig(16, InputConfig(), HeadConfig(**head)), seed=1
    )
    torch.manual_seed(3)
    with torch.no_grad():
        for p in first.parameters():
            p.add_(torch.randn_like(p))  # as if it had been trained
    save(first, tokenizer, tmp_path / "finetuned-base", "")
    base = load_masked_lm(tmp_path / "finetuned-base")
    assert "has no head for masked language modelling" in capsys.readouterr().err
    save(base, tokenizer, tmp_path / "base", "")
    second = new_model(tmp_path / "base", Classes(("a", "b", "c")), ModelConfig(16, InputConfig(), HeadConfig()), 2)
    wanted, found = (
        {n: p for n, p in encoder_of(model).named_parameters() if not n.startswith("pooler")}
        for model in (first, second)
    )
    assert set(found) == set(wanted) and all(torch.equal(found[n], wanted[n]) for n in wanted)
