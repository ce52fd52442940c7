"""Whether an object, once found, stays found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torchvision.ops import box_iou

from faim.data.coco_vid import Annotation, CocoVid
from faim.structures import Detections

#: An object is found when a detection of its class reaches both.
SCORE_FOUND = 0.3
IOU_FOUND = 0.5


@dataclass(frozen=True)
class Stability:
    """How steadily the annotated objects are found.

    Attributes:
        found_share: percent of annotated objects, over all frames, that are found.
        flips_per_100: see `flips_per_100`; NaN where no object is annotated twice.
    """

    found_share: float
    flips_per_100: float


def is_found(annotation: Annotation, detections: Detections) -> bool:
    """Whether a detection of the same class has score >= 0.3 and IoU >= 0.5 with the object.

    Args:
        annotation: the object; box in image pixels.
        detections: of the same frame, in the same pixels, class ids of the same dataset.
    """
    match = (detections.class_ids == annotation.category_id) & (detections.scores >= SCORE_FOUND)
    boxes = detections.boxes[match].double()
    overlap = box_iou(boxes, torch.tensor([annotation.box], dtype=torch.float64))
    return bool((overlap >= IOU_FOUND).any())


def found(data: CocoVid, detections: Mapping[int, Detections]) -> list[list[bool]]:
    """For every annotated object, frame by frame, whether it is found.

    An object is what has one `instance_id` in one video. Annotations without an instance id stand
    alone. Frames in which an object is not annotated do not count for it.

    Args:
        data: the ground truth.
        detections: by image id; a missing image has none.

    Returns:
        One sequence an object, in temporal order, each with at least one entry.
    """
    sequences: list[list[bool]] = []
    for video in data.videos:
        objects: dict[int, list[bool]] = {}
        for frame in video.frames:
            for annotation in frame.annotations:
                seen = frame.image_id in detections
                hit = seen and is_found(annotation, detections[frame.image_id])
                if annotation.instance_id < 0:
                    sequences.append([hit])
                else:
                    objects.setdefault(annotation.instance_id, []).append(hit)
        sequences.extend(objects.values())
    return sequences


def flips_per_100(sequences: Sequence[Sequence[bool]]) -> float:
    """Changes between found and lost, for every 100 transitions.

    A transition is a pair of consecutive annotated frames of one object, so an object annotated in
    T frames has T - 1. A detector that finds and loses an object in turn has 100; one that always
    or never finds it has 0. Objects count by their length.

    Returns:
        In [0, 100]; NaN where there are no transitions.
    """
    transitions = sum(max(len(sequence) - 1, 0) for sequence in sequences)
    flips = sum(a != b for s in sequences for a, b in pairwise(s))
    return 100 * flips / transitions if transitions else math.nan


def found_share(sequences: Sequence[Sequence[bool]]) -> float:
    """Percent of all entries that are found; NaN where there are none."""
    total = sum(len(sequence) for sequence in sequences)
    return 100 * sum(sum(sequence) for sequence in sequences) / total if total else math.nan


def stability(data: CocoVid, detections: Mapping[int, Detections]) -> Stability:
    """Both figures of one set of detections; arguments as in `found`."""
    sequences = found(data, detections)
    return Stability(found_share(sequences), flips_per_100(sequences))
