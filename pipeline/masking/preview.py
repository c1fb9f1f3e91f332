"""A masked sequence for human eyes."""

import numpy as np

from pipeline.masking.config import IMPORTANT


def show(tokens: list[str], importance: np.ndarray, masked: np.ndarray) -> str:
    """A sequence for human eyes, in Markdown: **important**, `[masked]`, **`[both]`**."""
    return " ".join(map(_shown, tokens, importance >= IMPORTANT, masked))


def _shown(token: str, important: bool, masked: bool) -> str:
    text = f"`[{token.replace('`', chr(39))}]`" if masked else _plain(token)
    return f"**{text}**" if important else text


def _plain(token: str) -> str:
    """A token that Markdown reads as text."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>|#" else c for c in token)
