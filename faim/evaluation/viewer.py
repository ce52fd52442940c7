"""What a viewer sees at the display threshold: names, doubles, ghosts and false boxes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

import numpy as np

from faim.data.coco_vid import CocoVid
from faim.evaluation.classes import OtherClasses
from faim.evaluation.matching import is_first
from faim.evaluation.stability import IOU_FOUND, SCORE_FOUND, covering, tracks
from faim.evaluation.tables import Bools, Case, Floats, Ints, box_iou
from faim.structures import Detections

#: Boxes of different classes that overlap by more than this look like one box with two names.
IOU_DOUBLE = 0.7
#: Boxes of one class do so from here on; it is what NMS leaves none above.
IOU_SAME_CLASS = 0.5
#: Frames that a box may outlive its object.
GHOST_FRAMES = 2


@dataclass(frozen=True)
class ViewerFigures:
    """What is shown, a detection of score `SCORE_FOUND` or more, and what is wrong with it.

    Attributes:
        wrong_labels: percent of annotated objects, over all frames, that are covered (IoU >= 0.5)
            by a shown box of another class, whether or not one of the right class is there too. A
            box that covers an object of its own class is not wrong; NaN without objects.
        boxes_per_frame: shown boxes a frame.
        double_names: pairs of shown boxes of different classes with IoU > 0.7 for every 100 frames.
        double_boxes: those of one class with IoU > 0.5.
        unmatched_boxes: shown boxes a frame that cover no annotated object of their class, nor lie
            in a crowd of it. False boxes, where `labels_complete`; else unlabelled or false ones.
        labels_complete: whether all objects of all classes that are shown have a label, as the data
            file says: no other class than the file's is shown.
        ghost_ends: objects that end while they are found and their video goes on; also where they
            vanish for a while. 0 unless the file says that all objects have a label.
        ghost_median: frames that a shown box outlives such an object; NaN without any.
        ghost_mean: likewise.
        ghosts_over_2: percent of them whose box does so for more than 2 frames.
    """

    wrong_labels: float = math.nan
    boxes_per_frame: float = math.nan
    double_names: float = math.nan
    double_boxes: float = math.nan
    unmatched_boxes: float = math.nan
    labels_complete: bool = False
    ghost_ends: int = 0
    ghost_median: float = math.nan
    ghost_mean: float = math.nan
    ghosts_over_2: float = math.nan


def viewer_figures(
    data: CocoVid, detections: Mapping[int, Detections], others: OtherClasses | None = None
) -> ViewerFigures:
    """All figures of one set of detections.

    Args:
        data: the ground truth.
        detections: by image id; a missing image has none, images that are not in the data do not
            count.
        others: what the weights show beyond the dataset's classes.
    """
    others = others or OtherClasses()
    case = _shown(data, detections, others)
    covers = case.pairs.iou >= IOU_FOUND
    right = np.zeros(len(case.found.label), bool)
    right[case.pairs.found[covers & case.same_class]] = True
    wrong = case.pairs.object[covers & ~right[case.pairs.found]]
    objects, frames = len(case.objects.label), max(len(case.image_ids), 1)
    names, boxes = _doubles(case)
    ghosts = _ghosts(case) if data.exhaustive else np.zeros(0, np.int64)
    return ViewerFigures(
        wrong_labels=100 * len(np.unique(wrong)) / objects if objects else math.nan,
        boxes_per_frame=len(case.found.label) / frames,
        double_names=100 * names / frames,
        double_boxes=100 * boxes / frames,
        unmatched_boxes=int((~right & ~case.excused).sum()) / frames,
        labels_complete=bool(data.exhaustive and (case.found.label < len(data.classes)).all()),
        ghost_ends=len(ghosts),
        ghost_median=float(np.median(ghosts)) if len(ghosts) else math.nan,
        ghost_mean=float(ghosts.mean()) if len(ghosts) else math.nan,
        ghosts_over_2=100 * float((ghosts > GHOST_FRAMES).mean()) if len(ghosts) else math.nan,
    )


def _shown(data: CocoVid, detections: Mapping[int, Detections], others: OtherClasses) -> Case:
    """What is shown against the ground truth, with the other classes behind the dataset's."""
    whole = copy(data)
    whole.classes = (*data.classes, *others.names)
    shown = {}
    for image_id in detections.keys() | others.detections.keys():
        parts = [part[image_id] for part in (detections, others.detections) if image_id in part]
        found = Detections.concatenate([Detections(p.boxes, p.scores, p.class_ids) for p in parts])
        shown[image_id] = found[found.scores >= SCORE_FOUND]
    return Case(whole, shown, strict=False)


