"""`box`: the mask of a box is the box; where boxes overlap, the smaller one is in front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from faim.masks.protocol import Boxes, Frames, ObjectMask, TrackIds
from faim.pictures.image import Mask


@dataclass
class BoxMasks:
    """The method of BoxMask, section 3.3. A box that smaller ones hide wholly gets no pixel."""

    name: ClassVar[str] = "box"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = False
    parallel: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    @property
    def parameters(self) -> dict[str, Any]:
        """None."""
        return {}

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`."""
        for index, (size, here) in enumerate(zip(frames.sizes, boxes, strict=True)):
            for number, mask in enumerate(each_mask(here, size)):
                yield ObjectMask(index, number, mask)


def each_mask(boxes: Boxes, size: tuple[int, int]) -> Iterator[Mask]:
    """The visible part of each box, as masks of height and width `size`.

    Of boxes of one area the first is in front. One mask at a time, as all those of a large image
    may be more than the memory holds.
    """
    nobody = len(boxes)
    owner = np.full(size, nobody, np.min_scalar_type(nobody))
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    back_to_front = np.argsort(areas, kind="stable")[::-1]
    for number in back_to_front:
        x1, y1, x2, y2 = pixels_of(boxes[number], size)
        owner[y1:y2, x1:x2] = number
    for number in range(len(boxes)):
        yield owner == number


def pixels_of(box: Boxes, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels that a box touches: first column and row, and the ones after the last.

    Args:
        box: (4,) x1 y1 x2 y2.
        size: height and width of the image, to which the result is clipped.

    Returns:
        x1, y1, x2, y2: at least one pixel wide and high.
    """
    height, width = size
    x1 = min(max(int(np.floor(box[0])), 0), width - 1)
    y1 = min(max(int(np.floor(box[1])), 0), height - 1)
    x2 = min(max(int(np.ceil(box[2])), x1 + 1), width)
    y2 = min(max(int(np.ceil(box[3])), y1 + 1), height)
    return x1, y1, x2, y2
