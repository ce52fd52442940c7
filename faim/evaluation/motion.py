"""Average precision by how fast objects move (FAIM, C.2; FGFA, Zhu et al., ICCV 2017).

How fast an object moves in a frame is its mean IoU with itself up to 10 frames before and after,
as in the file of motion IoUs that FGFA published for ImageNet VID and later work evaluates with.
An object counts as found from `lenient_iou` on, as FGFA takes it over from ImageNet's devkit.
FGFA counts whole pixels (width x2 - x1 + 1); here boxes are continuous, as everywhere in this
package. Precision is read off as COCO does, so that the figures compare with the overall AP50.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faim.evaluation.matching import best_pair, greedy_match, mean_average_precision
from faim.evaluation.tables import Bools, Case, Floats, Ints, Objects, box_iou, lenient_iou

#: Frames before and after within which an object is compared with itself.
REACH = 10
SPEEDS = ("slow", "medium", "fast")
#: Motion IoU above which an object is slow, and below which it is fast.
SLOW_ABOVE, FAST_BELOW = 0.9, 0.7


@dataclass(frozen=True)
class SpeedResult:
    """AP50 of each speed.

    Attributes:
        ap50: percent by speed; mean over the classes that have objects of that speed, NaN without.
        objects: annotated objects by speed, each frame counted.
        unknown: objects whose speed is unknown, as they have no instance id.
    """

    ap50: dict[str, float]
    objects: dict[str, int]
    unknown: int


def motion_iou(objects: Objects) -> Floats:
    """(g,) mean IoU of every object with itself in frames at most `REACH` away.

    Frames are told apart by `frame_id`; those in which the object is not annotated do not count. 0,
    as FGFA has it, without any such frame; NaN without instance id.
    """
    known = np.flatnonzero(objects.instance >= 0)
    order = known[np.lexsort((objects.time[known], objects.instance[known]))]
    instance, time, box = objects.instance[order], objects.time[order], objects.box[order]
    total, count = np.zeros(len(order)), np.zeros(len(order))
    for step in range(1, min(REACH, len(order) - 1) + 1):
        apart = time[step:] - time[:-step]
        near = (instance[step:] == instance[:-step]) & (apart >= 1) & (apart <= REACH)
        early = np.flatnonzero(near)
        iou = box_iou(box[early], box[early + step])
        for place in (early, early + step):
            total[place] += iou
            count[place] += 1
    result: Floats = np.full(len(objects.instance), np.nan)
    result[order] = total / np.maximum(count, 1)
    return result


def speed_of(iou: Floats) -> Ints:
    """Place in `SPEEDS` of every motion IoU, -1 for NaN."""
    speed: Ints = np.select([iou > SLOW_ABOVE, iou >= FAST_BELOW, iou < FAST_BELOW], [0, 1, 2], -1)
    return speed


def by_speed(case: Case) -> SpeedResult | None:
    """AP50 of slow, medium and fast objects; None where no object has an instance id.

    Detections find objects whatever their speed. Evaluating one speed, a detection that finds an
    object of another is neither right nor wrong. One that finds none counts as wrong where it lies
    (FGFA): with the speed of the object it overlaps most, not at all if that is of another speed,
    and where it overlaps none by 0.1, with the share of the frame's objects, or in a frame without
    objects the dataset's, that have the speed; in a crowd of its class it does not count. A dataset
    with one speed, and no object smaller than 25 pixels, so has its overall AP50.
    """
    speed = speed_of(motion_iou(case.objects))
    if not (speed >= 0).any():
        return None
    match = greedy_match(case, lenient_iou(case.objects.box))
    _, nearest = best_pair(case.pairs, len(match))
    ap50, objects = {}, {}
    for place, name in enumerate(SPEEDS):
        wanted = speed == place
        ap50[name] = _ap50(case, match, nearest, wanted, _shares(case, wanted, speed >= 0))
        objects[name] = int(wanted.sum())
    return SpeedResult(ap50, objects, int((speed < 0).sum()))


def _ap50(case: Case, match: Ints, nearest: Ints, wanted: Bools, shares: Floats) -> float:
    hit = match >= 0
    counts = ~hit & ~case.excused
    counts[hit] = wanted[match[hit]]
    touches = nearest >= 0
    weight = shares[case.found.frame]
    weight[touches] = wanted[nearest[touches]]
    positives = np.bincount(case.objects.label[wanted], minlength=len(case.data.classes))
    return mean_average_precision(
        case.found.label[counts],
        case.found.score[counts],
        hit[counts],
        weight[counts],
        positives.astype(np.float64),
        np.flatnonzero(positives),
    )


def _shares(case: Case, wanted: Bools, known: Bools) -> Floats:
    """(f,) which part of a frame's objects of known speed is `wanted`; elsewhere the dataset's."""
    frames = len(case.image_ids)
    some = np.bincount(case.objects.frame[wanted], minlength=frames)
    all_ = np.bincount(case.objects.frame[known], minlength=frames)
    everywhere = np.full(frames, wanted.sum() / known.sum())
    shares: Floats = np.divide(some, all_, out=everywhere, where=all_ > 0)
    return shares
