"""The frames in which two columns differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from faim.data.coco_vid import FrameRecord
from faim.evaluation.matching import greedy_match
from faim.evaluation.stability import IOU_FOUND, SCORE_FOUND
from faim.evaluation.tables import Case

#: Frames shown of one video, and how far apart they are at least: neighbours look the same.
MOST_OF_A_VIDEO = 2
APART = 10


@dataclass(frozen=True)
class Judged:
    """One column's detections of one frame from score 0.3 on, best first.

    Attributes:
        boxes: (k, 4) float64, x1 y1 x2 y2 in image pixels.
        scores: (k,) float64.
        classes: (k,) int64, dense class indices.
        right: (k,) bool: it takes an annotated object of its class at IoU >= 0.5, one that no
            better detection took.
        objects: annotated objects of the frame.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]
    right: npt.NDArray[np.bool_]
    objects: int

    @property
    def found(self) -> int:
        """Annotated objects that are found."""
        return int(self.right.sum())

    @property
    def wrong(self) -> int:
        """Detections that are none."""
        return len(self.right) - self.found

    @property
    def balance(self) -> int:
        """Found objects minus wrong detections."""
        return self.found - self.wrong


@dataclass(frozen=True)
class Difference:
    """A frame, and what the two columns found in it."""

    video: str
    place: int
    frame: FrameRecord
    first: Judged
    second: Judged

    @property
    def size(self) -> int:
        """How far apart the two are: the difference of their balances."""
        return abs(self.first.balance - self.second.balance)


class FrameDetections:
    """A column's detections, image by image."""

    def __init__(self, case: Case) -> None:
        """Match them as COCO does; those below 0.3, or excused by a crowd, are left out."""
        # A worse detection takes nothing from a better one, so the match may come before the cut.
        right = greedy_match(case, IOU_FOUND) >= 0
        kept = (case.found.score >= SCORE_FOUND) & (right | ~case.excused)
        self._boxes, self._scores = case.found.box[kept], case.found.score[kept]
        self._classes = case.found.label[kept]
        self._right = right[kept]
        frames = np.arange(len(case.image_ids) + 1)
        bounds = np.searchsorted(case.found.frame[kept], frames).tolist()
        self._rows = dict(zip(case.image_ids.tolist(), pairwise(bounds), strict=True))

    def judge(self, frame: FrameRecord) -> Judged:
        """The frame's detections, each right or wrong."""
        rows = slice(*self._rows[frame.image_id])
        return Judged(
            self._boxes[rows],
            self._scores[rows],
            self._classes[rows],
            self._right[rows],
            len(frame.annotations),
        )


def differences(first: Case, second: Case, most: int) -> list[Difference]:
    """The frames whose balances differ most, greatest first; equal ones in the dataset's order.

    Of one video at most two frames, at least ten frames apart. Frames without difference are never
    among them.

    Args:
        first: one column's detections.
        second: the other's, of the same dataset.
        most: how many frames at most.
    """
    one, other = FrameDetections(first), FrameDetections(second)
    every = [
        Difference(video.name, place, frame, one.judge(frame), other.judge(frame))
        for video in first.data.videos
        for place, frame in enumerate(video.frames)
    ]
    ordered = sorted(every, key=lambda difference: -difference.size)
    return _spread([found for found in ordered if found.size], most)


def _spread(ordered: Sequence[Difference], most: int) -> list[Difference]:
    taken: list[Difference] = []
    times: Counter[str] = Counter()
    for found in ordered:
        if len(taken) == most:
            break
        near = any(f.video == found.video and abs(f.place - found.place) < APART for f in taken)
        if times[found.video] < MOST_OF_A_VIDEO and not near:
            taken.append(found)
            times[found.video] += 1
    return taken
