"""The part of a frame that the network sees, and the way there and back (section 3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from faim.errors import FaimError
from faim.pictures.image import Image, Mask

Box = tuple[float, float, float, float]

#: Grey of what lies outside the image.
PAD_VALUE = 114
#: A crop is at least so many times as wide and as high as its box, whatever their shapes.
CONTEXT = 1.25


@dataclass(frozen=True)
class Crop:
    """A rectangle of whole pixels of an image, resized to the network's input.

    It has the input's shape, to the pixel. Where it is larger than the image in one direction the
    image lies in its middle.

    Attributes:
        x: left edge in pixels of the image; negative where the crop is wider than the image.
        y: top edge, the same.
        width: in pixels of the image.
        height: the same.
        image_size: height and width of the image.
        size: height and width of the network's input.
    """

    x: int
    y: int
    width: int
    height: int
    image_size: tuple[int, int]
    size: tuple[int, int]

    @classmethod
    def around(
        cls, box: Box, image_size: tuple[int, int], size: tuple[int, int], factor: float
    ) -> Self:
        """The crop for a box.

        Its area is `factor` squared times the box's. It contains the box with some context, is no
        larger than it takes to contain the whole image, and is moved inside the image where it
        fits.

        Args:
            box: x1, y1, x2, y2 in pixels of the image.
            image_size: height and width of the image.
            size: height and width of the network's input.
            factor: side of the crop over that of the box.

        Raises:
            FaimError: a box without an area, or not finite.
        """
        x1, y1, x2, y2 = box
        if not (all(map(math.isfinite, box)) and x2 > x1 and y2 > y1):
            raise FaimError(f"box {tuple(box)}: expected finite x1 y1 x2 y2 with an area")
        rows, columns = image_size
        aspect = size[1] / size[0]
        height = factor * math.sqrt((x2 - x1) * (y2 - y1) / aspect)
        # And a pixel more, because it starts at a whole one.
        height = max(height, CONTEXT * (y2 - y1) + 1, (CONTEXT * (x2 - x1) + 1) / aspect)
        height = min(height, max(rows, columns / aspect))
        # One pixel at least; rounded up, so that what has to be inside is.
        high, wide = max(math.ceil(height), 1), max(math.ceil(height * aspect), 1)
        left = _place((x1 + x2) / 2, wide, columns)
        top = _place((y1 + y2) / 2, high, rows)
        return cls(left, top, wide, high, image_size, size)

    @property
    def scale(self) -> tuple[float, float]:
        """Network pixels to an image pixel, along x and y."""
        return self.size[1] / self.width, self.size[0] / self.height

    def box(self, box: Box) -> Box:
        """A box of the image in pixels of the network's input."""
        (x_scale, y_scale), (x1, y1, x2, y2) = self.scale, box
        return (
            (x1 - self.x) * x_scale,
            (y1 - self.y) * y_scale,
            (x2 - self.x) * x_scale,
            (y2 - self.y) * y_scale,
        )

    def image(self, image: Image) -> Image:
        """The crop of an image (H, W, 3) uint8, resized; grey outside the image."""
        padded = self._cut(image, (PAD_VALUE,) * 3)
        return cv2.resize(padded, self.size[::-1], interpolation=self._interpolation)

    def mask(self, mask: Mask) -> Mask:
        """The crop of a mask (H, W), resized: pixels of which it covers half or more."""
        padded = self._cut(np.ascontiguousarray(mask, np.uint8), 0)
        if self._interpolation == cv2.INTER_AREA:
            share = cv2.resize(
                padded.astype(np.float32), self.size[::-1], interpolation=cv2.INTER_AREA
            )
            return share >= 0.5
        return cv2.resize(padded, self.size[::-1], interpolation=cv2.INTER_NEAREST_EXACT) > 0

    def full_mask(self, logits: npt.NDArray[np.float32]) -> Mask:
        """The mask of the whole image (H, W): where logits (h, w) of the input are above 0."""
        full = np.zeros(self.image_size, bool)
        rows, columns, inner_rows, inner_columns = self._overlap
        resized = cv2.resize(
            np.ascontiguousarray(logits, np.float32),
            (self.width, self.height),
            interpolation=cv2.INTER_LINEAR,
        )
        full[rows, columns] = resized[inner_rows, inner_columns] > 0
        return full

    @property
    def _interpolation(self) -> int:
        return cv2.INTER_AREA if min(self.scale) < 1 else cv2.INTER_LINEAR

    @property
    def _overlap(self) -> tuple[slice, slice, slice, slice]:
        """Rows and columns that image and crop share: of the image, then of the crop."""
        rows = slice(max(self.y, 0), min(self.y + self.height, self.image_size[0]))
        columns = slice(max(self.x, 0), min(self.x + self.width, self.image_size[1]))
        inner_rows = slice(rows.start - self.y, rows.stop - self.y)
        inner_columns = slice(columns.start - self.x, columns.stop - self.x)
        return rows, columns, inner_rows, inner_columns

    def _cut(self, image: npt.NDArray[Any], value: tuple[int, ...] | int) -> npt.NDArray[Any]:
        rows, columns, inner_rows, inner_columns = self._overlap
        return cv2.copyMakeBorder(
            image[rows, columns],
            inner_rows.start,
            self.height - inner_rows.stop,
            inner_columns.start,
            self.width - inner_columns.stop,
            cv2.BORDER_CONSTANT,
            value=value,
        )


def _place(centre: float, length: int, limit: int) -> int:
    """Where a stretch around `centre` starts: inside 0 to `limit`, or evenly beyond both ends."""
    if length >= limit:
        return -((length - limit) // 2)
    return min(max(round(centre - length / 2), 0), limit - length)


def to_tensor(image: Image) -> Tensor:
    """(3, h, w) float RGB in [0, 1] of a BGR image (h, w, 3) uint8."""
    rgb = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
    return torch.from_numpy(rgb).float() / 255
