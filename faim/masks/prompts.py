"""What the methods share whose networks are told by a box what to cut out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from faim.errors import FaimError
from faim.masks.protocol import Boxes, Frames, ObjectMask
from faim.pictures.image import Image, Mask

Masks = npt.NDArray[np.bool_]
#: From a frame, (H, W, 3) uint8 RGB, and boxes (k, 4), to masks (k, H, W).
Predict = Callable[[Image, Boxes], Masks]


def frame_by_frame(
    frames: Frames, boxes: Sequence[Boxes], predict: Predict
) -> Iterator[ObjectMask]:
    """The masks of frames that are looked at one at a time; those without boxes are left out.

    Args:
        frames: n of them.
        boxes: n arrays (k, 4), x1 y1 x2 y2 in pixels.
        predict: called once for a frame, with all of its boxes.
    """
    for index, here in enumerate(boxes):
        if not len(here):
            continue
        masks = predict(to_rgb(frames[index]), here)
        for number, mask in enumerate(masks):
            yield ObjectMask(index, number, mask)


def to_rgb(image: Image) -> Image:
    """A frame, which is BGR, as the networks want it."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def batches(count: int, size: int) -> Iterator[slice]:
    """The parts of at most `size` that make up `count`."""
    for start in range(0, count, size):
        yield slice(start, start + size)


def best_masks(masks: Tensor, scores: Tensor) -> Masks:
    """The mask of each box that the network thinks best.

    Args:
        masks: (k, c, H, W) bool, c for each box.
        scores: (k, c).

    Returns:
        (k, H, W).
    """
    best = scores.argmax(dim=1).view(-1, 1, 1, 1).expand(-1, 1, *masks.shape[2:])
    chosen: Mask = masks.gather(1, best)[:, 0].cpu().numpy().astype(bool, copy=False)
    return chosen


def check_at_least(method: str, field: str, value: int, lowest: int) -> None:
    """FaimError where a number of a method is too small."""
    if value < lowest:
        raise FaimError(f"method {method}: {field} is {value}; expected at least {lowest}")
