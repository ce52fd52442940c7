"""The silhouettes of SynthVID; most are not convex, none says anything about the class."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

#: Pixels drawn for each sprite pixel and axis, averaged away for soft edges.
OVERSAMPLE = 2
_Points = npt.NDArray[np.float64]


def _polar(radius: npt.NDArray[np.float64], angle: npt.NDArray[np.float64]) -> _Points:
    return np.asarray(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1))


def _angles(count: int) -> npt.NDArray[np.float64]:
    return np.arange(count, dtype=np.float64) * (2 * np.pi / count)


def _blob(rng: np.random.Generator) -> _Points:
    angle = _angles(120)
    radius = np.ones_like(angle)
    for wave in (2, 3, 4, 5):
        radius += rng.uniform(0.06, 0.5 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    return _polar(np.maximum(radius, 0.45), angle)


def _star(rng: np.random.Generator) -> _Points:
    points = int(rng.integers(4, 8))
    radius = np.where(np.arange(2 * points) % 2, rng.uniform(0.52, 0.64), 1.0)
    return _polar(radius, _angles(2 * points))


def _crescent(rng: np.random.Generator) -> _Points:
    half = rng.uniform(1.9, 2.4)
    outer = np.linspace(-half, half, 60)
    inner = np.linspace(half, -half, 60)
    return np.concatenate(
        [_polar(np.ones(60), outer), _polar(np.full(60, rng.uniform(0.3, 0.42)), inner)]
    )


def _ell(rng: np.random.Generator) -> _Points:
    a, b = rng.uniform(0.75, 1.0, 2)
    return np.array([(0, 0), (2, 0), (2, a), (b, a), (b, 2), (0, 2)])


def _tee(rng: np.random.Generator) -> _Points:
    a, h = rng.uniform(0.65, 0.85), rng.uniform(0.36, 0.48)
    return np.array([(-1, 0), (1, 0), (1, a), (h, a), (h, 2), (-h, 2), (-h, a), (-1, a)])


def _cross(rng: np.random.Generator) -> _Points:
    a, b = rng.uniform(0.36, 0.5, 2)
    corner = [(a, 1), (a, b), (1, b), (1, -b), (a, -b), (a, -1)]
    return np.array(corner + [(-x, -y) for x, y in corner])


def _ellipse(rng: np.random.Generator) -> _Points:
    return _polar(np.ones(80), _angles(80)) * np.array([1.0, rng.uniform(0.55, 1.0)])


def _polygon(rng: np.random.Generator) -> _Points:
    count = int(rng.integers(3, 7))
    return _polar(rng.uniform(0.8, 1.0, count), _angles(count))


SHAPES: dict[str, Callable[[np.random.Generator], _Points]] = {
    "blob": _blob,
    "star": _star,
    "crescent": _crescent,
    "ell": _ell,
    "tee": _tee,
    "cross": _cross,
    "ellipse": _ellipse,
    "polygon": _polygon,
}


def draw_silhouette(name: str, side: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A filled silhouette with rounded corners and soft edges.

    Args:
        name: one of `SHAPES`.
        side: height and width of the sprite, pixels; the longer side of the silhouette's box
            takes 0.88 of it.
        rng: draws the proportions and the orientation.

    Returns:
        (side, side) uint8 coverage, 0 outside and 255 inside.
    """
    points = SHAPES[name](rng)
    angle = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(angle), np.sin(angle)
    points = points @ np.array([[cos, sin], [-sin, cos]])
    low, high = points.min(axis=0), points.max(axis=0)
    fine = side * OVERSAMPLE
    points = (points - (low + high) / 2) * (0.88 * fine / (high - low).max()) + fine / 2
    mask = np.zeros((fine, fine), np.uint8)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 255)
    # Blur and threshold round the corners, the reduction softens the edge.
    rounded = cv2.GaussianBlur(mask, (0, 0), 0.025 * fine)
    hard = np.where(rounded > 127, 255, 0).astype(np.uint8)
    return np.asarray(cv2.resize(hard, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
