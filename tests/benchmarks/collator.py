"""masking a batch

Two batches, from stored ids to tensors, beside `DataCollatorForLanguageModeling`, which is given the lists that
`datasets` returns. Ours masks whole words to an exact budget of 15 %, drawn anew at every visit; word numbers and
importance were stored with the ids. Theirs masks single tokens, with the column `special_tokens_mask` and without it
(`Trainer` drops it by default, and the collator asks the tokenizer row by row).

Their `whole_word_mask=True` takes neighbouring tokens whose offsets touch for one word. Chinese has no blanks: a
clause, here the whole sequence, is one word, and is masked entirely or not at all. Its time is shown; its masks are of
no use. It cannot pad the offsets it needs, so it alone is given rows that were padded before.

The sound whole-word peer is what transformers 4 had, `DataCollatorForWholeWordMask`, written again after it: words are
told by `##`, which a list of positions adds to the Chinese characters that continue a word.
"""

import random
import statistics
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from transformers import DataCollatorForLanguageModeling

from pipeline.batches import IGNORE
from tests.benchmarks.text import Text, text
from tests.benchmarks.timing import Found, Rows, cpu_seconds, in_turns, spread, times

ROUNDS, BATCHES = 20, 10
"""A turn makes so many batches; ours are other visits each time."""
SIZES = (33, 280)
"""Sequences of a batch: some 1,900 and some 16,000 tokens."""
SINGLE, WHOLE, SOUND = (
    "transformers, single tokens",
    "transformers, whole_word_mask=True",
    "transformers 4, whole words",
)


def measure(quick: bool) -> Found:
    """A table for each size, and what the whole-word mode of transformers did."""
    found: Found = []
    for size in SIZES:
        corpus = text(size, seed=2)
        calls = arms(corpus)
        measured = in_turns({name: partial(turn, call) for name, call in calls.items()}, 3 if quick else ROUNDS)
        real = int(corpus.lengths.sum())
        facts = f"{size} sequences of {real:,} real tokens; {len(measured[SINGLE])} rounds of {BATCHES} batches."
        found += [facts, rows(measured, real), all_or_nothing(corpus, calls[WHOLE])]
    return found


def turn(call: Callable[[int], object], number: int) -> float:
    """CPU seconds of a batch, several made one after the other, as a thread that loads does."""
    visits = range(number * BATCHES, (number + 1) * BATCHES)
    return cpu_seconds(lambda: [call(visit) for visit in visits]) / BATCHES


def rows(measured: dict[str, list[float]], tokens: int) -> Rows:
    """Milliseconds a batch and tokens a second, and how many times as fast as each way to mask whole words."""
    medians = {name: statistics.median(values) for name, values in measured.items()}
    return [
        {
            "": name,
            "ms a batch": f"{1000 * medians[name]:.2f}",
            "spread": spread(values),
            "tokens / CPU s": f"{tokens / medians[name]:,.0f}",
            **{
                f"to {short}": "1" if name == peer else times(medians[peer], medians[name])
                for short, peer in (("single tokens", SINGLE), ("whole_word_mask", WHOLE), ("sound words", SOUND))
            },
        }
        for name, values in measured.items()
    ]


def arms(corpus: Text) -> dict[str, Callable[[int], dict[str, torch.Tensor]]]:
    """One batch of each kind, given the number of the visit."""
    indices = np.arange(len(corpus.lengths))
    whole, selective = corpus.batches("whole_word"), corpus.batches("selective")
    visit = lambda batches, number: batches.batch(indices, np.full(len(indices), number))
    plain = [{"input_ids": ids.tolist(), "attention_mask": [1] * len(ids)} for ids in corpus.rows()]
    marked = [{**row, "special_tokens_mask": [1, *[0] * (len(row["input_ids"]) - 2), 1]} for row in plain]
    placed = [_with_offsets(row, int(corpus.lengths.max())) for row in marked]
    collate, old = DataCollatorForLanguageModeling(corpus.tokenizer), WholeWords(corpus)
    with warnings.catch_warnings(action="ignore"):
        words = DataCollatorForLanguageModeling(corpus.tokenizer, whole_word_mask=True)
    return {
        SINGLE: lambda number: collate(marked),
        "transformers, no special_tokens_mask": lambda number: collate(plain),
        WHOLE: lambda number: words(placed),
        SOUND: lambda number: old(plain),
        "Keymask, whole words": partial(visit, whole),
        "Keymask, selective": partial(visit, selective),
    }


