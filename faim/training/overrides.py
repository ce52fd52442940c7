"""`key=value` on the command line: typed by the experiment's own fields."""

from __future__ import annotations

import ast
import difflib
import types
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from faim.config import FaimConfig
from faim.data.transforms import BaseStageAugment
from faim.errors import FaimError
from faim.training.experiment import Experiment

#: Fields that are dictionaries of another dataclass's fields.
_NESTED: dict[str, type] = {"model": FaimConfig, "augment": BaseStageAugment}


def apply_overrides(experiment: Experiment, overrides: Sequence[str]) -> None:
    """Set fields from texts like `max_epochs=3`, `model.num_proposals=50`.

    Raises:
        FaimError: not of this form, an unknown key (the nearest ones are named), or a value of
            the wrong type.
    """
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise FaimError(f"override {text!r}: expected key=value, for example max_epochs=3")
        set_field(experiment, key.strip(), value.strip())


def set_field(experiment: Experiment, key: str, text: str) -> None:
    """Set one field from its text; see `apply_overrides`."""
    outer, _, inner = key.partition(".")
    hints = _hints(type(experiment))
    if inner and outer in _NESTED and outer in hints:
        value = parse_value(key, text, _look_up(_hints(_NESTED[outer]), key, inner, f"{outer}."))
        setattr(experiment, outer, {**getattr(experiment, outer), inner: value})
        return
    hint = _look_up(hints, key, key, "")
    if outer in _NESTED:
        raise FaimError(f"override {key}: expected one of its fields, as {outer}.name=value")
    setattr(experiment, key, parse_value(key, text, hint))


def parse_value(key: str, text: str, hint: Any) -> Any:
    """The text as a value of a type; raises FaimError where it is none."""
    if hint is str:
        return text
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
        if isinstance(value, str) and "," in value:
            value = tuple(part.strip() for part in value.split(","))
    try:
        return _convert(value, hint)
    except ValueError:
        raise FaimError(f"override {key}={text}: expected {_describe(hint)}") from None


def _convert(value: Any, hint: Any) -> Any:
    """`value` as `hint`; ValueError where it cannot be."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for argument in arguments:
            try:
                return _convert(value, argument)
            except ValueError:
                continue
    elif origin is Literal:
        if value in arguments:
            return value
    elif origin is tuple:
        items = value if isinstance(value, (tuple, list)) else (value,)
        kinds = [arguments[0]] * len(items) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(items):
            return tuple(_convert(item, kind) for item, kind in zip(items, kinds, strict=True))
    elif hint is type(None):
        if value is None:
            return None
    elif hint is float:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError


def _look_up(hints: dict[str, Any], key: str, name: str, prefix: str) -> Any:
    if name in hints:
        return hints[name]
    near = difflib.get_close_matches(name, hints, n=3, cutoff=0.4) or sorted(hints)
    listed = ", ".join(prefix + other for other in near)
    raise FaimError(f"override {key}: no such field; the nearest are {listed}")


def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if not f.name.startswith("_")}


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    names = {bool: "true or false", int: "a whole number", float: "a number", type(None): "none"}
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(argument) for argument in get_args(hint))
    if get_origin(hint) is tuple:
        return "values separated by commas: " + str(hint).removeprefix("tuple")
    return names.get(hint, str(getattr(hint, "__name__", hint)))
