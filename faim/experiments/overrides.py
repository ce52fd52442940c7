"""`key=value` on the command line: typed by the experiment's own fields."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

from faim.errors import FaimError
from faim.experiments.common import CommonExperiment
from faim.typed import convert, describe, field_hints, literal

#: Of a text in a message.
LONGEST_SHOWN = 60


def apply_overrides(experiment: CommonExperiment, overrides: Sequence[str]) -> None:
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


def set_field(experiment: CommonExperiment, key: str, text: str) -> None:
    """Set one field from its text; see `apply_overrides`."""
    outer, _, inner = key.partition(".")
    hints = field_hints(type(experiment))
    nested = experiment.nested
    if inner and outer in nested and outer in hints:
        value = parse_value(
            key, text, _look_up(field_hints(nested[outer]), key, inner, f"{outer}.")
        )
        setattr(experiment, outer, {**getattr(experiment, outer), inner: value})
        return
    hint = _look_up(hints, key, key, "")
    if outer in nested:
        raise FaimError(f"override {key}: expected one of its fields, as {outer}.name=value")
    setattr(experiment, key, parse_value(key, text, hint))


def parse_value(key: str, text: str, hint: Any) -> Any:
    """The text as a value of a type; raises FaimError where it is none."""
    if hint is str or (get_origin(hint) is Literal and text in get_args(hint)):
        return text  # as it stands: a choice may be called "none"
    try:
        return convert(literal(text), hint)
    except ValueError:
        raise FaimError(f"override {key}={_shown(text)}: expected {describe(hint)}") from None


def _look_up(hints: dict[str, Any], key: str, name: str, prefix: str) -> Any:
    if name in hints:
        return hints[name]
    near = difflib.get_close_matches(name, hints, n=3, cutoff=0.4) or sorted(hints)
    listed = ", ".join(prefix + other for other in near)
    raise FaimError(f"override {key}: no such field; the nearest are {listed}")


def _shown(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
