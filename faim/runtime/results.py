"""What a running detector gives out for every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import supervision as sv

from faim.data.transforms import LetterboxGeometry
from faim.runtime.frames import Frame
from faim.structures import Detections, Proposals

Found = TypeVar("Found", Detections, sv.Detections)


@dataclass(frozen=True)
class Proposed:
    """A frame after the part that looks at it alone; `proposals` without leading dimension."""

    frame: Frame
    geometry: LetterboxGeometry
    proposals: Proposals


@dataclass(frozen=True)
class FrameResult(Generic[Found]):
    """A frame and what was found in it.

    Attributes:
        frame: the source's frame.
        detections: boxes in pixels of `frame.image`, best score first.
    """

    frame: Frame
    detections: Found


def to_supervision(detections: Detections, class_names: Sequence[str]) -> sv.Detections:
    """The detections as users meet them.

    Returns:
        `xyxy` (k, 4) float32, `confidence` (k,) float32, `class_id` (k,) int, and the names in
        `data["class_name"]` (k,) str; `tracker_id` (k,) int, -1 where a box has no track, None
        where nothing links the frames.
    """
    class_ids = detections.class_ids.cpu().numpy().astype(int)
    tracks = detections.track_ids
    names = np.array([class_names[index] for index in class_ids], dtype=str)
    return sv.Detections(
        xyxy=detections.boxes.cpu().numpy().astype(np.float32).reshape(-1, 4),
        confidence=detections.scores.cpu().numpy().astype(np.float32),
        class_id=class_ids,
        tracker_id=None if tracks is None else tracks.cpu().numpy().astype(int),
        data={"class_name": names},
    )
