"""Which classes are asked for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import numpy as np

from faim.choices import Classes
from faim.errors import FaimError
from faim.reading import is_whole, shown
from faim.wording import counted

#: Names that a message lists.
_MOST_NAMES = 8
_DIGITS = re.compile(r"[0-9]{1,9}")


def class_ids_of(given: Classes, names: Sequence[str]) -> tuple[int, ...]:
    """The ids of classes, each once and in order.

    Args:
        given: a name, a number, or several; one text may hold several between commas. Upper and
            lower case are the same where no two classes differ by them alone, and a text of digits
            is a number unless a class has that name.
        names: of all classes.

    Raises:
        FaimError: no class is given, or one that is not among `names`; with names that are near.

    Example:
        >>> class_ids_of("dog, 0", ["person", "car", "dog"])
        (0, 2)
        >>> class_ids_of(["car"], ["person", "car", "dog"])
        (1,)
    """
    many = [given] if isinstance(given, (str, int, np.integer)) else given
    if not isinstance(many, Iterable) or isinstance(many, (bytes, dict)):
        raise FaimError(f"classes: {shown(given)} given; expected names or numbers of classes")
    parts: list[object] = []
    for each in many:
        if isinstance(each, str) and each not in names:
            parts += [part.strip() for part in each.split(",")]
        else:
            parts.append(each)
    if not parts:
        raise FaimError("classes: none given; expected names or numbers of classes")
    return tuple(sorted({_class_id(part, names) for part in parts}))


def _class_id(given: object, names: Sequence[str]) -> int:
    number = int(given) if is_whole(given) else None
    if isinstance(given, str):
        if given in names:
            return names.index(given)
        alike = [index for index, name in enumerate(names) if name.lower() == given.lower()]
        if len(alike) == 1:
            return alike[0]
        number = int(given) if _DIGITS.fullmatch(given) else None
    if number is not None and 0 <= number < len(names):
        return number
    near = _near(given, names) if isinstance(given, str) else []
    if near:
        expected = f"a class of the weights, such as {', '.join(near)}"
    else:
        listed = ", ".join(names[:_MOST_NAMES]) + (" …" if len(names) > _MOST_NAMES else "")
        expected = (
            f"one of the {counted(len(names), 'class')} of the weights, by name ({listed}) or by "
            f"number (0 to {len(names) - 1})"
        )
    raise FaimError(f"classes: {shown(given)} given; expected {expected}")


def _near(given: str, names: Sequence[str]) -> list[str]:
    """Names that somebody may have meant, nearest first."""
    word = given.lower()
    lower = {name.lower(): name for name in names}
    found = difflib.get_close_matches(word, lower, n=_MOST_NAMES)
    if len(word) >= 3:
        found += [name for name in lower if word in name]
    return [lower[name] for name in dict.fromkeys(found)][:_MOST_NAMES]
