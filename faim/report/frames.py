"""The frames in which two columns differ most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from supervision import box_iou_batch

from faim.data.coco_vid import CocoVid, FrameRecord
from faim.evaluation.stability import IOU_FOUND, SCORE_FOUND
from faim.report.run_folder import Boxes

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

    def __init__(self, data: CocoVid, detections: Boxes) -> None:
        """Sort them by image, then by score, best first; those below 0.3 are left out."""
        kept = detections.where(detections.scores >= SCORE_FOUND)
        kept = kept.where(np.lexsort((-kept.scores, kept.image_ids)))
        ids, starts, counts = np.unique(kept.image_ids, return_index=True, return_counts=True)
        self._rows = {
            image: slice(start, start + count)
            for image, start, count in zip(
                ids.tolist(), starts.tolist(), counts.tolist(), strict=True
            )
        }
        self._kept = kept
        dense = np.searchsorted(np.array(data.category_ids, dtype=np.int64), kept.categories)
        self._classes = dense.astype(np.int64)

    def judge(self, frame: FrameRecord) -> Judged:
        """The frame's detections, each right or wrong."""
        rows = self._rows.get(frame.image_id, slice(0, 0))
        boxes, classes = self._kept.boxes[rows], self._classes[rows]
        right = which_are_right(frame, boxes, classes)
        return Judged(boxes, self._kept.scores[rows], classes, right, len(frame.annotations))


def differences(data: CocoVid, first: Boxes, second: Boxes, most: int) -> list[Difference]:
    """The frames whose balances differ most, greatest first; equal ones in the dataset's order.

    Of one video at most two frames, at least ten frames apart. Frames without difference are never
    among them.

    Args:
        data: the ground truth.
        first: of its images and categories.
        second: likewise.
        most: how many frames at most.
    """
    one, other = FrameDetections(data, first), FrameDetections(data, second)
    every = [
        Difference(video.name, place, frame, one.judge(frame), other.judge(frame))
        for video in data.videos
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


def which_are_right(
    frame: FrameRecord, boxes: npt.NDArray[np.float64], classes: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Whether each detection takes an annotated object of its class at IoU >= 0.5.

    The best chooses first, and takes the object that it overlaps most of those that are left.

    Args:
        frame: the annotated objects.
        boxes: (k, 4), best first, x1 y1 x2 y2 in image pixels.
        classes: (k,), dense class indices.

    Returns:
        (k,) bool.
    """
    right = np.zeros(len(boxes), dtype=bool)
    if not len(boxes) or not frame.annotations:
        return right
    truth = np.array([annotation.box for annotation in frame.annotations], dtype=np.float64)
    kinds = np.array([annotation.category_id for annotation in frame.annotations])
    overlap = box_iou_batch(truth, boxes).T
    overlap[classes[:, None] != kinds[None, :]] = 0
    for row in range(len(boxes)):
        best = int(overlap[row].argmax())
        if overlap[row, best] >= IOU_FOUND:
            right[row] = True
            overlap[:, best] = 0
    return right
