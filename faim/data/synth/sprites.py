"""Things in front of the background: objects of a class, and occluders of none."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from faim.data.synth.background import muted_colour, value_noise
from faim.data.synth.shapes import OVERSAMPLE, SHAPES, draw_silhouette
from faim.data.synth.textures import SWINGS, draw_texture

BoolMask = npt.NDArray[np.bool_]
Vector = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]
#: Sprite pixels for a frame pixel at scale 1.
SUPERSAMPLE = 2
#: Repeat of the class textures, 256ths of the frame's side.
PERIOD = (10.0, 13.0)
#: Half the distance between the two tones of a texture, in grey levels along its `SWINGS`; their
#: mean is the object's own colour.
CONTRAST = np.float32(75)


@dataclass(frozen=True)
class Sprite:
    """A textured cut-out, drawn once and warped into every frame.

    Attributes:
        colour: (side, side, 3) uint8 BGR, defined outside the silhouette too.
        alpha: (side, side) uint8 coverage.
    """

    colour: npt.NDArray[np.uint8]
    alpha: npt.NDArray[np.uint8]

    @property
    def extent(self) -> float:
        """Side of the sprite in frame pixels at scale 1."""
        return self.alpha.shape[0] / SUPERSAMPLE


def palettes(count: int, rng: np.random.Generator) -> list[npt.NDArray[np.float32]]:
    """`count` colours of distinct hues, (3,) BGR in [0, 255], of medium brightness."""
    first, colours = rng.uniform(0, 360), []
    for i in range(count):
        hue = (first + 360 * (i + rng.uniform(-0.25, 0.25)) / count) % 360
        hsv = np.array([[[hue, rng.uniform(0.45, 0.7), rng.uniform(0.6, 0.75)]]], np.float32)
        colours.append(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0] * 255, np.float32))
    return colours


def draw_object(
    class_name: str,
    extent: float,
    unit: float,
    palette: npt.NDArray[np.float32],
    rng: np.random.Generator,
    grain: float = 1.0,
) -> Sprite:
    """An object of a class: a random silhouette filled with the class's texture.

    The texture swings around the object's own colour, so its mean, which is all that blur leaves,
    says nothing about the class.

    Args:
        class_name: one of `CLASS_NAMES`.
        extent: longer side of the silhouette's box, frame pixels.
        unit: pixels of one 256th of the frame's side.
        palette: (3,) BGR in [0, 255], the object's own colour.
        rng: source of the silhouette and the texture's placement.
        grain: factor on the texture's repeat.
    """
    side = int(np.ceil(extent / 0.88)) * SUPERSAMPLE
    alpha = draw_silhouette(tuple(SHAPES)[int(rng.integers(len(SHAPES)))], side, rng)
    period = rng.uniform(*PERIOD) * grain * unit * SUPERSAMPLE * OVERSAMPLE
    tone = draw_texture(class_name, side * OVERSAMPLE, period, rng)
    mix = cv2.resize(tone.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    mix -= mix[alpha > 127].mean()
    colour = palette + 2 * CONTRAST * mix[..., None] * SWINGS[class_name]
    # A darker rim gives the cut-out some volume and parts it from the background.
    inside = cv2.GaussianBlur(alpha, (0, 0), 0.03 * side).astype(np.float32) / 255
    colour = colour * np.clip(0.35 + 0.75 * inside, 0, 1.0)[..., None]
    return Sprite(np.clip(colour, 0, 255).astype(np.uint8), alpha)


def draw_occluder(
    extent: float, unit: float, coverage: float, foliage: bool, rng: np.random.Generator
) -> Sprite:
    """A foreground cut-out with a grain that is no class.

    Args:
        extent: longer side of its box, frame pixels.
        unit: pixels of one 256th of the frame's side.
        coverage: share of its inside that is opaque; only foliage has gaps.
        foliage: leaves with gaps in between, or one solid piece.
        rng: source of everything in it.
    """
    side = int(np.ceil(extent / 0.88)) * SUPERSAMPLE
    alpha = draw_silhouette("blob" if not foliage else "ellipse", side, rng)
    pixel = unit * SUPERSAMPLE
    if foliage:
        leaves = value_noise(side, side, (7 * pixel, 7 * pixel), rng)
        threshold = np.quantile(leaves, coverage)
        # Thinning out from 0.6 of the radius on frays the border.
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        leaves = leaves + 6 * np.maximum(np.hypot(x, y) - 0.6, 0).astype(np.float32)
        alpha = np.where(leaves < threshold, alpha, 0).astype(np.uint8)
        alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), 0.3 * pixel), np.uint8)
    grain = value_noise(side, side, (12 * pixel, 12 * pixel), rng)
    grain += value_noise(side, side, (2.5 * pixel, 2.5 * pixel), rng)
    colour = muted_colour(rng, (0.15, 0.4), (0.2, 0.5)) * (1 + 0.16 * grain)[..., None]
    return Sprite(np.clip(colour, 0, 255).astype(np.uint8), alpha)


def paint(
    frame: npt.NDArray[np.float32],
    sprite: Sprite,
    matrix: Matrix,
    centre: Vector,
    squash: tuple[float, float] = (1.0, 1.0),
    blur: npt.NDArray[np.float32] | None = None,
) -> tuple[BoolMask, int]:
    """Blend a warped sprite into a frame, in place.

    Args:
        frame: (H, H, 3) float32 BGR in [0, 255].
        sprite: the cut-out.
        matrix: (2, 2) map from the sprite at scale 1 to frame pixels, about the centre.
        centre: (2,) x and y of the sprite's centre, frame pixels.
        squash: length that `matrix` leaves of the sprite's two axes.
        blur: normalised kernel of odd sides for the streak of a moving object.

    Returns:
        The (H, H) bool mask of the sprite before blur, and its area with what is off the frame.
    """
    colour, alpha = sprite.colour, sprite.alpha
    if min(squash) < 0.8:
        # Average what falls into one pixel, as the plain warp would skip sprite pixels.
        kernel = (max(1, round(1 / squash[0])), max(1, round(1 / squash[1])))
        colour, alpha = cv2.blur(colour, kernel), cv2.blur(alpha, kernel)
    matrix = matrix / SUPERSAMPLE
    side = alpha.shape[0]
    pad = 2 if blur is None else blur.shape[0] // 2 + 2
    reach = np.abs(matrix).sum(axis=1) * side / 2 + pad
    low = np.floor(centre - reach).astype(int)
    width, height = (np.ceil(centre + reach).astype(int) - low + 1).tolist()
    shift = centre - low - matrix @ np.full(2, (side - 1) / 2)
    warp = np.column_stack([matrix, shift])
    colour = cv2.warpAffine(colour, warp, (width, height), borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(alpha, warp, (width, height))
    sharp = alpha > 127
    weight = alpha.astype(np.float32)[..., None] * np.float32(1 / 255)
    layer = np.concatenate([colour * weight, weight], axis=2)
    if blur is not None:
        layer = cv2.filter2D(layer, -1, blur, borderType=cv2.BORDER_CONSTANT)
    size = frame.shape[0]
    mask = np.zeros((size, size), bool)
    (left, top), (right, bottom) = (
        np.maximum(low, 0),
        np.minimum(low + np.array([width, height]), size),
    )
    if left < right and top < bottom:
        window = np.s_[top - low[1] : bottom - low[1], left - low[0] : right - low[0]]
        target = frame[top:bottom, left:right]
        target *= 1 - layer[window][..., 3:]
        target += layer[window][..., :3]
        mask[top:bottom, left:right] = sharp[window]
    return mask, int(np.count_nonzero(sharp))
