"""What every method's masks go through: clipping, hole filling, and a fallback where one fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np

from faim.data.mask_encoding import encode_mask
from faim.errors import FaimError
from faim.masks.box import pixels_of
from faim.masks.protocol import Boxes
from faim.pictures.image import Image, Mask

#: Who made a mask: the method itself, or what stood in for it.
Source = Literal["method", "grabcut", "box"]


@dataclass(frozen=True)
class Finishing:
    """How masks are finished.

    Attributes:
        margin: share of the box's sides by which a mask may stick out of it.
        holes: holes of at most this share of the object's pixels are filled.
        least: a mask of less than this share of its box counts as failed.

    Raises:
        FaimError: a margin below 0, or a share that is none.
    """

    margin: float = 0.05
    holes: float = 1.0
    least: float = 0.05

    def __post_init__(self) -> None:
        """Validate."""
        if not 0 <= self.margin < np.inf:
            raise FaimError(f"margin is {self.margin}; expected a share of the box from 0 on")
        for name in ("holes", "least"):
            if not 0 <= getattr(self, name) <= 1:
                raise FaimError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")


@dataclass(frozen=True)
class Finished:
    """A mask as it goes into the file.

    Attributes:
        segmentation: compressed RLE of the whole frame.
        area: pixels.
        source: who made it.
    """

    segmentation: dict[str, Any]
    area: int
    source: Source


def finish(
    mask: Mask | None,
    box: Boxes,
    size: tuple[int, int],
    finishing: Finishing,
    look: Callable[[], Image] | None = None,
) -> Finished:
    """Clip a mask, fill its holes, and take GrabCut's or the box where too little is left.

    Args:
        mask: (H, W) of the whole frame, or None.
        box: (4,) x1 y1 x2 y2 in pixels, inside the image and with an area.
        size: H and W.
        finishing: how.
        look: gives the frame, (H, W, 3) uint8 BGR, to GrabCut; None goes on to the box at once.
    """
    crop = None if mask is None else cut_out(mask, box, finishing)
    source: Source = "method"
    if crop is None and look is not None:
        from faim.masks.grabcut import GrabCutMasks

        again = GrabCutMasks().mask(look(), box)
        crop, source = None if again is None else cut_out(again, box, finishing), "grabcut"
    if crop is None:
        x1, y1, x2, y2 = pixels_of(box, size)
        crop, source = (x1, y1, np.ones((y2 - y1, x2 - x1), bool)), "box"
    x, y, inside = crop
    whole = np.zeros(size, bool, order="F")
    whole[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return Finished(encode_mask(whole), int(np.count_nonzero(inside)), source)


def cut_out(mask: Mask, box: Boxes, finishing: Finishing) -> tuple[int, int, Mask] | None:
    """The mask in its box with the margin, without small holes.

    Args:
        mask: (H, W) of the whole frame.
        box: (4,) x1 y1 x2 y2 in pixels.
        finishing: how.

    Returns:
        First column, first row, and the mask from there on; None where too little is left.

    Raises:
        ValueError: the mask is no picture.
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask of shape {mask.shape}; expected (H, W)")
    height, width = mask.shape
    sides = np.tile(box[2:] - box[:2], 2)
    wide = box + sides * finishing.margin * np.array([-1, -1, 1, 1])
    x1, y1, x2, y2 = pixels_of(wide, (height, width))
    inside = fill_holes(mask[y1:y2, x1:x2].astype(bool), finishing.holes)
    bx1, by1, bx2, by2 = pixels_of(box, (height, width))
    enough = max(finishing.least * (bx2 - bx1) * (by2 - by1), 1)
    return (x1, y1, inside) if np.count_nonzero(inside) >= enough else None


def fill_holes(mask: Mask, share: float) -> Mask:
    """The mask with background that it surrounds, of at most `share` of its pixels, filled.

    Pixels that touch at a corner alone do not connect background. What reaches the picture's border
    is no hole.
    """
    background = np.pad(~mask, 1, constant_values=True).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    hole = stats[:, cv2.CC_STAT_AREA] <= share * np.count_nonzero(mask)
    hole[0] = hole[labels[0, 0]] = False  # the object, and what is around it
    return mask | hole[labels][1:-1, 1:-1]
