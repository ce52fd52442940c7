"""The classes of SynthVID: fine textures of two tones, and nothing else.

A class is a pattern and the direction in colour space in which its tones differ. A small network
trained for minutes tells the directions first and the patterns later.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
Texture = Callable[[FloatArray, FloatArray, np.random.Generator], npt.NDArray[np.bool_]]


def _centred(x: FloatArray, spacing: float) -> FloatArray:
    """Signed distance to the nearest multiple of `spacing`."""
    return np.asarray(x - spacing * np.round(x / spacing), np.float32)


def _stripes(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    return np.asarray(u % 1.0 < 0.5, bool)


def _checks(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    return (np.floor(u / 0.6) + np.floor(v / 0.6)) % 2 < 1


def _dots(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    # A hexagonal lattice is two rectangular ones, shifted by half a cell.
    side, row = 1.1, 1.1 * 3**0.5
    first = np.hypot(_centred(u, side), _centred(v, row))
    second = np.hypot(_centred(u - side / 2, side), _centred(v - row / 2, row))
    return np.minimum(first, second) < 0.38


def _rings(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    radius = np.hypot(_centred(u, 1.5), _centred(v, 1.5))
    return np.abs(radius - 0.47) < 0.17


def _zigzag(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    return (v + 0.9 * np.abs((u / 1.8) % 1.0 * 2 - 1)) % 1.0 < 0.5


def _crosses(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    du, dv = np.abs(_centred(u, 1.3)), np.abs(_centred(v, 1.3))
    return ((du < 0.17) & (dv < 0.48)) | ((dv < 0.17) & (du < 0.48))


def _bricks(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    height, length, mortar = 0.8, 1.8, 0.24
    shift = np.floor(v / height) % 2 * (length / 2)
    return (v % height > mortar) & ((u + shift) % length > mortar)


def _maze(u: FloatArray, v: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    # Plane waves of one wavelength and random directions sum to an isotropic labyrinth.
    angles = (np.arange(10) + rng.uniform(0, 1, 10)) * (np.pi / 10)
    phases = rng.uniform(0, 2 * np.pi, 10)
    frequencies = rng.uniform(0.85, 1.15, 10) * 2 * np.pi
    field = np.zeros_like(u)
    for angle, phase, frequency in zip(angles, phases, frequencies, strict=True):
        kx, ky = np.float32(frequency * np.cos(angle)), np.float32(frequency * np.sin(angle))
        field += np.cos(u * kx + v * ky + np.float32(phase))
    return field > 0


_TEXTURES: dict[str, Texture] = {
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "rings": _rings,
    "zigzag": _zigzag,
    "crosses": _crosses,
    "bricks": _bricks,
    "maze": _maze,
}
#: The textures' names; a data set of C classes has the first C of them.
CLASS_NAMES: tuple[str, ...] = tuple(_TEXTURES)


#: Direction in BGR in which the two tones of a class lie on either side of the object's colour.
SWINGS: dict[str, npt.NDArray[np.float32]] = {
    name: np.array(direction, np.float32)
    for name, direction in {
        "stripes": (1, 1, 1),
        "checks": (-1, -1, 1),
        "dots": (-1, 1, -1),
        "rings": (1, -1, -1),
        "zigzag": (0, 1, 1),
        "crosses": (1, 0, 1),
        "bricks": (1, 1, 0),
        "maze": (0, 0, 1),
    }.items()
}


def draw_texture(
    name: str, side: int, period: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """The two-tone pattern of a class, at a random phase and up to 30 degrees from upright.

    Args:
        name: one of `CLASS_NAMES`.
        side: height and width of the pattern, pixels.
        period: the pattern's repeat, pixels.
        rng: draws orientation and phase.

    Returns:
        (side, side) bool, which of the two tones each pixel has.
    """
    angle = rng.uniform(-np.pi / 6, np.pi / 6)
    cos, sin = np.float32(np.cos(angle) / period), np.float32(np.sin(angle) / period)
    offset = rng.uniform(0, 10, 2).astype(np.float32)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    u, v = x * cos - y * sin + offset[0], x * sin + y * cos + offset[1]
    return _TEXTURES[name](u, v, rng)
