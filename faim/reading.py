"""Text, JSON and YAML that may hold anything: sound values, or one sentence on what is wrong.

What a caller need not think of: a byte order mark, other encodings, values nested a thousand deep,
numbers of thousands of digits, a key twice, aliases that stand for gigabytes, half a character.
`NaN` and `Infinity`, which Python writes, are read as such: who reads a field judges its value.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import reprlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from faim.errors import FaimError

if TYPE_CHECKING:
    import yaml  # type: ignore[import-untyped]

#: Lists and objects within each other; the formats that are read here need six.
DEEPEST = 100
#: Of YAML, which is read slowly: characters, and values with every alias written out.
LARGEST_YAML = MOST_YAML_VALUES = 1_000_000
#: Characters of a value that a message shows.
_LONGEST_SHOWN = 80
_STRING = re.compile(rb'"[^"]*"')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_OTHER_ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def shown(value: object) -> str:
    """A value as messages give it: one short line, whatever it is and however much it holds."""
    brief = reprlib.Repr()
    brief.maxstring = brief.maxother = brief.maxlong = 60
    brief.maxlevel, brief.fillvalue = 3, "…"
    try:
        text = brief.repr(value)
    except (ValueError, RecursionError):  # a number of more digits than Python prints
        text = f"a {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a whole number, of Python or numpy; a bool is none."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def read_text(path: Path, what: str) -> str:
    """A file's text, UTF-8 with or without a byte order mark.

    Args:
        path: the file.
        what: was expected, for messages: "a JSON object".

    Raises:
        FaimError: it is missing, may not be read, or is no such text.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe may never end
            raise FaimError(f"{path}: is no file; expected {what}")
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise FaimError(f"{path}: no such file; expected {what}") from error
    except MemoryError as error:
        raise FaimError(f"{path}: is larger than the memory; expected {what}") from error
    except OSError as error:
        reason = error.strerror or error
        raise FaimError(f"{path}: cannot be read ({reason}); expected {what}") from error
    return _decoded(data, path, what)


def _decoded(data: bytes, where: str | os.PathLike[str], what: str) -> str:
    for mark, encoding in _OTHER_ENCODINGS.items():
        if data.startswith(mark):
            raise FaimError(f"{where}: is {encoding} text; expected {what} in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FaimError(
            f"{where}: cannot be read as text ({error.reason} at byte {error.start}); expected "
            f"{what} in UTF-8"
        ) from error


def read_json(path: Path, what: str = "a JSON object") -> dict[str, Any]:
    """The JSON object in a file; FaimError as `read_text` and `parse_json`."""
    return parse_json(read_text(path, what), path, what)


def read_json_list(path: Path, items: str) -> list[Any]:
    """The JSON list in a file; FaimError, which names the `items`, as `read_json`."""
    what = f"a JSON list of {items}"
    content = parse_json_value(read_text(path, what), path, what)
    if not isinstance(content, list):
        raise FaimError(f"{path}: holds a {type(content).__name__}; expected a list of {items}")
    return content


def parse_json(
    text: str | bytes, where: str | os.PathLike[str], what: str = "a JSON object"
) -> dict[str, Any]:
    """The JSON object that a text is; FaimError as `parse_json_value`, or if it is another value.

    Args:
        text: of a file, or of its header.
        where: names it in messages.
        what: was expected, for messages.
    """
    content = parse_json_value(text, where, what)
    if not isinstance(content, dict):
        raise FaimError(f"{where}: holds a {type(content).__name__}; expected {what}")
    return content


def parse_json_value(text: str | bytes, where: str | os.PathLike[str], what: str) -> Any:
    """Any JSON value.

    Raises:
        FaimError: the text is empty, not UTF-8 or not JSON; it is nested more than `DEEPEST` deep,
            or has a key twice, a number of thousands of digits, or half a character (`"\\ud800"`).
    """
    if isinstance(text, bytes):
        text = _decoded(text, where, what)
    if not text.strip():
        raise FaimError(f"{where}: is empty; expected {what}")
    data = text.encode(errors="surrogatepass")
    if _depth(data) > DEEPEST:
        raise FaimError(
            f"{where}: is not JSON that can be read (nested more than {DEEPEST} deep); expected "
            f"{what}"
        )
    try:
        content = json.loads(text, object_pairs_hook=_unique)
        if _SURROGATE.search(data):
            json.dumps(content, ensure_ascii=False).encode()
    except (json.JSONDecodeError, RecursionError) as error:
        raise FaimError(f"{where}: is not JSON ({error}); expected {what}") from error
    except UnicodeEncodeError as error:
        near = error.object[max(error.start - 20, 0) : error.start + 1]
        raise FaimError(
            f"{where}: holds half a character, at the end of {near!a}; expected {what}"
        ) from error
    except _KeyTwiceError as error:
        raise FaimError(
            f"{where}: has the key {error} twice in one object; expected once"
        ) from error
    except ValueError as error:
        raise FaimError(
            f"{where}: is not JSON that can be read (a number is too long); expected {what}"
        ) from error
    except MemoryError as error:
        raise FaimError(f"{where}: holds more than the memory; expected {what}") from error
    return content


class _KeyTwiceError(ValueError):
    """Of two values under one key the parser would keep the last, without a word."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _KeyTwiceError(shown(next(key for key in keys if keys.count(key) > 1)))
    return found


def _depth(data: bytes) -> int:
    """How deep JSON is nested, without parsing it: what parses it may not come back."""
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"")
    brackets = _STRING.sub(b"", plain.translate(None, _NO_BRACKETS))
    codes = np.frombuffer(brackets, np.uint8)
    steps = np.where((codes == ord("[")) | (codes == ord("{")), 1, -1)
    return int(np.cumsum(steps).max(initial=0))


_NO_BRACKETS = bytes(set(range(256)) - set(b'[]{}"'))


def read_yaml(path: Path, what: str) -> dict[Any, Any]:
    """The mapping that a YAML file is.

    Raises:
        FaimError: as `read_text`; it is larger than `LARGEST_YAML`, no YAML, no mapping, or its
            aliases stand for more than `MOST_YAML_VALUES` values.
    """
    import yaml

    text = read_text(path, what)
    if len(text) > LARGEST_YAML:
        raise FaimError(
            f"{path}: has {len(text)} characters; expected {what}, of at most {LARGEST_YAML}"
        )
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None and _written_out(node, {}) > MOST_YAML_VALUES:
                raise FaimError(
                    f"{path}: its aliases stand for more than {MOST_YAML_VALUES} values; expected "
                    f"{what}"
                )
            content = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except (ValueError, TypeError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:200]
        raise FaimError(f"{path}: is not YAML ({reason}); expected {what}") from error
    if not isinstance(content, dict):
        raise FaimError(f"{path}: holds {shown(content)}; expected {what}")
    return content


def _written_out(node: yaml.Node, known: dict[int, float]) -> float:
    """Values in a node with every alias written out; infinite where it holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")
        parts: list[yaml.Node] = []
        if isinstance(node.value, list):
            for part in node.value:
                parts += part if isinstance(part, tuple) else (part,)
        known[id(node)] = 1 + sum(_written_out(part, known) for part in parts)
    return known[id(node)]
