"""Options of a running detector that a person may get wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from faim.choices import LONGEST_SIDE, MOST_BATCH
from faim.errors import FaimError
from faim.reading import is_whole

#: Kinds of devices that networks run on; torch has others, such as "meta", which holds no numbers.
_DEVICES = ("cpu", "cuda", "mps", "xpu")


def check_size(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the network input.

    Raises:
        FaimError: not one or two whole numbers, or no multiples of 32.
    """
    sides: tuple[Any, ...] = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(sides) != 2 or any(
        not isinstance(side, (int, np.integer)) or not 32 <= side <= LONGEST_SIDE or side % 32
        for side in sides
    ):
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


def resolve_device(device: str | torch.device) -> torch.device:
    """The device meant; "auto" is a GPU where there is one.

    Raises:
        FaimError: there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        if chosen.type not in _DEVICES:
            raise TypeError(f"{chosen.type} computes nothing")
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise FaimError(
            f"device: {str(device)!r} cannot be used here; expected auto, cpu or a GPU that torch "
            "can see (cuda, cuda:1, mps)"
        ) from error
    return chosen
