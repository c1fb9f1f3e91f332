"""Masked sequences for human eyes: in Markdown; and many side by side, in a terminal or in an HTML page, which styles
them (pipeline/pages/page.html).

What comes from a corpus is escaped, and characters that would turn, hide or overwrite text (control, bidirectional,
zero-width) are spelled out.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.batches import Visit
from pipeline.masking.config import IMPORTANT
from pipeline.masking.replacement import FALLBACK, RANDOM, REPLACED
from pipeline.pages.plain import visible

UNTOUCHED, MASKED = -1, 100
"""States of a piece beside the fates of a target: not predicted, and predicted under the mask token."""

CHINESE = {"selective": "选择性", "whole_word": "整词", "random": "随机", "visit": "读取"}
"""What is drawn, by a policy or by a visit, as people say it."""


@dataclass(frozen=True)
class Piece:
    """Neighbouring tokens of one word that share a fate."""

    text: str  # what is read there
    written: str  # what stood there
    importance: int
    state: int
    """UNTOUCHED, MASKED or one of the fates."""
    goes_on: bool = False
    """Whether it belongs to the word of the piece before it."""


@dataclass(frozen=True)
class Drawn:
    """One sequence: as it is weighed, by one or by several; and under several policies, a line for each visit."""

    name: str
    heats: list[tuple[str, list[Piece]]]
    """Who weighed it, and its pieces."""
    draws: list[tuple[str, list[Piece]]]


def pieces(visit: Visit, row: int, tokenizer: PreTrainedTokenizerBase) -> list[Piece]:
    """The pieces of a sequence as it is drawn, special tokens left out."""
    begin, end = visit.rows.offsets[row : row + 2]
    ids, words, scores = (x[begin:end] for x in (visit.input_ids, visit.word_ids, visit.importance))
    written, state = ids.copy(), np.full(len(ids), UNTOUCHED)
    mine = np.flatnonzero((visit.targets >= begin) & (visit.targets < end))
    places = visit.targets[mine] - begin
    written[places], state[places] = visit.written[mine], visit.fates[mine]
    state[(state == REPLACED) & (ids == tokenizer.mask_token_id)] = MASKED
    return _pieces(ids, written, words, scores, state, tokenizer)


def pieces_as_written(
    ids: np.ndarray,
    word_ids: np.ndarray,
    importance: np.ndarray,
    tokenizer: PreTrainedTokenizerBase,
    masked: np.ndarray | None = None,
) -> list[Piece]:
    """The same of a sequence as it is written, all [L]; `masked` says which tokens are predicted."""
    state = np.full(len(ids), UNTOUCHED) if masked is None else np.where(masked, MASKED, UNTOUCHED)
    return _pieces(ids, ids, word_ids, importance, state, tokenizer)


def _pieces(
    ids: np.ndarray,
    written: np.ndarray,
    words: np.ndarray,
    scores: np.ndarray,
    state: np.ndarray,
    tokenizer: PreTrainedTokenizerBase,
) -> list[Piece]:
    shown = ~np.isin(written, (tokenizer.cls_token_id, tokenizer.sep_token_id))
    ids, written, words, scores, state = (x[shown] for x in (ids, written, words, scores, state))
    cuts = np.flatnonzero((np.diff(words) != 0) | (np.diff(state) != 0) | (np.diff(scores) != 0)) + 1
    goes_on = [False, *(words[cuts] == words[cuts - 1]).tolist()]
    read = lambda some: text_of(some, tokenizer)
    return [
        Piece(read(ids[part]), read(written[part]), int(scores[part[0]]), int(state[part[0]]), same)
        for part, same in zip(np.split(np.arange(len(ids)), cuts), goes_on, strict=True)
    ]


def text_of(ids: np.ndarray, tokenizer: PreTrainedTokenizerBase) -> str:
    """Tokens of one word as it is written: without the blanks a tokenizer puts between Chinese characters."""
    text = tokenizer.decode(ids.tolist(), clean_up_tokenization_spaces=False).strip().removeprefix("##")
    return re.sub(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])", "", text)


def in_markdown(line: Sequence[Piece]) -> str:
    """**important**, `[predicted]`, **`[both]`**; blanks between all, or bold words side by side would not be read."""
    return " ".join(_in_markdown(piece) for piece in line if piece.written)


def _in_markdown(piece: Piece) -> str:
    text = visible(piece.written)
    plain = "".join(f"\\{c}" if c in "\\`*_{}[]<>|#" else c for c in text)
    shown = plain if piece.state == UNTOUCHED else f"`[{text.replace('`', chr(39))}]`"
    return f"**{shown}**" if piece.importance >= IMPORTANT else shown


def in_terminal(sequences: Sequence[Drawn], colour: bool) -> str:
    """Each sequence with its heat, then its draws; without colour important words stand in asterisks."""
    width, weighed = max(map(_label_width, sequences), default=0), _glow if colour else _starred
    lines = []
    for one in sequences:
        lines += ["", visible(one.name)]
        lines += [f"  {visible(label):{width}}  " + _joined(line, weighed) for label, line in one.heats]
        lines += [f"  {visible(label):{width}}  " + _joined(line, _boxed) for label, line in one.draws]
    return "\n".join([*lines, ""])


def _label_width(one: Drawn) -> int:
    return max(len(visible(label)) for label, _ in [*one.heats, *one.draws])


def _joined(line: Sequence[Piece], shown: Callable[[Piece], str]) -> str:
    """Pieces in a line, blanks between words of alphabetic scripts."""
    parts, before = [], ""
    for piece in line:
        apart = before and before[-1].isascii() and piece.written[:1].isascii() and not piece.goes_on
        parts.append(" " * bool(apart) + shown(piece))
        before = piece.written
    return "".join(parts)


def _glow(piece: Piece) -> str:
    """The piece on a background of its importance, in 24 steps of the terminal's 256 colours."""
    text = visible(piece.text)
    if piece.importance < 16:
        return text
    heat = (236, 94, 130, 166, 202, 196)[min(piece.importance * 6 // 256, 5)]
    bold = "1;" if piece.importance >= IMPORTANT else ""
    return f"\x1b[{bold}38;5;231;48;5;{heat}m{text}\x1b[0m"


def _starred(piece: Piece) -> str:
    return f"*{visible(piece.text)}*" if piece.importance >= IMPORTANT else visible(piece.text)


def _boxed(piece: Piece) -> str:
    if piece.state == UNTOUCHED:
        return visible(piece.text)
    if piece.state == MASKED:
        return f"[{visible(piece.written)}]"
    if piece.text == piece.written:
        return f"[={visible(piece.written)}]"
    return f"[{visible(piece.written)}→{visible(piece.text)}]"


def sequences_html(sequences: Sequence[Drawn]) -> str:
    """Each sequence as heat, and a table of its draws."""
    return "".join(map(_sequence_html, sequences))


def _sequence_html(one: Drawn) -> str:
    """A heat alone needs no name and stands above the table, several stand in it."""
    alone = len(one.heats) == 1
    heat = "".join(f'<p class="heat">{_joined(line, _heated)}</p>' for _, line in one.heats) if alone else ""
    rows = [(_safe(label), _joined(line, _heated)) for label, line in one.heats if not alone]
    rows += [(_drawn_by(label), _joined(line, _marked)) for label, line in one.draws]
    told = "".join(f"<tr><th>{label}</th><td>{line}</td></tr>" for label, line in rows)
    return f'<h3>{_safe(one.name)}</h3>{heat}<table class="draws">{told}</table>'


def _drawn_by(label: str) -> str:
    """`whole_word 1` in both languages, of which the page shows one."""
    name, _, number = label.rpartition(" ")
    if name not in CHINESE:
        return _safe(label)
    both = {"en": label, "zh": f"{CHINESE[name]} {number}"}
    return "".join(f'<span class="{code}" lang="{code}">{_safe(text)}</span>' for code, text in both.items())


def _safe(text: str) -> str:
    return escape(visible(text))


def _heated(piece: Piece) -> str:
    if piece.importance < 2:
        return _safe(piece.text)
    known = " k" if piece.importance >= IMPORTANT else ""
    heat, told = f"--h:{piece.importance / 255:.2f}", f"importance · 重要性 {piece.importance}"
    return f'<span class="h{known}" style="{heat}" title="{told}">{_safe(piece.text)}</span>'


def _marked(piece: Piece) -> str:
    text, written = _safe(piece.text), _safe(piece.written)
    if piece.state == UNTOUCHED:
        return text
    if piece.state == MASKED:
        return f'<span class="t mask" title="hidden · 被遮盖">{written}</span>'
    if piece.text == piece.written:
        return f'<span class="t kept" title="to be predicted, as written · 要预测，保持原样">{written}</span>'
    kind = "odd" if piece.state in (RANDOM, FALLBACK) else "new"
    return f'<span class="t {kind}"><s>{written}</s>{text}</span>'
