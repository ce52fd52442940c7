"""Region similarity: the Jaccard index J."""

from __future__ import annotations

import numpy as np

from faim.errors import FaimError
from faim.pictures.image import Mask


def jaccard(predicted: Mask, truth: Mask) -> float:
    """Intersection over union of two masks (h, w), in [0, 1]; 1 if both are empty.

    The region similarity J of DAVIS (Perazzi et al., 2016, section 4).

    Raises:
        FaimError: the masks are of two sizes.
    """
    check_sizes(predicted, truth)
    union = np.count_nonzero(predicted | truth)
    return float(np.count_nonzero(predicted & truth) / union) if union else 1.0


def check_sizes(predicted: Mask, truth: Mask) -> None:
    """Raise FaimError unless the masks are of one size (h, w)."""
    if predicted.ndim != 2 or predicted.shape != truth.shape:
        raise FaimError(
            f"masks of shapes {predicted.shape} and {truth.shape}; expected two of one size (h, w)"
        )
