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


def tracks_apart(found: sv.Detections, place: int, count: int) -> sv.Detections:
    """The same detections with ids that none of `count` runs has but that of this `place`."""
    if found.tracker_id is None or count == 1:
        return found
    tracks = found.tracker_id
    return replace(found, tracker_id=np.where(tracks < 0, tracks, (tracks - 1) * count + place + 1))


def without_tracks(found: sv.Detections) -> sv.Detections:
    """The same detections as if nothing linked the frames."""
    return replace(found, tracker_id=None)
