"""importance of words, and tagging

BERT classifiers of two sizes (vocabulary 21,128, two classes, random weights) score the words of made-up text in
turns, in one process. The peer is the schedule of Train No Evil's own code (`SC.forward`), rewritten: 32 texts at
a time, all that are still alive advance by a word, every input padded to 128 tokens, the whole model computed.
Keymask's `buffer` makes the same marks, which is asserted before anything is timed; a mark asks for P - p_i < delta
alone, as there, with a delta that marks about every seventh word.

The other arms are other scores: `prefix` and `occlusion` ask the classifier as often as the buffer, `gradient` once
forward and back. *one forward* is what it costs to classify the texts and score nothing.

How much is won depends on the text: what it fills of 128 tokens is said above each table.

*Tagging*: a token classifier reads 512 documents, by transformers padded to 128 in batches of 32, and by `Tagger`,
which sorts them by length; on a GPU both in bf16, ours without padding. Counted are real tokens. *Plain forward* is
the limit: the model on the batches that `Tagger` makes, made before, and nothing done with what it says.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification, PreTrainedModel

from pipeline.models import save
from pipeline.run.processes import processes
from pipeline.scoring.attribution import gradient
from pipeline.scoring.buffer import BufferConfig, buffer
from pipeline.scoring.classifier import Classifier
from pipeline.scoring.documents import Document
from pipeline.scoring.perturbation import occlusion, prefix
from pipeline.tagging import Tagger
from pipeline.training.unpadding import unpadded_attention
from tests.benchmarks.text import VOCABULARY, Text, text
from tests.benchmarks.timing import Found, Rows, clock, cpu_seconds, in_turns, rates

ROUNDS, LONGEST, BATCH = 3, 128, 32
MARKED = 0.15
"""Share of the words that are marked, about."""
REFERENCE, PADDED, PLAIN = "Train No Evil's schedule", "transformers, padded to 128", "plain forward"
SIZES = {"2 layers × 128": (2, 128, 2, 200), "4 layers × 256": (4, 256, 4, 64)}
"""Layers, width, heads, and how many texts are scored."""


def measure(quick: bool) -> Found:
    """A table a size and kind of text, and one of tagging."""
    corpus, rounds, found = text(2000), 1 if quick else ROUNDS, []
    for size, (*shape, count) in list(SIZES.items())[: 1 if quick else None]:
        for kind, longest in (("reviews", LONGEST), ("sentences", LONGEST // 3)):
            documents = sentences(corpus, longest, 8 if quick else count)
            fill = np.mean([len(one.ids) + 2 for one in documents]) / LONGEST
            found.append(f"**{size}**, {len(documents)} {kind} that fill {fill:.0%} of {LONGEST} tokens")
            found.append(rates(in_turns(scoring(corpus, shape, documents), rounds), "texts / CPU s", REFERENCE))
    for size, (*shape, _) in list(SIZES.items())[: 1 if quick else None]:
        found.append(f"**Tagging, {size}**, 512 documents that fill {corpus.fill:.0%} of {LONGEST} tokens")
        found.append(tagging(corpus, shape, rounds))
    return found


def config(layers: int, width: int, heads: int) -> BertConfig:
    """A BERT whose probabilities differ from text to text."""
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    return BertConfig(
        **sizes,
        vocab_size=VOCABULARY,
        intermediate_size=4 * width,
        max_position_embeddings=LONGEST,
        initializer_range=width**-0.5,
        pad_token_id=0,
        num_labels=2,
    )


def sentences(corpus: Text, longest: int, count: int) -> list[Document]:
    """The first `count` sequences of the corpus of at most `longest` tokens."""
    found, flat = [], corpus.sequences
    for number in np.flatnonzero(corpus.lengths <= longest)[:count]:
        inside = slice(flat.offsets[number] + 1, flat.offsets[number + 1] - 1)
        words = flat.word_ids[inside]
        found.append(Document(str(number), flat.input_ids[inside], words, [""] * (int(words.max()) + 1)))
    return found


# ---- scoring --------------------------------------------------------------------------------------------------------


def scoring(corpus: Text, shape: Sequence[int], documents: list[Document]) -> dict[str, Callable[[int], float]]:
    """Texts a second of each arm; marks are compared first."""
    torch.manual_seed(0)
    model = BertForSequenceClassification(config(*shape)).eval()
    classifier = Classifier(model, corpus.tokenizer)
    documents = classifier.labelled(documents)
    delta = delta_for(classifier, documents)
    ours = partial(buffer, BufferConfig(delta=delta, min_gain=-1), classifier, documents)
    theirs = partial(reference, model, documents, delta)
    marks = [np.concatenate(found) for found in ([one.keyword for one in ours()], theirs())]
    assert (marks[0] == marks[1]).all() and 0.05 < marks[0].mean() < 0.5, marks[0].mean()
    arms = {
        REFERENCE: theirs,
        "Keymask, buffer": ours,
        "Keymask, prefix": partial(prefix, classifier, documents),
        "Keymask, occlusion": partial(occlusion, classifier, documents),
        "Keymask, gradient": partial(gradient, classifier, documents),
        "one forward": partial(classifier.probabilities, [one.ids for one in documents]),
    }
    return {name: lambda number, call=call: len(documents) / cpu_seconds(call) for name, call in arms.items()}


def delta_for(classifier: Classifier, documents: list[Document]) -> float:
    """A threshold by which the buffer marks about `MARKED` of the words, found by halving."""
    low, high = -1.0, 0.9  # never 0: after the last word P - p may be nothing but rounding
    for _ in range(8):
        delta = (low + high) / 2
        found = buffer(BufferConfig(delta=delta, min_gain=-1), classifier, documents)
        few = np.concatenate([one.keyword for one in found]).mean() < MARKED
        low, high = (delta, high) if few else (low, delta)
    return high


def reference(model: PreTrainedModel, documents: list[Document], delta: float) -> list[np.ndarray]:
    """Marks by the sequential buffer, scheduled as its authors do: bool [words] of each document."""
    batches = [documents[start : start + BATCH] for start in range(0, len(documents), BATCH)]
    return [marks for batch in batches for marks in _reference(model, batch, delta)]


@torch.inference_mode()
def _reference(model: PreTrainedModel, documents: list[Document], delta: float) -> list[np.ndarray]:
    words = [[one.ids[places].tolist() for places in one.pieces] for one in documents]
    marks = [np.zeros(len(of_one), dtype=bool) for of_one in words]
    labels, kept = np.array([one.label for one in documents]), [[] for _ in documents]
    whole = padded_probabilities(model, [one.ids.tolist() for one in documents], labels)
    for step in range(max(map(len, words))):
        alive = [number for number, of_one in enumerate(words) if len(of_one) > step]
        read = [kept[number] + words[number][step] for number in alive]
        for number, candidate, p in zip(alive, read, padded_probabilities(model, read, labels[alive]), strict=True):
            marks[number][step] = whole[number] - p < delta
            kept[number] = kept[number] if marks[number][step] else candidate
    return marks


def padded_probabilities(model: PreTrainedModel, texts: list[list[int]], labels: np.ndarray) -> np.ndarray:
    """float32 [N]: of one class each, every text padded to `LONGEST`."""
    rows = [[2, *row, 3] + [0] * (LONGEST - 2 - len(row)) for row in texts]
    mask = [[1] * (len(row) + 2) + [0] * (LONGEST - 2 - len(row)) for row in texts]
    logits = model(input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask)).logits
    return logits.softmax(-1)[torch.arange(len(labels)), torch.from_numpy(labels)].numpy()


# ---- tagging --------------------------------------------------------------------------------------------------------


def tagging(corpus: Text, shape: Sequence[int], rounds: int) -> Rows:
    """A table: tokens a second of both, and of the forward pass alone."""
    torch.manual_seed(0)
    model, rows = BertForTokenClassification(config(*shape)).eval(), corpus.rows()[:512]
    with TemporaryDirectory() as folder:
        save(model, corpus.tokenizer, Path(folder), "")
        tagger = Tagger(Path(folder))
    calls = {PADDED: partial(padded_tags, tagger.model, rows), "Keymask": partial(tagger.probabilities, rows)}
    near = 1e-4 if tagger.model.device.type == "cpu" else 0.05
    for one, other in zip(calls["Keymask"](), calls[PADDED](), strict=True):
        np.testing.assert_allclose(one, other, atol=near)
    calls[PLAIN] = partial(forward, tagger, passed(tagger, rows))
    device, tokens = tagger.model.device.type, sum(map(len, rows))

    def rate(call: Callable[[], object], number: int) -> float:
        started = clock(device)
        call()
        return tokens / (clock(device) - started)

    found = in_turns({name: partial(rate, call) for name, call in calls.items()}, rounds)
    table, limit = rates(found, "tokens / CPU s" if device == "cpu" else "tokens / s", PADDED), median(found[PLAIN])
    return [row | {"of the limit": f"{median(found[row['']]) / limit:.0%}"} for row in table]


def passed(tagger: Tagger, rows: list[np.ndarray]) -> list[dict[str, object]]:
    """What the tagger gives its model to read."""
    inputs: list[dict[str, object]] = []
    watch = tagger.model.register_forward_pre_hook(lambda *given: inputs.append(given[2]), with_kwargs=True)
    tagger.probabilities(rows)
    watch.remove()
    return inputs


@torch.inference_mode()
def forward(tagger: Tagger, inputs: list[dict[str, object]]) -> None:
    """The model alone."""
    with unpadded_attention(tagger.model) if tagger.rows else nullcontext(), processes().autocast():
        for batch in inputs:
            tagger.model(**batch)


@torch.inference_mode()
def padded_tags(model: PreTrainedModel, rows: list[np.ndarray]) -> list[np.ndarray]:
    """float32 [L] of each sequence: batches as they come, padded to `LONGEST`."""
    found = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        ids, mask = np.zeros((2, len(batch), LONGEST), dtype=np.int64)
        for number, row in enumerate(batch):
            ids[number, : len(row)], mask[number, : len(row)] = row, 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        with processes().autocast():
            logits = model(**{name: torch.from_numpy(x).to(model.device) for name, x in inputs.items()}).logits
        probabilities = logits.float().softmax(-1)[..., 1].cpu().numpy()
        found += [p[: len(row)] for p, row in zip(probabilities, batch, strict=True)]
    return found
