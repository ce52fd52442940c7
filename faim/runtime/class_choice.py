"""Which classes are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TypeAlias

import numpy as np

from faim.errors import FaimError

#: Classes by name or number, or one text of names with commas between them.
Classes: TypeAlias = str | int | Iterable[str | int]


def class_ids_of(classes: Classes, class_names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of the classes that are asked for, in order, each once.

    Args:
        classes: names or numbers; a name in capitals or not, a number as int or digits.
        class_names: what the weights know, in the order of their numbers.

    Raises:
        FaimError: nothing is asked for, or a class that the weights do not know.

    Example:
        >>> class_ids_of("car, person", ("person", "bicycle", "car"))
        (0, 2)
        >>> class_ids_of([1], ("person", "bicycle", "car"))
        (1,)
    """
    asked: Iterable[object]
    if isinstance(classes, str):
        asked = [classes] if classes in class_names else classes.split(",")
    elif isinstance(classes, Iterable):
        asked = classes
    else:
        asked = [classes]
    found = {_class_id(one, class_names) for one in asked}
    if not found:
        raise FaimError("classes: none given; expected names or numbers, or no such option")
    return tuple(sorted(found))


def _class_id(one: object, class_names: Sequence[str]) -> int:
    count = len(class_names)
    if isinstance(one, str):
        name = one.strip()
        folded = [known.casefold() for known in class_names]
        if name in class_names:
            return class_names.index(name)
        if name.casefold() in folded:
            return folded.index(name.casefold())
        if not name.isdecimal():
            raise FaimError(_unknown(name, class_names))
        one = int(name)
    if isinstance(one, bool) or not isinstance(one, (int, np.integer)) or not 0 <= one < count:
        raise FaimError(
            f"classes: {one!r} given; expected names of the weights' {count} classes, or numbers "
            f"from 0 to {count - 1}"
        )
    return int(one)


def _unknown(name: str, class_names: Sequence[str]) -> str:
    close = get_close_matches(name, class_names, n=3) or class_names[:3]
    more = ", ..." if len(class_names) > len(close) else ""
    return (
        f"classes: {name!r} is none of the weights' {len(class_names)} classes; expected one of "
        f"them ({', '.join(close)}{more})"
    )
