"""Text of a corpus, to be looked at: what acts instead of being seen is spelled out, what is long is cut."""

import unicodedata


def visible(text: str) -> str:
    """Text without characters that act: U+202E becomes ⟨202E⟩."""
    return "".join(f"⟨{ord(c):04X}⟩" if _acts(c) else c for c in text)


def shortened(text: str, longest: int = 160) -> str:
    """In one line, of so many characters."""
    line = " ".join(text.split())
    return line[:longest] + "…" * (len(line) > longest)


def _acts(char: str) -> bool:
    """Control, format, surrogate, private and unassigned characters, and the separators of lines."""
    return unicodedata.category(char)[0] == "C" or char in "\u2028\u2029"
