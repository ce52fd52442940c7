"""Detections one by one, as files take them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from faim.runtime.found import names_of, tracks_of
from faim.runtime.sinks import Result


@dataclass(frozen=True, slots=True)
class Box:
    """One detection.

    Attributes:
        class_id: from 0.
        score: in [0, 1].
        track: number of the object; None where it has none (yet).
        x1, y1, x2, y2: pixels of the frame, within it.
    """

    class_id: int
    label: str
    score: float
    track: int | None
    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """In pixels."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """In pixels."""
        return self.y2 - self.y1


def boxes_of(result: Result) -> list[Box]:
    """All detections of a frame, best score first."""
    found = result.detections
    height, width = result.frame.image.shape[:2]
    corners = np.clip(found.xyxy.astype(float), 0, [width, height, width, height])
    columns = found.class_id, names_of(found), found.confidence, tracks_of(found)
    rows = zip(*columns, corners.tolist(), strict=True)
    return [
        Box(int(class_id), str(name), float(score), int(track) if track >= 0 else None, *corner)
        for class_id, name, score, track, corner in rows
    ]


def solid_boxes_of(result: Result) -> list[Box]:
    """The detections of a frame that have an area, which is what labels are of."""
    return [box for box in boxes_of(result) if box.width > 0 and box.height > 0]


def one_a_track(boxes: Iterable[Box]) -> list[Box]:
    """Of boxes with the same track, as the classes of one object have, the first alone."""
    known: set[int] = set()
    chosen = []
    for box in boxes:
        if box.track is None or box.track not in known:
            chosen.append(box)
        if box.track is not None:
            known.add(box.track)
    return chosen
