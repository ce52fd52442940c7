"""Contour accuracy: the boundary measure F."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from faim.data.jaccard import check_sizes
from faim.pictures.image import Mask

#: How far apart boundaries may lie, as a share of the image's diagonal (Perazzi et al., 2016).
TOLERANCE = 0.008


def boundary_f(predicted: Mask, truth: Mask, tolerance: float = TOLERANCE) -> float:
    """The F measure of precision and recall of the boundary's pixels, in [0, 1].

    The contour accuracy F of DAVIS (Perazzi et al., 2016, section 4), in its approximation by
    dilation: a pixel is right where the other boundary is at most `tolerance` away. The image's
    own edge is no boundary. Masks without boundary (empty, or the whole image) score 1 where they
    are equal and 0 where not; DAVIS gives 1 to the empty against the full one too.

    Args:
        predicted: (h, w).
        truth: (h, w).
        tolerance: share of the image's diagonal, rounded up to whole pixels.

    Raises:
        FaimError: the masks are of two sizes.
    """
    check_sizes(predicted, truth)
    part = _around(predicted | truth)
    ours, theirs = boundary(predicted[part]), boundary(truth[part])
    if not (ours.any() and theirs.any()):
        return float(np.array_equal(predicted, truth))
    reach = math.ceil(tolerance * math.hypot(*truth.shape))
    precision = _share_near(ours, theirs, reach)
    recall = _share_near(theirs, ours, reach)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: Mask) -> Mask:
    """(h, w): the pixels that differ from the one below, the one to the right, or the one between.

    Lines are one pixel wide and half a pixel up and left of the edge between two pixels. In the
    last row only the right neighbour counts, in the last column only the lower one.
    """
    found = np.zeros(mask.shape, bool)
    found[:, :-1] |= mask[:, :-1] != mask[:, 1:]
    found[:-1] |= mask[:-1] != mask[1:]
    found[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return found


def _around(mask: Mask) -> tuple[slice, slice]:
    """The part of the image that holds the mask and its boundary, nothing without a pixel."""
    parts = []
    for axis in (1, 0):
        places = np.flatnonzero(mask.any(axis=axis))
        first, last = (places[0], places[-1]) if len(places) else (0, -1)
        parts.append(slice(max(first - 1, 0), last + 2))
    return parts[0], parts[1]


def _share_near(points: Mask, others: Mask, reach: int) -> float:
    """The share of `points` that are at most `reach` pixels from one of `others`."""
    near = cv2.dilate(others.astype(np.uint8), _disk(reach))
    return float(np.count_nonzero(near[points]) / np.count_nonzero(points))


def _disk(radius: int) -> npt.NDArray[np.uint8]:
    """(2r + 1, 2r + 1): 1 where the centre is at most `radius` away."""
    line = np.arange(-radius, radius + 1) ** 2
    return (line[:, None] + line <= radius**2).astype(np.uint8)
