"""Numbers and addresses that lead to a person: e-mails, telephones, identity numbers of China, made anonymous.

Every digit becomes 0, and an e-mail `name@example.com`: a model still learns that something of the kind stands there.
Found are forms that say what they are; a name, or a number that could be anything, is not.
"""

import re

_EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}", re.ASCII)
_PHONE = re.compile(
    r"""(?<![\d.])(?:
        (?:\+?86[\s-]?)?1[3-9]\d(?:[\s-]?\d{4}){2}              # a mobile of China
      | \(?0\d{2,3}\)?[\s-]\d{7,8}                              # a landline of China
      | [48]00[\s-]?\d{3}[\s-]?\d{4}                            # its service numbers
      | \+\d{1,3}[\s-]?\(?\d{1,4}\)?(?:[\s-]?\d{2,4}){2,4}      # anything international
      | \(?\d{3}\)?[\s.-]\d{3}[.-]\d{4}                         # North America
    )(?![\d.]\d|\d)""",
    re.VERBOSE,
)
_IDENTITY = re.compile(r"(?<!\d)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\d)")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_DIGIT = re.compile(r"\d")


def without_private(text: str) -> str:
    """The text with these made anonymous."""
    if "@" in text:
        text = _EMAIL.sub("name@example.com", text)
    if not _DIGIT.search(text):
        return text
    text = _IDENTITY.sub(lambda found: _zeros(found) if _is_identity(found[0]) else found[0], text)
    return _PHONE.sub(_zeros, text)


def _zeros(found: re.Match[str]) -> str:
    return _DIGIT.sub("0", found[0])


def _is_identity(number: str) -> bool:
    """Whether the last place checks the others (GB 11643)."""
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return "10X98765432"[total % 11] == number[-1].upper()