def _doubles(case: Case) -> tuple[int, int]:
    """Pairs of boxes of one frame that look like one: of different classes, and of the same."""
    found, names, boxes = case.found, 0, 0
    for left, right in case.together(found.frame):
        left, right = left[left < right], right[left < right]
        iou = box_iou(found.box[left], found.box[right])
        equal = found.label[left] == found.label[right]
        names += int((~equal & (iou > IOU_DOUBLE)).sum())
        boxes += int((equal & (iou > IOU_SAME_CLASS)).sum())
    return names, boxes


def _ghosts(case: Case) -> Ints:
    """(e,) for every object that ends while it is found, the frames that a box outlives it.

    Such a box is shown in every frame after the object's last one, has the class of the box that
    found it, covers no annotated object, and overlaps (IoU >= 0.5) the object's last box or the
    box of the frame before.
    """
    following = _following(case)
    rows, boxes = _ends(case, following)
    free = np.ones(len(case.found.label), bool)
    free[case.pairs.found[case.pairs.iou >= IOU_FOUND]] = False
    objects = case.objects
    lasting: Ints = np.zeros(len(rows), np.int64)
    active, frame = np.arange(len(rows)), following[objects.frame[rows]]
    last = boxes.copy()
    while len(active):
        left, right = _candidates(case, frame, free)
        event = active[left]
        near = np.maximum(
            box_iou(case.found.box[right], objects.box[rows[event]]),
            box_iou(case.found.box[right], last[event]),
        )
        good = (case.found.label[right] == objects.label[rows[event]]) & (near >= IOU_FOUND)
        left, right, near = left[good], right[good], near[good]
        order = np.lexsort((right, -near, left))
        order = order[is_first(left[order])]
        left, right = left[order], right[order]
        active, frame = active[left], following[frame[left]]
        last[active] = case.found.box[right]
        lasting[active] += 1
        there = frame >= 0
        active, frame = active[there], frame[there]
    return lasting


def _ends(case: Case, following: Ints) -> tuple[Ints, Floats]:
    """Objects' last rows in `case.objects`, with the boxes (e, 4) that find them there."""
    order, begins = tracks(case)
    frame = case.objects.frame[order]
    after = following[frame]
    goes_on: Bools = np.zeros(len(order), bool)
    goes_on[:-1] = ~begins[1:] & (after[:-1] == frame[1:])
    found = covering(case, same_class=True)[order]
    chosen = ~goes_on & (after >= 0) & (found >= 0) & (case.objects.instance[order] >= 0)
    return order[chosen], case.found.box[found[chosen]]


def _following(case: Case) -> Ints:
    """(f,) place of the frame that comes next in each frame's video, -1 after the last."""
    following: Ints = np.full(len(case.image_ids), -1, np.int64)
    for video in case.data.videos:
        ids = np.array([frame.image_id for frame in video.frames], np.int64)
        places = np.searchsorted(case.image_ids, ids)
        following[places[:-1]] = places[1:]
    return following


def _candidates(case: Case, frames: Ints, free: Bools) -> tuple[Ints, Ints]:
    """Places in `frames` and the rows of the free boxes that are shown there: all pairs."""
    rows = np.flatnonzero(free)
    first = np.searchsorted(case.found.frame[rows], frames)
    count = np.searchsorted(case.found.frame[rows], frames, side="right") - first
    left = np.repeat(np.arange(len(frames)), count)
    within = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    return left, rows[np.repeat(first, count) + within]
