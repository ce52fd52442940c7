"""The mask methods by name; each is imported when it is asked for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from faim.errors import FaimError
from faim.masks.protocol import MaskMethod
from faim.typed import convert, describe, field_hints, literal

#: Where each class is.
METHODS: dict[str, str] = {
    "box": "faim.masks.box:BoxMasks",
    "grabcut": "faim.masks.grabcut:GrabCutMasks",
    "aligned": "faim.masks.aligned:AlignedMasks",
    "sam": "faim.masks.sam:SamMasks",
    "sam2": "faim.masks.sam2:Sam2Masks",
    "sam-hf": "faim.masks.transformers_sam:TransformersSamMasks",
    "video": "faim.masks.box_to_mask:VideoMasks",
}


def make_method(name: str, overrides: Sequence[str] = ()) -> MaskMethod:
    """A method with fields set from texts like `iterations=5`.

    Raises:
        FaimError: an unknown method or field (the nearest ones are named), a text of another form,
            a value of the wrong type, a field that has no default and is not set; else what the
            method itself says of its values.
    """
    if name not in METHODS:
        near = difflib.get_close_matches(name, METHODS, n=1) or METHODS
        raise FaimError(f"--method {name}: no such method; expected {_one_of(near)}")
    module, _, kind = METHODS[name].partition(":")
    method = getattr(import_module(module), kind)
    values = parse_fields(method, overrides, f"method {name}")
    try:
        return method(**values)
    except TypeError as error:
        missing = [field for field in field_hints(method) if f"'{field}'" in str(error)]
        if not missing:
            raise
        wanted = " ".join(f"{field}=…" for field in missing)
        raise FaimError(f"method {name}: {', '.join(missing)} missing; expected {wanted}") from None


def parse_fields(kind: type, overrides: Sequence[str], what: str) -> dict[str, Any]:
    """The values of `key=value` texts, as the fields of a dataclass want them; the last one counts.

    Raises:
        FaimError: see `make_method`; messages begin with `what`.
    """
    hints = field_hints(kind)
    values = {}
    for text in overrides:
        key, separator, value = (part.strip() for part in text.partition("="))
        if not separator:
            raise FaimError(f"{what}: {text!r} is no setting; expected key=value")
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=3, cutoff=0.4) or sorted(hints)
            raise FaimError(f"{what}: no field {key!r}; expected {_one_of(near)}")
        values[key] = _parse_value(value, hints[key], f"{what}: {key}={value}")
    return values


def _parse_value(text: str, hint: Any, what: str) -> Any:
    """The text as `hint`; what Python reads as a value of another type may still be a text."""
    file = (Path(text),) if Path in (hint, *get_args(hint)) else ()
    for candidate in (literal(text), text, *file):
        with suppress(ValueError):
            return candidate if isinstance(candidate, Path) else convert(candidate, hint)
    raise FaimError(f"{what}; expected {describe(hint)}")


def _one_of(names: Sequence[str] | dict[str, str]) -> str:
    listed = list(names) or ["none"]
    return listed[0] if len(listed) == 1 else f"one of {', '.join(listed)}"
