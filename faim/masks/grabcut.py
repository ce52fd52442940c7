"""`grabcut`: OpenCV's GrabCut on a crop around each box, which tells it where the object is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from faim.errors import FaimError
from faim.masks.box import pixels_of
from faim.masks.protocol import Boxes, Frames, ObjectMask, TrackIds
from faim.pictures.image import Image, Mask

Labels = npt.NDArray[np.uint8]

#: Pixels around a box that are looked at, however small it is.
LEAST_CONTEXT = 2


@dataclass
class GrabCutMasks:
    """GrabCut; the defaults were chosen on the training sequences of DAVIS 2016.

    Outside the box is certain background, an ellipse in its middle certain object, and the rest of
    the box is to be found out. Other boxes are not looked at: masks were worse when
    smaller boxes counted as background.

    Attributes:
        context: pixels around the box that are looked at, as a share of its sides.
        core: diameter of the ellipse, as a share of the box's sides; 0 for none.
        iterations: of GrabCut.
        longest: pixels of the crop's longest side; larger crops are made smaller, and their masks
            larger again.

    Raises:
        FaimError: a value out of its range.
    """

    context: float = 0.1
    core: float = 0.2
    iterations: int = 1
    longest: int = 160

    name: ClassVar[str] = "grabcut"
    version: ClassVar[int] = 1
    needs_frames: ClassVar[bool] = True
    parallel: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Validate."""
        for field, lowest, highest in (
            ("context", 0, 10),
            ("core", 0, 1),
            ("iterations", 1, 100),
            ("longest", 8, 10_000),
        ):
            value = getattr(self, field)
            if not lowest <= value <= highest:
                raise FaimError(
                    f"method grabcut: {field} is {value}; expected {lowest} to {highest}"
                )

    @property
    def parameters(self) -> dict[str, Any]:
        """All fields."""
        return {
            "context": self.context,
            "core": self.core,
            "iterations": self.iterations,
            "longest": self.longest,
        }

    def generate(
        self, frames: Frames, boxes: Sequence[Boxes], track_ids: Sequence[TrackIds]
    ) -> Iterator[ObjectMask]:
        """See `MaskMethod`. OpenCV's random numbers begin anew with every box."""
        for index, here in enumerate(boxes):
            for number, box in enumerate(here):
                yield ObjectMask(index, number, self.mask(frames[index], box))

    def mask(self, image: Image, box: Boxes) -> Mask | None:
        """The object of one box.

        Args:
            image: (H, W, 3) uint8 BGR.
            box: (4,) x1 y1 x2 y2 in pixels, inside the image and with an area.

        Returns:
            (H, W); None where all became background.
        """
        size = image.shape[:2]
        around = np.maximum(np.tile(box[2:] - box[:2], 2) * self.context, LEAST_CONTEXT)
        x1, y1, x2, y2 = pixels_of(box + around * np.array([-1, -1, 1, 1]), size)
        crop = shrink(image[y1:y2, x1:x2], self.longest)
        scale = np.tile(np.divide(crop.shape[1::-1], (x2 - x1, y2 - y1)), 2)
        labels = seeds((box - np.tile((x1, y1), 2)) * scale, crop.shape[:2], self.core)
        found = cut(crop, labels, self.iterations)
        if not found.any():
            return None
        whole = np.zeros(size, bool)
        whole[y1:y2, x1:x2] = enlarge(found, (x2 - x1, y2 - y1))
        return whole


def shrink(crop: Image, longest: int) -> Image:
    """The picture with its longest side `longest` pixels, or itself if that is no longer."""
    height, width = crop.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return np.ascontiguousarray(crop)
    target = max(round(width * scale), 1), max(round(height * scale), 1)
    return cv2.resize(crop, target, interpolation=cv2.INTER_AREA)


def enlarge(mask: Mask, size: tuple[int, int]) -> Mask:
    """The mask at width and height `size`, with smooth borders."""
    if mask.shape[::-1] == size:
        return mask
    return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR) > 127


def seeds(box: Boxes, size: tuple[int, int], core: float) -> Labels:
    """What GrabCut begins with, as its labels, (h, w).

    Args:
        box: (4,) x1 y1 x2 y2 in pixels of the crop.
        size: h and w.
        core: see `GrabCutMasks`.
    """
    labels = np.full(size, cv2.GC_BGD, np.uint8)
    x1, y1, x2, y2 = pixels_of(box, size)
    labels[y1:y2, x1:x2] = cv2.GC_PR_FGD
    labels[ellipse(box, size, core)] = cv2.GC_FGD
    if not (labels == cv2.GC_BGD).any():  # the box is the whole crop
        labels[~ellipse(box, size, 1.0)] = cv2.GC_PR_BGD
    return labels


def ellipse(box: Boxes, size: tuple[int, int], share: float) -> Mask:
    """The ellipse in the middle of a box whose diameters are `share` of its sides, (h, w)."""
    height, width = size
    x1, y1, x2, y2 = box
    across = (np.arange(width) + 0.5 - (x1 + x2) / 2) * 2 / (x2 - x1)
    down = (np.arange(height) + 0.5 - (y1 + y2) / 2) * 2 / (y2 - y1)
    return down[:, None] ** 2 + across[None] ** 2 < share**2


def cut(crop: Image, labels: Labels, iterations: int) -> Mask:
    """GrabCut's object, (h, w); `labels` are changed.

    Without background there is nothing to tell the object from, and it is all that may be object.
    """
    background = (labels == cv2.GC_BGD) | (labels == cv2.GC_PR_BGD)
    if background.any() and not background.all():
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(crop, labels, None, *models, iterations, cv2.GC_INIT_WITH_MASK)
    return (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
