"""Times in numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def median_ms(seconds: Sequence[float]) -> float:
    """Median in milliseconds of the times that were taken, NaN of none; NaN was not taken.

    Example:
        >>> median_ms([0.001, float("nan"), 0.003])
        2.0
    """
    taken = np.asarray(seconds, np.float64)
    return 1000 * float(np.nanmedian(taken)) if np.isfinite(taken).any() else float("nan")


def p95_ms(seconds: Sequence[float]) -> float:
    """95th percentile in milliseconds; NaN of nothing."""
    return 1000 * float(np.percentile(seconds, 95)) if len(seconds) else float("nan")
