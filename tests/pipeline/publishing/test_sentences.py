"""The few files by which sentence-transformers opens a model, held against our own vectors."""

import json
from shutil import copytree

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from pipeline.encoding import DocumentEncoder
from pipeline.models import save
from pipeline.publishing.sentences import write_sentence_files
from pipeline.publishing.weights import Weights
from pipeline.run.errors import InputError


def read(folder, name):
    return json.loads((folder / name).read_text())


def test_what_its_files_describe_is_what_our_encoder_makes(tmp_path, new_model, tokenizer):
    """The model at the top, then the mean over tokens: as the library would go through modules.json."""
    save(new_model("bert"), tokenizer, tmp_path, "card")
    write_sentence_files(tmp_path, Weights.of(tmp_path))
    modules = read(tmp_path, "modules.json")
    assert [module["path"] for module in modules] == ["", "1_Pooling"]
    pooling = read(tmp_path, "1_Pooling/config.json")
    assert [name for name, on in pooling.items() if on is True] == ["pooling_mode_mean_tokens"]
    longest = read(tmp_path, "sentence_bert_config.json")["max_seq_length"]
    texts = ["服务很好。", "the film is good", "a bad film , played and unable !"]
    read_as = AutoTokenizer.from_pretrained(tmp_path)(
        texts, truncation=True, max_length=longest, padding=True, return_tensors="pt"
    )
    inside = read_as["attention_mask"][..., None]
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(tmp_path).eval()(**read_as).last_hidden_state
    found = ((hidden * inside).sum(1) / inside.sum(1)).numpy()
    assert found.shape[1] == pooling["word_embedding_dimension"]
    ours = DocumentEncoder(tmp_path, longest).vectors({"text": texts, "text_pair": [None] * 3})
    assert np.allclose(found, ours, atol=1e-5)


@pytest.mark.parametrize("kind", ["bert", "roberta", "modernbert"])
def test_a_text_of_any_length_is_cut_to_what_the_model_takes(tmp_path, checkpoints, kind):
    """Of a tokenizer without a limit; RoBERTa has 34 positions, of which the padding keeps two."""
    copytree(checkpoints[kind], tmp_path / kind)
    settings = read(tmp_path / kind, "tokenizer_config.json")
    del settings["model_max_length"]
    (tmp_path / kind / "tokenizer_config.json").write_text(json.dumps(settings))
    write_sentence_files(tmp_path / kind, Weights.of(tmp_path / kind))
    longest = read(tmp_path / kind, "sentence_bert_config.json")["max_seq_length"]
    tokenizer, model = (auto.from_pretrained(tmp_path / kind) for auto in (AutoTokenizer, AutoModel))
    assert tokenizer.model_max_length > 1000 and longest == 32
    ids = tokenizer("good " * 99, truncation=True, max_length=longest, return_tensors="pt")
    assert model(**ids).last_hidden_state.shape[1] == longest


def test_a_decoder_is_refused():
    decoder = Weights("gpt2", "AutoModelForCausalLM", "text-generation", 1, 16, 1000, head=False)
    with pytest.raises(InputError, match="leave out published"):
        write_sentence_files(None, decoder)
