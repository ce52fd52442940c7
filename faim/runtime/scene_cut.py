"""Finds hard cuts in a running video, one frame at a time.

The measure joins two of the classic ones for shot boundaries: the Bhattacharyya distance of
hue-saturation histograms, taken over horizontal bands so that what stays in place counts (histogram
and block comparison: Boreczky and Rowe, Comparison of video shot boundary detection techniques,
1996), and the correlation of the frames at the size of a stamp, which sees a change of content of
the same colours. Neither looks at absolute brightness, hence flicker of the exposure is no cut, and
neither compares pixels one to one, as the mean difference in HSV does (PySceneDetect's
ContentDetector): in fast camera motion that is as large as at a cut. The sizes, the weight and the
threshold were chosen on DAVIS 2016's training sequences by `benchmarks/scene_cut.py`.

Fades and dissolves are no cuts: every frame is like the one before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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


@dataclass(frozen=True)
class Measure:
    """The numbers of `dissimilarity`.

    Attributes:
        bins: of hue and of saturation.
        bands: horizontal ones with a histogram each; a divisor of the thumbnail's height.
        grey_below: a pixel whose largest and smallest channel are closer is grey: its hue is noise.
        coloured_share: a frame with a smaller share of other pixels is grey as a whole.
        stamp_weight: of the stamps beside the histograms.
        grey_stamp_weight: of the stamps where there is no colour to compare.
    """

    bins: tuple[int, int] = (12, 6)
    bands: int = 3
    grey_below: int = 10
    coloured_share: float = 0.02
    stamp_weight: float = 0.2
    grey_stamp_weight: float = 0.7


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
    """How unlike two thumbnails are, symmetric: 0 (the same) to 1.4, and a frame and itself 0.

    Two frames without colour (a black-and-white film, infrared, night) are compared by their stamps
    alone.
    """
    first, second = _Description(previous, measure), _Description(current, measure)
    structure = _stamp_distance(first.stamp, second.stamp)
    if max(first.coloured, second.coloured) < measure.coloured_share:
        return measure.grey_stamp_weight * structure
    overlap = np.sqrt(first.histograms * second.histograms).sum(axis=1)
    colour = np.sqrt(np.maximum(1.0 - overlap, 0.0)).mean()
    return float(colour) + measure.stamp_weight * structure


class _Description:
    """Of a thumbnail: histograms (bands, bins) of sum 1 a band, stamp of mean 0, coloured share."""

    def __init__(self, small: NDArray[np.uint8], measure: Measure) -> None:
        """See the class."""
        hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
        _, saturation, value = cv2.split(hsv)
        chroma = cv2.multiply(saturation, value, scale=1 / 255)  # largest minus smallest channel
        grey = chroma < measure.grey_below
        hsv[grey, :2] = 0
        self.coloured = 1.0 - float(grey.mean())
        counts = cv2.calcHist(
            [hsv, _band_of_pixel(measure.bands)],
            [3, 0, 1],
            None,
            [measure.bands, *measure.bins],
            [0, measure.bands, 0, 180, 0, 256],
        )
        self.histograms = counts.reshape(measure.bands, -1) / (grey.size / measure.bands)
        stamp = cv2.resize(small, STAMP_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
        self.stamp = stamp - stamp.mean()


@cache
def _band_of_pixel(bands: int) -> NDArray[np.uint8]:
    """(36, 64) number of the band, as an image."""
    rows = np.repeat(np.arange(bands, dtype=np.uint8), SIZE[1] // bands)
    return np.ascontiguousarray(np.broadcast_to(rows[:, None], SIZE[::-1]))


def _stamp_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """1 minus the correlation, in [0, 2]; flat stamps are like each other and unlike all others."""
    deviations = [float(np.sqrt(np.square(stamp).mean())) for stamp in (first, second)]
    flat = [deviation < FLAT_BELOW for deviation in deviations]
    if any(flat):
        return 0.0 if all(flat) else 1.0
    # Rounding must not make a frame a little unlike itself, or more than opposite to another.
    correlation = float((first * second).mean()) / (deviations[0] * deviations[1])
    return 1.0 - min(max(correlation, -1.0), 1.0)
