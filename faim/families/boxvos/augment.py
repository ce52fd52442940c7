"""What is drawn for a training clip besides its frames, the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faim.errors import FaimError
from faim.families.boxvos.crop import Box
from faim.pictures.image import Image


@dataclass(frozen=True)
class ClipAugment:
    """How clips vary. The defaults are the paper's: a crop of five times the box, and flips.

    Attributes:
        crop: side of the crop over that of the box, from and to.
        flip: chance of a mirrored clip.
        hue: largest change of the hue, as a share of the circle.
        saturation: largest change of the logarithm of the saturation.
        brightness: the same of the brightness.
        box_jitter: standard deviation of each edge of each box, as a share of the box's side; for
            boxes that are not as tight as the masks'.

    Raises:
        FaimError: a value out of range.
    """

    crop: tuple[float, float] = (5.0, 5.0)
    flip: float = 0.5
    hue: float = 0.0
    saturation: float = 0.0
    brightness: float = 0.0
    box_jitter: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        low, high = self.crop
        if not 1 <= low <= high:
            raise FaimError(f"crop is {self.crop}; expected two rising numbers from 1 on")
        if not 0 <= self.flip <= 1:
            raise FaimError(f"flip is {self.flip}; expected a number from 0 to 1")
        for name in ("hue", "saturation", "brightness", "box_jitter"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise FaimError(f"{name} is {value}; expected a number from 0 to below 1")

    def draw(self, rng: np.random.Generator) -> ClipDraw:
        """The choice for one clip.

        Every number is drawn whatever the options, so that switching one leaves the others'.
        """
        low, high = self.crop
        factor = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        flip = bool(rng.random() < self.flip)
        hue, saturation, brightness = rng.uniform(-1, 1, 3) * (
            self.hue,
            self.saturation,
            self.brightness,
        )
        gains = (float(np.exp(saturation)), float(np.exp(brightness)))
        return ClipDraw(factor, flip, float(hue), gains, self.box_jitter, rng)


@dataclass(frozen=True)
class ClipDraw:
    """What was drawn for one clip; `rng` gives the jitter of its boxes, one frame after another.

    Attributes:
        factor: side of the crop over that of the box.
        flip: whether the clip is mirrored.
        hue: change of the hue, as a share of the circle.
        gains: factors on saturation and brightness.
        box_jitter: see `ClipAugment`.
        rng: source of the boxes' jitter.
    """

    factor: float
    flip: bool
    hue: float
    gains: tuple[float, float]
    box_jitter: float
    rng: np.random.Generator

    def colour(self, image: Image) -> Image:
        """An image (h, w, 3) uint8 BGR in other colours."""
        if self.hue == 0 and self.gains == (1.0, 1.0):
            return image
        hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
        levels = np.arange(256)
        tables = np.stack(
            [
                (levels + round(self.hue * 256)) % 256,
                *(np.clip(np.rint(levels * gain), 0, 255) for gain in self.gains),
            ],
            axis=-1,
        )
        changed = cv2.LUT(hsv, tables.astype(np.uint8)[None])
        return cv2.cvtColor(changed, cv2.COLOR_HSV2BGR_FULL)

    def move(self, box: Box, image_size: tuple[int, ...]) -> Box:
        """A box whose edges are moved at random, inside an image of this height and width."""
        x1, y1, x2, y2 = box
        offsets = self.rng.normal(0, 1, 4) * self.box_jitter
        if self.box_jitter == 0:
            return box
        sides = np.array([x2 - x1, y2 - y1] * 2)
        limits = np.array([image_size[1], image_size[0]] * 2)
        # An edge stays on its side of the middle.
        moved = np.array(box) + np.clip(offsets, -0.4, 0.4) * sides
        return tuple(np.clip(moved, 0, limits).tolist())
