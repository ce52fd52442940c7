"""Figures of several trainings as one."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev


def spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; None for the latter of one value, for both of none."""
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return {"mean": None, "std": None}
    return {"mean": mean(known), "std": stdev(known) if len(known) > 1 else None}
