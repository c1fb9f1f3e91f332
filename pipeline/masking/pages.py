"""Masked sequences for human eyes: in Markdown; and many side by side, in a terminal or as one HTML page that needs
nothing beside it.

What comes from a corpus is escaped, and characters that would turn, hide or overwrite text (control, bidirectional,
zero-width) are spelled out.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from transformers import PreTrainedTokenizerBase

from pipeline.batches import Visit
from pipeline.masking.config import IMPORTANT
from pipeline.masking.replacement import FALLBACK, RANDOM, REPLACED

UNTOUCHED, MASKED = -1, 100
"""States of a piece beside the fates of a target: not predicted, and predicted under the mask token."""


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
    """One sequence under several policies: for each its name, and a line of pieces for each visit."""

    name: str
    heat: list[Piece]
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


def visible(text: str) -> str:
    """Text without characters that act instead of being seen: U+202E becomes ⟨202E⟩."""
    return "".join(f"⟨{ord(c):04X}⟩" if _acts(c) else c for c in text)


def _acts(char: str) -> bool:
    """Control, format, surrogate, private and unassigned characters, and the separators of lines."""
    return unicodedata.category(char)[0] == "C" or char in "\u2028\u2029"


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
    width = max((len(label) for one in sequences for label, _ in one.draws), default=0)
    lines = []
    for one in sequences:
        lines += [
            "",
            visible(one.name),
            f"  {'importance':{width}}  " + _joined(one.heat, _glow if colour else _starred),
        ]
        lines += [f"  {label:{width}}  " + _joined(line, _boxed) for label, line in one.draws]
    return "\n".join([*lines, ""])


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


STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--paper:#fff;--faint:#6e7781;--line:#d8dee4}
:root{--mask:#57606a;--new:#0550ae;--odd:#a40e26}
@media(prefers-color-scheme:dark){
:root{--ink:#e6edf3;--paper:#0d1117;--faint:#8d96a0;--line:#30363d;--mask:#8d96a0;--new:#79c0ff;--odd:#ff7b72}}
body{font:15px/1.9 system-ui,"Noto Sans CJK SC",sans-serif;color:var(--ink);background:var(--paper)}
body{max-width:62rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}
h3{font-size:.85rem;color:var(--faint);font-weight:500;margin:1.6rem 0 .2rem}p{margin:.2rem 0}
table{border-collapse:collapse}.draws{width:100%}
th,td{text-align:left;vertical-align:top;padding:.15rem .6rem .15rem 0;border-top:1px solid var(--line)}
th{width:6.5rem;font-weight:500;color:var(--faint);white-space:nowrap;font-size:.85rem}
td.n{text-align:right;font-variant-numeric:tabular-nums}
.h{border-radius:.2em;padding:.05em .08em;background:rgb(240 120 20/calc(var(--h)*.75))}.k{font-weight:700}
.t{border-radius:.2em;padding:.05em .25em;border:1px solid;white-space:nowrap}
.mask{color:var(--mask);background:color-mix(in srgb,var(--mask) 18%,transparent)}
.new{color:var(--new)}.odd{color:var(--odd)}.kept{border-style:dashed;color:var(--faint)}
s{opacity:.55;margin-right:.3em}
"""

KEY = (
    '<p><span class="h k" style="--h:1">important</span> <span class="h" style="--h:.3">less so</span> · '
    '<span class="t mask">hidden behind the mask token</span> <span class="t new"><s>was</s>similar word</span> '
    '<span class="t odd"><s>was</s>random</span> <span class="t kept">to be predicted, left as written</span></p>'
)


def page(title: str, parts: Sequence[tuple[str, str]]) -> str:
    """A whole HTML page; parts are (heading, HTML)."""
    body = "".join(f"<h2>{escape(heading)}</h2>{html}" for heading, html in parts)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{KEY}{body}"
        "</body></html>\n"
    )


def sequences_html(sequences: Sequence[Drawn]) -> str:
    """Each sequence as heat, and a table of its draws."""
    return "".join(
        f'<h3>{_safe(one.name)}</h3><p>{_joined(one.heat, _heated)}</p><table class="draws">'
        + "".join(f"<tr><th>{escape(label)}</th><td>{_joined(line, _marked)}</td></tr>" for label, line in one.draws)
        + "</table>"
        for one in sequences
    )


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """First column text, the others numbers."""
    line = lambda tag, cells: "".join(
        f"<{tag}{' class=n' if i else ''}>{_safe(cell)}</{tag}>" for i, cell in enumerate(cells)
    )
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><tr>{line('th', head)}</tr>{body}</table>"


def _safe(text: str) -> str:
    return escape(visible(text))


def _heated(piece: Piece) -> str:
    if piece.importance < 2:
        return _safe(piece.text)
    known = " k" if piece.importance >= IMPORTANT else ""
    heat = f"--h:{piece.importance / 255:.2f}"
    return f'<span class="h{known}" style="{heat}" title="importance {piece.importance}">{_safe(piece.text)}</span>'


def _marked(piece: Piece) -> str:
    text, written = _safe(piece.text), _safe(piece.written)
    if piece.state == UNTOUCHED:
        return text
    if piece.state == MASKED:
        return f'<span class="t mask" title="hidden">{written}</span>'
    if piece.text == piece.written:
        return f'<span class="t kept" title="to be predicted, as written">{written}</span>'
    kind = "odd" if piece.state in (RANDOM, FALLBACK) else "new"
    return f'<span class="t {kind}"><s>{written}</s>{text}</span>'
