"""What is known of the detections of a frame, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import supervision as sv


def tracks_of(found: sv.Detections) -> npt.NDArray[np.int_]:
    """The track of every detection, (k,) int; -1 where it has none."""
    return np.full(len(found), -1) if found.tracker_id is None else found.tracker_id


def names_of(found: sv.Detections) -> Sequence[str]:
    """The class name of every detection, (k,) str; a tracker may have left none with nothing."""
    return found.data["class_name"] if len(found) else ()


def without_tracks(found: sv.Detections) -> sv.Detections:
    """The same detections as if nothing linked the frames."""
    return replace(found, tracker_id=None)
