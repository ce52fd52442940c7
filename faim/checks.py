"""Options of a running detector that a person may get wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from faim.choices import LONGEST_SIDE, MOST_BATCH
from faim.errors import FaimError
from faim.reading import is_whole


def is_side(side: object, most: int | None = LONGEST_SIDE) -> bool:
    """Whether a network's input may have a side of so many pixels: a multiple of 32, up to `most`.

    32 is the coarsest stride of the networks, so that every level is a whole number of cells.
    """
    if not isinstance(side, (int, np.integer)) or (most is not None and side > most):
        return False
    return bool(side >= 32 and side % 32 == 0)


def check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the network input.

    Raises:
        FaimError: not one or two whole numbers, or no multiples of 32.
    """
    sides: tuple[Any, ...] = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2 or not all(map(is_side, sides)):
        raise FaimError(
            f"size: {size!r} given; expected a multiple of 32 in pixels, or height and width, each "
            f"a multiple of 32, up to {LONGEST_SIDE}"
        )
    return int(sides[0]), int(sides[1])


def check_iou(iou: float) -> None:
    """Raise FaimError unless NMS can leave boxes out by this overlap."""
    if not (is_whole(iou) or isinstance(iou, (float, np.floating))) or not 0 <= iou <= 1:
        raise FaimError(f"iou: {iou!r} given; expected a number from 0 to 1")


def check_batch(batch: int) -> None:
    """Raise FaimError unless so many frames can go through a network at once."""
    if not (is_whole(batch) and 1 <= batch <= MOST_BATCH):
        raise FaimError(
            f"batch: {batch!r} given; expected a whole number of frames from 1 to {MOST_BATCH}"
        )


def check_score(score: object) -> float:
    """A score from which detections are shown.

    Raises:
        FaimError: not a number from 0 to 1.
    """
    if not (isinstance(score, (int, float)) and 0.0 <= score <= 1.0):
        raise FaimError(f"conf: {score!r} given; expected a number from 0 to 1")
    return score
