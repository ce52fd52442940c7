"""Which of a frame's detections are given out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeGuard

import numpy as np
import torch
from torchvision.ops import nms

from faim.errors import FaimError
from faim.reading import shown
from faim.runtime.checks import check_iou
from faim.runtime.region import Region
from faim.structures import Detections
from faim.wording import counted

#: Names and numbers of classes, mixed; a text holds them between commas.
Classes: TypeAlias = str | int | Iterable[str | int]
#: Names that a message lists.
_MOST_NAMES = 8
_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Selection:
    """Which of a frame's detections are given out: always some of those that were there without it.

    It comes after the links over time, which go on where it takes detections away: an object that
    leaves the region and comes back is still the same.

    Attributes:
        iou: of the last NMS within a class, and across classes where `agnostic`; in [0, 1].
        agnostic: whether of boxes that overlap by more than `iou` only the best is given out,
            whatever their classes.
        class_ids: those given out; all if None.
        region: where the centre of a box has to lie; anywhere if None.
        max_det: most detections of a frame, the best that the others leave; all if None.

    Raises:
        FaimError: a value out of its range.
    """

    iou: float
    agnostic: bool = False
    class_ids: tuple[int, ...] | None = None
    region: Region | None = None
    max_det: int | None = None

    def __post_init__(self) -> None:
        """See the class."""
        check_iou(self.iou)
        if not isinstance(self.agnostic, (bool, np.bool_)):
            raise FaimError(f"agnostic: {shown(self.agnostic)} given; expected True or False")
        if self.max_det is not None and not (_is_whole(self.max_det) and self.max_det >= 1):
            raise FaimError(
                f"max det: {shown(self.max_det)} given; expected a whole number from 1 on"
            )

    def of(self, found: Detections, size: tuple[int, int]) -> Detections:
        """Those of a frame's detections that are given out, in their order.

        Args:
            found: in pixels of the frame, best score first.
            size: the frame's height and width.
        """
        if self.agnostic:
            found = found[nms(found.boxes, found.scores, self.iou).sort().values]
        if self.class_ids is not None:
            wanted = torch.tensor(self.class_ids, device=found.class_ids.device)
            found = found[torch.isin(found.class_ids, wanted)]
        if self.region is not None:
            centres = ((found.boxes[:, :2] + found.boxes[:, 2:]) / 2).cpu().numpy()
            found = found[torch.from_numpy(self.region.holds(centres, size))]
        return found if self.max_det is None else found[: self.max_det]


def find_classes(given: Classes, names: Sequence[str]) -> tuple[int, ...]:
    """The ids of classes, each once and in order.

    Args:
        given: a name, a number, or several; one text may hold several between commas. Upper and
            lower case are the same where no two classes differ by them alone, and a text of digits
            is a number unless a class has that name.
        names: of all classes.

    Raises:
        FaimError: no class is given, or one that is not among `names`; with names that are near.

    Example:
        >>> find_classes("dog, 0", ["person", "car", "dog"])
        (0, 2)
        >>> find_classes(["car"], ["person", "car", "dog"])
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
    return tuple(sorted({_find_class(part, names) for part in parts}))


def _find_class(given: object, names: Sequence[str]) -> int:
    number = int(given) if _is_whole(given) else None
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


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
