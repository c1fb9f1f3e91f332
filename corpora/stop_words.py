"""Function words of a language: frequent, and saying little about what a text is about.

The lists are short on purpose and leave out negation (不, 没, not, never), degree (很, very) and contrast (但是, but):
to a reader of opinions they are content.
"""

from pathlib import Path

FOLDER = Path(__file__).parent / "stop_words"


def stop_words(language: str) -> frozenset[str]:
    """Those of a language, in lower case; ValueError where there is no list."""
    path = FOLDER / f"{language}.txt"
    if not path.exists():
        known = ", ".join(sorted(found.stem for found in FOLDER.glob("*.txt")))
        raise ValueError(f"no stop words for language = {language}: known are {known}; write {path}, one word a line")
    return frozenset(path.read_text(encoding="utf-8").split())
