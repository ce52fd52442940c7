"""Words of the sentences that a person reads."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 frame`, `2 frames`, `0 classes`."""
    ending = "" if number == 1 else "es" if noun.endswith(("s", "x")) else "s"
    return f"{number} {noun}{ending}"


def megabytes(count: int) -> str:
    """A number of bytes: `72.1 MB`."""
    return f"{count / 1e6:.1f} MB"
