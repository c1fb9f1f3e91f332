"""What new words changed, as numbers and as a page."""

from collections.abc import Mapping, Sequence

from pipeline.pages.parts import Said
from pipeline.pages.tables import markdown_table
from pipeline.vocabulary.choosing import NewWord
from pipeline.vocabulary.fertility import Fertility

SHOWN = 50
"""Words on the page."""

MEASURES = ("tokens_per_word", "unknown_rate", "whole_share")

Texts = Mapping[str, Fertility]
"""Name of a corpus -> how it is read."""


def measures(before: Texts, after: Texts) -> dict[str, float]:
    """`domain/tokens_per_word`, `domain/tokens_per_word_before`, … for the metrics."""
    sides = (("_before", before), ("", after))
    return {
        f"{name}/{measure}{side}": getattr(one, measure)
        for side, texts in sides
        for name, one in texts.items()
        for measure in MEASURES
    }


def vocabulary_page(words: Sequence[NewWord], before: Texts, after: Texts, notes: Sequence[str]) -> str:
    """Markdown: how text is read before and after, and the first words."""
    head = ["held-out text of", "", "tokens a word", "unknown", "words of one token"]
    rows = [
        [name, when, f"{one.tokens_per_word:.3f}", f"{one.unknown_rate:.2%}", f"{one.whole_share:.1%}"]
        for name in before
        for when, one in (("before", before[name]), ("after", after[name]))
    ]
    shown = [[f"`{one.written.strip()}`", f"{one.count:,}", f"{one.saved:,}"] for one in words[:SHOWN]]
    parts = ["# Words added to the vocabulary", *notes, markdown_table(head, rows), f"## The first {len(shown)}"]
    told = (
        "*saved*: tokens of what was counted, with the words above in place; of an unknown word, how often it stands."
    )
    return "\n\n".join([*parts, markdown_table(["word", "count", "saved"], shown), told]) + "\n"


TEXTS = {
    "domain": Said("domain text", "领域文本"),
    "task": Said("task text", "任务文本"),
    "general": Said("general text", "通用文本"),
}


def vocabulary_line(metrics: Mapping[str, float]) -> Said | None:
    """What a base says of its new words, in a sentence; None where it has none."""
    if "words_added" not in metrics:
        return None
    words, entries = f"{metrics['words_added']:,}", f"{metrics['entries_added']:,}"
    read = {
        text: f"{metrics[f'{name}/tokens_per_word_before']:.2f} → {metrics[f'{name}/tokens_per_word']:.2f}"
        for name, text in TEXTS.items()
        if f"{name}/tokens_per_word" in metrics
    }
    en = ", ".join(f"{text.en} {told}" for text, told in read.items())
    zh = "，".join(f"{text.zh} {told}" for text, told in read.items())
    return Said(
        f"{words} words ({entries} entries) were added to the vocabulary; tokens a word, held-out: {en}.",
        f"词表加入了 {words} 个词（{entries} 个词元）；留出文本每词的词元数：{zh}。",
    )
