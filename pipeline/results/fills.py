"""What base and adapted checkpoints fill in where a word is hidden."""

from collections.abc import Mapping, Sequence

from pipeline.pages.parts import Cell, Part, Said, Section, Strong, Table

Told = Mapping[str, object]
"""A sentence of fills.json (stages/fill.py)."""


def fills(found: Mapping[str, Sequence[Told]]) -> Section:
    """A table an arm: the sentence, and the best guesses before and after; found: arm -> its sentences."""
    parts: list[Part] = []
    for sentences in found.values():
        before, after = sentences[0]["fills"]
        head = [Said("sentence", "句子"), before, after, Said("the word, %", "原词，%")]
        parts.append(Table(head, [_row(one, before, after) for one in sentences], worded=3))
    told = Said(
        "Held-out sentences of the text that was adapted to. The **word** is hidden, the five most probable words of "
        "as many tokens are given with their probabilities in percent; last, the probability of the word that was "
        "written, before → after.",
        "适应所用语料的留出句子。遮住**加粗**的词，列出同样词元数中最可能的五个词及其概率（%）；末列为原词的概率，"
        "之前 → 之后。",
    )
    return Section(Said("Fill in the word", "填词"), [told, *parts] if parts else [])


def _row(one: Told, before: str, after: str) -> list[Cell]:
    said = [one["fills"][name] for name in (before, after)]
    guesses = [_guesses(fill["best"], one["written"]) for fill in said]
    chances = " → ".join(_percent(fill["written"]) for fill in said)
    return [_sentence(one["before"], one["written"], one["after"]), *guesses, chances]


def _guesses(best: Sequence[tuple[str, float]], written: str) -> list[str | Strong]:
    cell: list[str | Strong] = []
    for word, p in best:
        cell += [Strong(word) if word == written else word, f"\u00a0{_percent(p)}", " · "]
    return cell[:-1]


def _percent(p: float) -> str:
    """`54`, `3.9`, `0.02`."""
    return f"{100 * p:.0f}" if p >= 0.095 else f"{100 * p:.1f}" if p >= 0.00095 else f"{100 * p:.2f}"


def _sentence(before: str, word: str, after: str) -> list[str | Strong]:
    """With the blanks that alphabetic scripts have around a word."""
    apart = lambda one, other: (
        " " if one[-1:].isascii() and one and other[:1].isalnum() and other[:1].isascii() else ""
    )
    return [before + apart(before, word), Strong(word), apart(word, after) + after]
