"""Cluttered, textured backgrounds whose textures are no class."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from faim.data.synth.shapes import SHAPES, draw_silhouette

FloatImage = npt.NDArray[np.float32]


def value_noise(
    height: int, width: int, cells: tuple[float, float], rng: np.random.Generator
) -> FloatImage:
    """Smooth noise of about unit variance.

    Args:
        height: rows of the result.
        width: columns of the result.
        cells: height and width of one noise cell, pixels; unequal ones give streaks.
        rng: source of the noise.

    Returns:
        (height, width) float32.
    """
    rows, columns = int(height / cells[0]) + 3, int(width / cells[1]) + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    full = cv2.resize(
        coarse,
        (max(width, int(columns * cells[1])), max(height, int(rows * cells[0]))),
        interpolation=cv2.INTER_CUBIC,
    )
    return np.asarray(full[:height, :width], np.float32)


def muted_colour(
    rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]
) -> FloatImage:
    """A random BGR colour, (3,) float32 in [0, 255], of a saturation and value in the ranges."""
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(*saturation), rng.uniform(*value)]]])
    colour = cv2.cvtColor(hsv.astype(np.float32), cv2.COLOR_HSV2BGR)
    return np.asarray(colour[0, 0] * 255, np.float32)


def _ground(side: int, unit: float, rng: np.random.Generator) -> FloatImage:
    """A colour gradient under noise of four scales."""
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    mix = ramp[:, None] * np.float32(rng.random()) + ramp[None] * np.float32(rng.random())
    first, second = (muted_colour(rng, (0.05, 0.3), (0.3, 0.65)) for _ in range(2))
    image = first + (second - first) * (mix / 2)[..., None]
    for cell, strength in ((64, 14), (24, 10), (9, 8), (3, 7)):
        image += strength * value_noise(side, side, (cell * unit, cell * unit), rng)[..., None]
    return np.asarray(image, np.float32)


def _paint_patch(image: FloatImage, unit: float, rng: np.random.Generator) -> None:
    """Put one shape with a grain, streaks or soft shading on the image, in place."""
    side = int(rng.uniform(30, 110) * unit)
    top, left = rng.integers(0, image.shape[0] - side, 2)
    name = tuple(SHAPES)[int(rng.integers(len(SHAPES)))]
    alpha = draw_silhouette(name, side, rng).astype(np.float32) * np.float32(
        rng.uniform(0.5, 1.0) / 255
    )
    cells = ((2.5, 2.5), (3.0, 40.0), (40.0, 3.0), (30.0, 30.0))[int(rng.integers(4))]
    grain = value_noise(side, side, (cells[0] * unit, cells[1] * unit), rng)
    colour = muted_colour(rng, (0.05, 0.38), (0.25, 0.75))
    patch = colour * (1 + np.float32(rng.uniform(0.06, 0.2)) * grain)[..., None]
    region = image[top : top + side, left : left + side]
    region += alpha[..., None] * (patch - region)


def _paint_lines(image: FloatImage, unit: float, count: int, rng: np.random.Generator) -> None:
    """Draw straight strokes of random width over the whole image, in place."""
    side = image.shape[0]
    for _ in range(count):
        ends = rng.integers(0, side, 4)
        width = max(1, round(rng.uniform(0.8, 4) * unit))
        colour = muted_colour(rng, (0.0, 0.25), (0.15, 0.75)).tolist()
        cv2.line(image, ends[:2].tolist(), ends[2:].tolist(), colour, width, cv2.LINE_AA)


def draw_background(side: int, unit: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """The ground a camera pans over.

    Args:
        side: height and width, pixels.
        unit: pixels of one 256th of the frame's side.
        rng: source of everything in it.

    Returns:
        (side, side, 3) uint8 BGR: gradient and noise of four scales, patches and strokes. It is
        less saturated than the objects are, so that these can be found when blurred.
    """
    image = _ground(side, unit, rng)
    for _ in range(int(rng.integers(14, 26))):
        _paint_patch(image, unit, rng)
    _paint_lines(image, unit, int(rng.integers(4, 12)), rng)
    image += 4 * rng.standard_normal((side, side, 1), dtype=np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)
