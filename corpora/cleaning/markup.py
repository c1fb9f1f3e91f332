"""HTML in a text: tags gone, entities read, scripts and styles left out, blocks on lines of their own.

The parser is the standard library's, which takes what browsers take: `a < b` and `<3` are no tags.
"""

import re
from html.parser import HTMLParser

BLOCKS = frozenset(
    """address article aside blockquote br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header
    hr li main nav ol p pre section table td th tr ul""".split()  # noqa: SIM905
)
UNSEEN = frozenset({"script", "style", "template", "noscript"})
_MARKUP = re.compile(r"<[a-zA-Z/!]|&[a-zA-Z#]")
_BLANKS = re.compile(r"[ \t\xa0]*\n\s*")


def without_markup(text: str) -> str:
    """The text as a browser shows it; one without tags and entities stays as it is."""
    if not _MARKUP.search(text):
        return text
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return _BLANKS.sub("\n", "".join(reader.parts)).strip()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unseen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in UNSEEN:
            self.unseen.append(tag)
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.unseen:
            self.unseen.remove(tag)
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.unseen:
            self.parts.append(data)
