"""Whether an object, once found, stays found, in its place and in its class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from faim.data.coco_vid import CocoVid
from faim.evaluation.matching import is_first
from faim.evaluation.tables import Bools, Case, Floats, Ints
from faim.structures import Detections

#: An object is found when a detection of its class reaches both.
SCORE_FOUND = 0.3
IOU_FOUND = 0.5


@dataclass(frozen=True)
class Stability:
    """How steadily the annotated objects are found.

    Attributes:
        found_share: percent of annotated objects, over all frames, that are found.
        flips_per_100: changes between found and lost for every 100 pairs of consecutive annotated
            frames of one object, in [0, 100]; NaN where no object is annotated twice.
        found_share_per_instance: percent of its frames in which an object is found, averaged over
            the objects, so that a long track weighs no more than a short one.
        class_switches: see `_class_switches`; NaN without instance ids.
        centre_jitter: see `_jitter`; NaN where no object is found twice in a row.
        size_jitter: likewise.
    """

    found_share: float
    flips_per_100: float
    found_share_per_instance: float = math.nan
    class_switches: float = math.nan
    centre_jitter: float = math.nan
    size_jitter: float = math.nan


def stability(data: CocoVid, detections: Mapping[int, Detections]) -> Stability:
    """All figures of one set of detections.

    An object is what has one `instance_id` in one video. Annotations without an instance id stand
    alone. Frames in which an object is not annotated do not count for it.

    Args:
        data: the ground truth.
        detections: by image id; a missing image has none, images that are not in the data do not
            count.
    """
    return stability_of(Case(data, detections, strict=False))


def stability_of(case: Case) -> Stability:
    """As `stability`."""
    order, begins = tracks(case)
    if not len(order):
        return Stability(math.nan, math.nan)
    best = covering(case, same_class=True)[order]
    hits = best >= 0
    track = np.cumsum(begins) - 1
    shares = np.bincount(track, hits) / np.bincount(track)
    follows = ~begins[1:]
    flips = (hits[1:] != hits[:-1])[follows]
    centre, size = _jitter(case, order, best, follows)
    return Stability(
        found_share=100 * float(hits.mean()),
        flips_per_100=100 * float(flips.mean()) if len(flips) else math.nan,
        found_share_per_instance=100 * float(shares.mean()),
        class_switches=_class_switches(case, order),
        centre_jitter=centre,
        size_jitter=size,
    )


def tracks(case: Case) -> tuple[Ints, Bools]:
    """Rows of the objects, object by object in time, and where each object begins."""
    instance = case.objects.instance
    known = instance >= 0
    alone = instance.max(initial=-1) + 1 + np.arange(len(instance))
    track = np.where(known, instance, alone)
    order = np.lexsort((case.objects.time, track))
    return order, is_first(track[order])


def covering(case: Case, *, same_class: bool) -> Ints:
    """(g,) the detection of best score (then IoU) that covers each object, -1 for none."""
    pairs = case.pairs
    chosen = (pairs.iou >= IOU_FOUND) & (case.found.score[pairs.found] >= SCORE_FOUND)
    if same_class:
        chosen &= case.same_class
    pairs = pairs[chosen]
    order = np.lexsort((-pairs.iou, -case.found.score[pairs.found], pairs.object))
    order = order[is_first(pairs.object[order])]
    best: Ints = np.full(len(case.objects.label), -1, np.int64)
    best[pairs.object[order]] = pairs.found[order]
    return best


def _class_switches(case: Case, order: Ints) -> float:
    """How often an object changes its detected class, on average over the objects.

    Of the frames in which a detection of any class has score >= 0.3 and IoU >= 0.5 with the object,
    in temporal order, the class of the best-scored such detection counts; a switch is a change from
    one such frame to the next. Objects that are never covered count, with 0.
    """
    instance = case.objects.instance[order]
    objects = len(np.unique(instance[instance >= 0]))
    if not objects:
        return math.nan
    best = covering(case, same_class=False)[order]
    covered = (best >= 0) & (instance >= 0)
    label, instance = case.found.label[best[covered]], instance[covered]
    switches = (label[1:] != label[:-1]) & (instance[1:] == instance[:-1])
    return int(switches.sum()) / objects


def _jitter(case: Case, order: Ints, best: Ints, follows: Bools) -> tuple[float, float]:
    """How much the boxes tremble around their objects, in percent: centre and size.

    For every two consecutive annotated frames of an object that is found in both, with its
    best-scored detection: the length of the change of (detection's centre - object's centre) /
    sqrt(object's area); and the absolute change of log(detection's side / object's side), averaged
    over width and height. Both averaged over all such pairs of frames; NaN without any.
    """
    pair = np.flatnonzero(follows & (best[1:] >= 0) & (best[:-1] >= 0))
    if not len(pair):
        return math.nan, math.nan

    def errors(place: Ints) -> tuple[Floats, Floats]:
        truth, box = case.objects.box[order[place]], case.found.box[best[place]]
        sides, truth_sides = box[:, 2:] - box[:, :2], truth[:, 2:] - truth[:, :2]
        shift = (box[:, :2] + box[:, 2:] - truth[:, :2] - truth[:, 2:]) / 2
        area = truth_sides.prod(axis=1, keepdims=True)
        return shift / np.sqrt(area), np.log(sides / truth_sides)

    (shift, size), (next_shift, next_size) = errors(pair), errors(pair + 1)
    centre = np.linalg.norm(next_shift - shift, axis=1).mean()
    return 100 * float(centre), 100 * float(np.abs(next_size - size).mean())
