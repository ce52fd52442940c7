"""What reaches a terminal or a picture."""

from __future__ import annotations

import pytest

from faim.text import printable


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dog",
        "a b",
        "кошка 猫",
        "قطة",
        "नमस्ते",
        "naïve\u00a0Ω",
        "\u0646\u200c\u0645",
        "👩\u200d🚀",
    ],
)
def test_every_script_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("one\ntwo\r\tthree", r"one\ntwo\r\tthree"),
        ("\x9b2J", r"\x9b2J"),  # one character that is ESC [
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("a\u2066b\u2028c", r"a\u2066b\u2028c"),
        ("\ufeffcat", r"\ufeffcat"),
        ("caf\udce9.png", r"caf\xe9.png"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_steers_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    printable(text).encode()
