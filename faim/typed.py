"""Values checked against the type hints of the dataclass fields that they are for."""

from __future__ import annotations

import ast
import inspect
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath
from reprlib import repr as shortened
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from faim.errors import FaimError
from faim.reading import shown


def field_hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's public fields."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind) if not f.name.startswith("_")}


@dataclass(frozen=True)
class Between:
    """Bounds of a number, for `Annotated` fields."""

    low: float
    high: float


def check_fields(instance: Any, of: type, where: str) -> None:
    """Check what a frozen dataclass holds against its hints; lists become tuples.

    Fields may be `Literal`, `bool`, a number `Annotated` with `Between`, and tuples of `Literal`.
    Others are left to the dataclass.

    Args:
        instance: holds the values.
        of: the dataclass, perhaps a base of the instance's, whose own fields are checked.
        where: begins every message.

    Raises:
        FaimError: a value of another kind, or out of bounds; names the field.
    """
    hints = get_type_hints(of, include_extras=True)
    for name in inspect.get_annotations(of):
        hint, value = hints[name], getattr(instance, name)
        if get_origin(hint) is tuple:
            if not isinstance(value, (list, tuple)):
                raise FaimError(f"{where}: {name} is {shown(value)}; expected a list")
            object.__setattr__(instance, name, tuple(value))
            if get_origin(get_args(hint)[0]) is Literal:
                for item in value:
                    _check_one(item, get_args(hint)[0], name, where)
        else:
            _check_one(value, hint, name, where)


def _check_one(value: object, hint: Any, name: str, where: str) -> None:
    if get_origin(hint) is Literal:
        expected = f"one of {', '.join(get_args(hint))}"
        fits = value in get_args(hint)
    elif hint is bool:
        expected, fits = "true or false", isinstance(value, bool)
    elif get_origin(hint) is Annotated and isinstance(get_args(hint)[1], Between):
        kind, bounds = get_args(hint)
        words = "a whole number" if kind is int else "a number"
        expected = f"{words} from {bounds.low:g} to {_plain(bounds.high)}"
        kinds = int if kind is int else (int, float)
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        fits = fits and bounds.low <= value <= bounds.high
    else:
        return
    if not fits:
        raise FaimError(f"{where}: {name} is {shown(value)}; expected {expected}")


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def check_values(values: Mapping[str, Any], kind: type, prefix: str = "") -> dict[str, Any]:
    """The values as their fields of `kind` want them: lists as tuples, whole numbers as floats.

    Names that are no field of `kind` come back as they are.

    Raises:
        FaimError: a value of another type; the message has its name behind `prefix`.
    """
    hints = field_hints(kind)
    checked = dict(values)
    for name, value in values.items():
        if name not in hints:
            continue
        try:
            checked[name] = convert(value, hints[name])
        except ValueError:
            raise FaimError(
                f"{prefix}{name} is {shortened(value)}; expected {describe(hints[name])}"
            ) from None
    return checked


def literal(text: str) -> Any:
    """What a text of the command line stands for: a Python value, true, false, none, or a text.

    Texts separated by commas are a tuple.
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # `{[]}`, 3,000 `~`
        value = {"true": True, "false": False, "none": None}.get(text.lower(), text)
    if isinstance(value, str) and "," in value:
        return tuple(part.strip() for part in value.split(","))
    return value


def convert(value: Any, hint: Any) -> Any:
    """`value` as `hint`; ValueError where it cannot be."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for argument in arguments:
            try:
                return convert(value, argument)
            except ValueError:
                continue
    elif origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
    elif origin is tuple:
        items = value if isinstance(value, (tuple, list)) else (value,)
        kinds = [arguments[0]] * len(items) if arguments[-1] is Ellipsis else arguments
        if len(kinds) == len(items):
            return tuple(convert(item, kind) for item, kind in zip(items, kinds, strict=True))
    elif origin is dict:
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return value
    elif hint is type(None):
        if value is None:
            return None
    elif hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if number and _is_finite(value):
            return float(value)
    elif hint is str and isinstance(value, PurePath):
        return str(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError


def _is_finite(value: float) -> bool:
    """False also for a whole number that no float holds."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def describe(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    names = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "a text",
        type(None): "none",
    }
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in get_args(hint))
    if get_origin(hint) is tuple:
        return "values separated by commas: " + str(hint).removeprefix("tuple")
    if get_origin(hint) is dict:
        return "a dictionary of fields"
    return names.get(hint, str(getattr(hint, "__name__", hint)))
