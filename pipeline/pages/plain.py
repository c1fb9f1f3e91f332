"""Text of a corpus, to be looked at: what acts instead of being seen is spelled out, what is long is cut."""

import unicodedata

JOINER = "\u200d"
"""Between two emoji it makes one of them: a woman and a rocket are an astronaut."""


def visible(text: str) -> str:
    """Text without characters that act: U+202E becomes ⟨202E⟩."""
    return "".join(f"⟨{ord(c):04X}⟩" if _acts(c) and not _joins(text, i) else c for i, c in enumerate(text))


def in_a_line(text: str) -> str:
    """Ends of lines, tabs and runs of blanks as one blank."""
    return " ".join(text.split())


def shortened(text: str, longest: int = 160) -> str:
    """In one line, of so many characters."""
    line = in_a_line(text)
    return line[:longest] + "…" * (len(line) > longest)


def _acts(char: str) -> bool:
    """Control, format, surrogate, private and unassigned characters, and the separators of lines."""
    return unicodedata.category(char)[0] == "C" or char in "\u2028\u2029"


def _joins(text: str, place: int) -> bool:
    before, after = text[max(place - 1, 0) : place], text[place + 1 : place + 2]
    return text[place] == JOINER and _of_emoji(before) and _of_emoji(after)


def _of_emoji(char: str) -> bool:
    """A symbol, the tone of a skin, or the sign that the character before it is to be drawn."""
    return char == "\ufe0f" or (char != "" and unicodedata.category(char) in ("So", "Sk"))
