"""Colours that are easy to tell apart, the first ones most of all."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import supervision as sv

#: A light blue, which is on few things that cameras see.
_FIRST = (0, 190, 255)
#: Lightness, chroma and hue (degrees) of OKLCH to choose from: nothing dark, pale or grey.
_LIGHTNESS, _CHROMA = np.arange(0.45, 0.93, 0.04), np.arange(0.09, 0.32, 0.02)
_HUES = np.arange(0, 360, 4)
# Björn Ottosson, "A perceptual color space for image processing" (2020): OKLab to linear sRGB.
_TO_LMS = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
_TO_RGB = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)
#: Of ITU-R BT.709.
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])


@cache
def distinct_colors(count: int) -> tuple[sv.Color, ...]:
    """The same colours every time; each is as far as can be from all that come before it.

    Among the first 32 any two are at least 0.11 apart in OKLab, among 80 at least 0.07. (Steps of
    the golden ratio around the circle of hues would bring numbers 8, 13 or 21 apart together.)

    Example:
        >>> [color.as_hex() for color in distinct_colors(2)]
        ['#02c5ff', '#9e1901']
    """
    lab, rgb = _choice()
    chosen = [int(np.abs(rgb.astype(int) - _FIRST).sum(axis=1).argmin())]
    nearest = np.full(len(lab), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return tuple(sv.Color(*(int(part) for part in rgb[index])) for index in chosen)


def readable_on(ground: sv.Color) -> sv.Color:
    """Black or white, whichever has more contrast by WCAG 2; it is at least 4.5.

    Example:
        >>> readable_on(sv.Color.YELLOW) == sv.Color.BLACK
        True
    """
    parts = np.array(ground.as_rgb()) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ _LUMINANCE)
    return sv.Color.BLACK if (luminance + 0.05) ** 2 > 1.05 * 0.05 else sv.Color.WHITE


def _choice() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
    """The colours to choose from that a screen can show: OKLab (n, 3), and sRGB (n, 3)."""
    grid = np.meshgrid(_LIGHTNESS, _CHROMA, np.deg2rad(_HUES), indexing="ij")
    lightness, chroma, hue = (axis.ravel() for axis in grid)
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=1)
    linear = (lab @ _TO_LMS.T) ** 3 @ _TO_RGB.T
    shown = ((linear >= 0) & (linear <= 1)).all(axis=1)
    lab, linear = lab[shown], linear[shown]
    curve = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return lab, np.round(curve * 255).astype(np.uint8)
