"""masking a batch

Batches of some 1,900 real tokens, from stored ids to tensors, beside `DataCollatorForLanguageModeling`, which is given
the lists that `datasets` returns. Ours masks whole words to an exact budget of 15 %, drawn anew at every visit; word
numbers and importance were stored with the ids. Theirs masks single tokens, with the column `special_tokens_mask` and
without it (`Trainer` drops it by default, and the collator asks the tokenizer row by row).

Their `whole_word_mask=True` takes neighbouring tokens whose offsets touch for one word. Chinese has no blanks: a
clause, here the whole sequence, is one word, and is masked entirely or not at all. Its time is shown; its masks are of
no use. It cannot pad the offsets it needs, so it alone is given rows that were padded before.
"""

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

ROUNDS, SEQUENCES = 60, 33
SINGLE, WHOLE = "transformers, single tokens", "transformers, whole_word_mask=True"


def measure(quick: bool) -> Found:
    """One table, and what the whole-word mode of transformers did."""
    corpus = text(SEQUENCES, seed=2)
    calls = arms(corpus)
    timed = {name: lambda number, call=call: cpu_seconds(lambda: call(number)) for name, call in calls.items()}
    measured = in_turns(timed, 3 if quick else ROUNDS)
    real = int(corpus.lengths.sum())
    facts = f"{len(corpus.lengths)} sequences of {real:,} real tokens; {len(measured[SINGLE])} rounds."
    return [facts, rows(measured, real), all_or_nothing(corpus, calls[WHOLE])]


def rows(measured: dict[str, list[float]], tokens: int) -> Rows:
    """Milliseconds a batch and tokens a second, with the ratio to single-token masking."""
    medians = {name: statistics.median(values) for name, values in measured.items()}
    return [
        {
            "": name,
            "ms a batch": f"{1000 * medians[name]:.2f}",
            "spread": spread(values),
            "tokens / CPU s": f"{tokens / medians[name]:,.0f}",
            "speed to the peer": "1 (peer)" if name == SINGLE else times(medians[SINGLE], medians[name]),
        }
        for name, values in measured.items()
    ]


def arms(corpus: Text) -> dict[str, Callable[[int], dict[str, torch.Tensor]]]:
    """One batch of each kind; the number of the round is the visit."""
    indices = np.arange(len(corpus.lengths))
    whole, selective = corpus.batches("whole_word"), corpus.batches("selective")
    visit = lambda batches, number: batches.batch(indices, np.full(len(indices), number))
    plain = [{"input_ids": ids.tolist(), "attention_mask": [1] * len(ids)} for ids in corpus.rows()]
    marked = [{**row, "special_tokens_mask": [1, *[0] * (len(row["input_ids"]) - 2), 1]} for row in plain]
    placed = [_with_offsets(row, int(corpus.lengths.max())) for row in marked]
    collate = DataCollatorForLanguageModeling(corpus.tokenizer)
    with warnings.catch_warnings(action="ignore"):
        words = DataCollatorForLanguageModeling(corpus.tokenizer, whole_word_mask=True)
    return {
        SINGLE: lambda number: collate(marked),
        "transformers, no special_tokens_mask": lambda number: collate(plain),
        WHOLE: lambda number: words(placed),
        "Keymask, whole words": partial(visit, whole),
        "Keymask, selective": partial(visit, selective),
    }


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
