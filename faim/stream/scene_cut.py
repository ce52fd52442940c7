"""Finds hard cuts in a running video, one frame at a time.

The measure joins two of the classic ones for shot boundaries: the Bhattacharyya distance of
hue-saturation histograms, taken over horizontal bands so that what stays in place counts (histogram
and block comparison: Boreczky and Rowe, Comparison of video shot boundary detection techniques,
1996), and the correlation of the frames at the size of a stamp, which sees a change of content of
the same colours. Neither looks at absolute brightness, hence flicker of the exposure is no cut, and
neither compares pixels one to one, as the mean difference in HSV does (PySceneDetect's
ContentDetector): in fast camera motion that is as large as at a cut. Where there is no colour, the
histograms are of brightness relative to the frame's mean, over a grid of cells. The sizes, weights
and the threshold were chosen on DAVIS 2016's training sequences by `benchmarks/scene_cut.py`.

Fades and dissolves are no cuts: every frame is like the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

#: Dissimilarity at and above which two frames are of different scenes.
THRESHOLD = 0.42
#: Width and height of a thumbnail.
SIZE = (64, 36)
STAMP_SIZE = (8, 5)
#: A stamp whose numbers deviate less from their mean (root mean square, of 255) is grey all over.
FLAT_BELOW = 2.0
#: Mean brightness that frames without colour are brought to, so that exposure does not count.
MIDDLE = 110.0

Histograms: TypeAlias = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Measure:
    """The numbers of `dissimilarity`.

    Attributes:
        bins: of hue and of saturation.
        bands: horizontal ones with a histogram each; a divisor of the thumbnail's height.
        grey_below: a pixel whose largest and smallest channel are closer is grey: its hue is noise.
        coloured_share: a frame with a smaller share of other pixels is grey as a whole.
        stamp_weight: of the stamps beside the histograms.
        grey_bins: of brightness, where there is no colour to compare.
        grey_cells: rows and columns with a histogram of brightness each.
        grey_stamp_weight: of the stamps beside those.
        grey_scale: brings what is found without colour to the threshold.
    """

    bins: tuple[int, int] = (12, 6)
    bands: int = 3
    grey_below: int = 10
    coloured_share: float = 0.02
    stamp_weight: float = 0.2
    grey_bins: int = 8
    grey_cells: tuple[int, int] = (3, 3)
    grey_stamp_weight: float = 0.1
    grey_scale: float = 1.35


#: The measure that `THRESHOLD` belongs to.
MEASURE = Measure()


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What the detector remembers of a frame.

    Args:
        image: (h, w, 3) uint8 BGR of any size.

    Returns:
        (36, 64, 3) uint8 BGR, whatever the size and shape of the frame.
    """
    # Four source pixels an output pixel, then their mean: averaging all of a large frame would
    # take twenty times as long.
    sampled = cv2.resize(image, (2 * SIZE[0], 2 * SIZE[1]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.resize(sampled, SIZE, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def is_scene_cut(
    previous: NDArray[np.uint8] | None,
    current: NDArray[np.uint8],
    threshold: float = THRESHOLD,
) -> bool:
    """Whether a new scene begins with the current frame.

    Args:
        previous: `thumbnail` of the frame before; None at the start, which is no cut.
        current: `thumbnail` of this frame.
        threshold: `dissimilarity` from which on it is a cut.
    """
    return previous is not None and dissimilarity(previous, current) >= threshold


def dissimilarity(
    previous: NDArray[np.uint8], current: NDArray[np.uint8], measure: Measure = MEASURE
) -> float:
    """How unlike two thumbnails are, symmetric: 0 (the same) to 1.62, and a frame and itself 0.

    Two frames without colour (a black-and-white film, infrared, night) are compared by brightness.
    """
    first, second = _Description(previous, measure), _Description(current, measure)
    structure = _stamp_distance(first, second)
    if max(first.coloured, second.coloured) < measure.coloured_share:
        if first.flat or second.flat:
            return structure
        brightness = [_brightness(small, measure) for small in (previous, current)]
        unlike = _bhattacharyya(*brightness) + measure.grey_stamp_weight * structure
        return measure.grey_scale * unlike
    colour = _bhattacharyya(first.histograms(), second.histograms())
    return colour + measure.stamp_weight * structure


def _bhattacharyya(first: Histograms, second: Histograms) -> float:
    """Mean over the rows of the distance of two sets of histograms, in [0, 1]."""
    overlap = np.sqrt(first * second).sum(axis=1)
    return float(np.sqrt(np.maximum(1.0 - overlap, 0.0)).mean())


def _brightness(small: NDArray[np.uint8], measure: Measure) -> Histograms:
    """(cells, bins) histograms of sum 1 of the brightness, the frame's mean brought to `MIDDLE`."""
    grey = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    grey = cv2.convertScaleAbs(grey, alpha=MIDDLE / max(float(grey.mean()), 1.0))
    rows, columns = measure.grey_cells
    cells = rows * columns
    counts = cv2.calcHist(
        [grey, _cell_of_pixel(rows, columns)],
        [1, 0],
        None,
        [cells, measure.grey_bins],
        [0, cells, 0, 256],
    )
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0), np.float64)


class _Description:
    """Of a thumbnail: histograms (bands, bins) of sum 1 a band, stamp of mean 0, coloured share."""

    def __init__(self, small: NDArray[np.uint8], measure: Measure) -> None:
        self._measure = measure
        self._hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
        _, saturation, value = cv2.split(self._hsv)
        chroma = cv2.multiply(saturation, value, scale=1 / 255)  # largest minus smallest channel
        self._grey = chroma < measure.grey_below
        self.coloured = 1.0 - float(self._grey.mean())
        stamp = cv2.resize(small, STAMP_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        self.stamp = stamp - stamp.mean()
        self.deviation = float(np.sqrt(np.square(self.stamp).mean()))
        self.flat = self.deviation < FLAT_BELOW

    def histograms(self) -> Histograms:
        bands = self._measure.bands
        self._hsv[self._grey, :2] = 0
        counts = cv2.calcHist(
            [self._hsv, _cell_of_pixel(bands)],
            [3, 0, 1],
            None,
            [bands, *self._measure.bins],
            [0, bands, 0, 180, 0, 256],
        )
        return np.asarray(counts.reshape(bands, -1) / (self._grey.size / bands))


@cache
def _cell_of_pixel(rows: int, columns: int = 1) -> NDArray[np.uint8]:
    """(36, 64) number of the cell of a grid, as an image."""
    row, column = (
        np.arange(length) * parts // length
        for length, parts in zip(SIZE[::-1], (rows, columns), strict=True)
    )
    return np.ascontiguousarray(row[:, None] * columns + column, dtype=np.uint8)


def _stamp_distance(first: _Description, second: _Description) -> float:
    """1 minus the correlation, in [0, 2]; flat stamps are like each other and unlike all others."""
    if first.flat or second.flat:
        return 0.0 if first.flat and second.flat else 1.0
    # Rounding must not make a frame a little unlike itself, or more than opposite to another.
    product = float((first.stamp * second.stamp).mean())
    return 1.0 - min(max(product / (first.deviation * second.deviation), -1.0), 1.0)