class WholeWords:
    """`DataCollatorForWholeWordMask` of transformers 4, step by step, to the same 15 % and 80/10/10."""

    def __init__(self, corpus: Text) -> None:
        self.tokenizer, self.rate = corpus.tokenizer, 0.15
        words = np.split(corpus.sequences.word_ids, corpus.sequences.offsets[1:-1])
        self.continued = [(1 + np.flatnonzero((row[1:] == row[:-1]) & (row[1:] >= 0))).tolist() for row in words]

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """A batch of the corpus' own rows, in their order."""
        batch = self.tokenizer.pad([{"input_ids": row["input_ids"]} for row in rows], return_tensors="pt")
        inputs, chosen = batch["input_ids"], torch.zeros(batch["input_ids"].shape, dtype=torch.bool)
        for number, (row, continued) in enumerate(zip(rows, self.continued, strict=True)):
            tokens = self.tokenizer.convert_ids_to_tokens(row["input_ids"])
            for place in continued:
                tokens[place] = "##" + tokens[place]
            chosen[number, : len(tokens)] = torch.tensor(self._chosen(tokens), dtype=torch.bool)
        special = [
            self.tokenizer.get_special_tokens_mask(row, already_has_special_tokens=True) for row in inputs.tolist()
        ]
        chosen &= ~torch.tensor(special, dtype=torch.bool)
        return {**batch, **self._corrupted(inputs, chosen)}

    def _chosen(self, tokens: list[str]) -> list[bool]:
        words: list[list[int]] = []
        for place, token in enumerate(tokens):
            if token in ("[CLS]", "[SEP]"):
                continue
            if words and token.startswith("##"):
                words[-1].append(place)
            else:
                words.append([place])
        random.shuffle(words)
        budget, covered = max(1, round(len(tokens) * self.rate)), set()
        for word in words:
            if len(covered) >= budget:
                break
            if len(covered) + len(word) <= budget:
                covered.update(word)
        return [place in covered for place in range(len(tokens))]

    def _corrupted(self, inputs: torch.Tensor, chosen: torch.Tensor) -> dict[str, torch.Tensor]:
        labels = torch.where(chosen, inputs, IGNORE)
        masks = torch.bernoulli(torch.full(labels.shape, 0.8)).bool() & chosen
        others = torch.bernoulli(torch.full(labels.shape, 0.5)).bool() & chosen & ~masks
        inputs[masks] = self.tokenizer.mask_token_id
        inputs[others] = torch.randint(len(self.tokenizer), labels.shape)[others]
        return {"input_ids": inputs, "labels": labels}


def _with_offsets(row: dict[str, list[int]], length: int) -> dict[str, list]:
    """A row padded to `length`, with the offsets of Chinese characters between two special tokens."""
    inside, more = len(row["input_ids"]) - 2, length - len(row["input_ids"])
    return {
        "input_ids": row["input_ids"] + [0] * more,
        "attention_mask": row["attention_mask"] + [0] * more,
        "special_tokens_mask": row["special_tokens_mask"] + [1] * more,
        "offset_mapping": [[0, 0], *([place, place + 1] for place in range(inside)), *[[0, 0]] * (1 + more)],
    }


def all_or_nothing(corpus: Text, collate: Callable[[int], dict[str, torch.Tensor]]) -> str:
    """How many sequences transformers' whole-word mode masked entirely, and how many not at all."""
    chosen = (collate(0)["labels"] != IGNORE).sum(dim=1).numpy()
    entire, none = (chosen == corpus.lengths - 2).sum(), (chosen == 0).sum()
    return (
        f"Of {len(chosen)} sequences, `whole_word_mask=True` masked {entire} entirely, {none} not at all, and "
        f"{len(chosen) - entire - none} in part."
    )
