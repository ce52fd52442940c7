"""Text from files, made safe for a terminal and a picture."""

from __future__ import annotations

import unicodedata

#: Categories of Unicode that steer or break what they are printed on: controls (ESC, newlines),
#: formats (turns of direction, zero widths), lone surrogates, separators of lines and paragraphs.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Formats that scripts and emoji are spelled with: ZERO WIDTH NON-JOINER and JOINER.
_SPELLING = "\u200c\u200d"


def printable(text: str) -> str:
    r"""The text in one line, with what would steer a terminal written as an escape.

    Every script stays as it is. A byte of a file name that is no UTF-8 is written as that byte.

    Example:
        >>> printable("кошка 猫"), printable("a\x1b[2J\nb"), printable("caf\udce9.png")
        ('кошка 猫', 'a\\x1b[2J\\nb', 'caf\\xe9.png')
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        _escaped(char)
        if unicodedata.category(char) in _STEERING and char not in _SPELLING
        else char
        for char in text
    )


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte, as Python carries it in a file's name
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
