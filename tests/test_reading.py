"""Files that hold anything: sound values, or one sentence."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from faim.errors import FaimError
from faim.reading import DEEPEST, parse_json, read_json, read_json_list, read_text, read_yaml, shown


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join([*lines, f"names: *a{levels - 1}"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; expected a JSON object"),
        ("[]", "holds a list; expected a JSON object"),
        ("{", "is not JSON (Expecting property name"),
        ("[" * 100_000, "nested more than 100 deep"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "nested more than 100 deep"),
        ('{"a": ' + "9" * 5000 + "}", "(a number is too long)"),
        ('{"a": 1, "b": [{"c": 1, "c": 2}]}', "has the key 'c' twice"),
        (r'{"name": "\ud800"}', r'{"name": "\ud800' + "'; expected a JSON object"),
        (b"\xff\xfe{\x00}\x00", "is UTF-16 text; expected a JSON object in UTF-8"),
        (b'{"name": "caf\xe9"}', "cannot be read as text (invalid continuation byte at byte 13)"),
    ],
)
def test_json_that_is_none(tmp_path: Path, text: str | bytes, message: str) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FaimError) as caught:
        read_json(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)
    assert len(str(caught.value)) < len(str(file)) + 200


def test_json_that_is_sound(tmp_path: Path) -> None:
    deep = "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1)
    text = '{"brackets": "[[{\\"[\\\\", "deep": ' + deep + ', "smile": "\\ud83d\\ude00", "n": NaN}'
    file = tmp_path / "a.json"
    file.write_text("\ufeff" + text, encoding="utf-8")
    found = read_json(file)
    assert found["brackets"] == '[[{"[\\'
    assert found["smile"] == "\N{GRINNING FACE}"
    assert math.isnan(found["n"])
    brackets = ["[" * 2 * DEEPEST, "\\" * 3, '"' + "{" * DEEPEST]
    assert parse_json(json.dumps({"a": brackets}), "a") == {"a": brackets}


def test_what_is_no_file_or_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (("none", "no such file"), (".", "is no file"), ("pipe", "is no file")):
        with pytest.raises(FaimError, match=rf"{reason}; expected a list of results$"):
            read_text(tmp_path / name, "a list of results")
    with pytest.raises(FaimError, match="no such file; expected a JSON list of results"):
        read_json_list(tmp_path / "a\0b", "results")
    (tmp_path / "a.json").write_text("{}")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FaimError, match=r"cannot be read \(Permission denied\)"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_laughs(9), "its aliases stand for more than 1000000 values"),
        ("a: &a {b: *a}", "its aliases stand for more than"),
        ("names: [" + "[" * 5000, "is not YAML"),
        ("names: " + "9" * 5000, "is not YAML"),
        ("names: [", "is not YAML"),
        ("- a", r"holds \['a'\]; expected a mapping"),
        ("", "holds None; expected a mapping"),
        ("a: " + "b" * 1_000_001, "has 1000004 characters"),
        ("a: !!python/object/apply:os.system [ls]", "is not YAML"),
    ],
)
def test_yaml_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "data.yaml"
    file.write_text(text)
    with pytest.raises(FaimError, match=rf"^{file}: .*{message}") as caught:
        read_yaml(file, "a mapping")
    assert len(str(caught.value)) < len(str(file)) + 300


def test_yaml_with_aliases_and_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "data.yaml"
    file.write_text("\ufeffa: &a [x, y]\nb: *a\n<<: {c: 1}\n", encoding="utf-8")
    assert read_yaml(file, "a mapping") == {"a": ["x", "y"], "b": ["x", "y"], "c": 1}


def test_values_are_shown_in_one_short_line() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert shown(deep) == "[[[[…]]]]"
    assert shown("a\x1b[31m\nb\ud800") == r"'a\x1b[31m\nb\ud800'"
    assert shown(10**5000) == "a int"
    assert len(shown("x" * 10**6)) <= 80
    assert len(shown({str(i): "y" * 90 for i in range(90)})) <= 80
