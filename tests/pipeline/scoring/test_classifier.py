"""The classifier as scorers ask it."""

from dataclasses import replace

import numpy as np
import pytest
from scoring_toys import classifier_of, random_documents

from pipeline.finetuning.classes import Classes
from pipeline.finetuning.classifier import ModelConfig, new_model, save_task
from pipeline.finetuning.heads import HeadConfig
from pipeline.finetuning.inputs import InputConfig
from pipeline.finetuning.labels import Labels
from pipeline.finetuning.tags import Tags
from pipeline.models import save
from pipeline.run.errors import InputError
from pipeline.scoring.classifier import Classifier

TEXTS = ["good film", "", "很好吃 , the film is played"]


@pytest.mark.parametrize(("kind", "family"), [("bert", "wordpiece"), ("modernbert", "byte-level")])
def test_the_classifier_reads_texts_between_special_tokens(checkpoints, families, kind, family):
    model, tokenizer = classifier_of(checkpoints[kind]), families[family]
    classify = Classifier(model, tokenizer)
    assert classify.short == (kind == "bert")
    ids = [np.array(tokenizer(text, add_special_tokens=False)["input_ids"], dtype=np.int32) for text in TEXTS]
    wanted = [model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist() for text in TEXTS]
    np.testing.assert_allclose(classify.probabilities(ids), wanted, atol=1e-6)
    found = classify(ids, np.array([2, 0, 1]))
    np.testing.assert_allclose(found, [wanted[0][2], wanted[1][0], wanted[2][1]], atol=1e-6)


def test_a_document_without_label_is_explained_by_what_is_predicted(checkpoints, tokenizer):
    classify = Classifier(classifier_of(checkpoints["bert"]), tokenizer)
    documents = random_documents(12)
    predicted = classify.probabilities([d.ids for d in documents]).argmax(1).tolist()
    assert classify.right(documents).tolist() == [d.label == p for d, p in zip(documents, predicted, strict=True)]
    half = [replace(d, label=-1) if i % 2 else d for i, d in enumerate(documents)]
    wanted = [p if i % 2 else d.label for i, (d, p) in enumerate(zip(documents, predicted, strict=True))]
    assert [d.label for d in classify.labelled(half)] == wanted


def test_of_no_texts_there_are_no_probabilities(checkpoints, tokenizer):
    assert Classifier(classifier_of(checkpoints["bert"]), tokenizer).probabilities([]).shape == (0, 3)


@pytest.mark.parametrize(
    ("task", "head", "told"),
    [
        (Labels(("a", "b")), {}, "answers with labels, and scorers ask a classifier of one label a row"),
        (Tags(("O", "B-X", "I-X")), {}, "answers with tags"),
        (Classes(("a", "b")), {"pooling": "mean"}, r"has a head of ours, .* leave out \[finetuned.head\]"),
    ],
)
def test_models_that_scorers_cannot_ask_are_refused_with_the_way_out(
    checkpoints, tokenizer, tmp_path, task, head, told
):
    how = ModelConfig(20, InputConfig(), HeadConfig(**head))
    save(new_model(checkpoints["bert"], task, how, 0), tokenizer, tmp_path, "")
    save_task(tmp_path, task, how)
    with pytest.raises(InputError, match=told):
        Classifier.load(tmp_path)
