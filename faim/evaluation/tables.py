"""Annotated objects and detections of a whole dataset as arrays, and how they overlap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from faim.data.coco_vid import Annotation, CocoVid, FrameRecord
from faim.errors import FaimError
from faim.structures import Detections

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Detections of one class in one frame that count, best first; as COCO's maxDets.
MAX_DETECTIONS = 100
#: Overlaps below it are nobody's business, but of tiny objects: the background threshold of TIDE.
IOU_BACKGROUND = 0.1
#: Share of a detection within a crowd from which it is excused.
IOU_EXCUSED = 0.5
#: Pixels on every side of an object that ImageNet's devkit forgives.
_TOLERANCE = 5
_CHUNK = 1 << 16
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Objects:
    """The annotated objects, in the order of the image ids.

    Attributes:
        frame: (g,) place of the image among all, by image id.
        label: (g,) dense class index.
        box: (g, 4) x1, y1, x2, y2 in image pixels.
        instance: (g,) the same number for one object in all of its frames; -1 without instance id.
        time: (g,) `frame_id` within its video.
    """

    frame: Ints
    label: Ints
    box: Floats
    instance: Ints
    time: Ints


@dataclass(frozen=True)
class Found:
    """The detections, in the order of the image ids and within an image best first.

    Attributes:
        frame: (k,) as in `Objects`.
        rank: (k,) place among those of its class in the image, from 0.
        label: (k,) dense class index.
        score: (k,) in [0, 1].
        box: (k, 4) x1, y1, x2, y2 in image pixels.
    """

    frame: Ints
    rank: Ints
    label: Ints
    score: Floats
    box: Floats


@dataclass(frozen=True)
class Pairs:
    """Detections and objects of one image that overlap.

    Attributes:
        found: (p,) rows of `Found`, ascending.
        object: (p,) rows of `Objects`.
        iou: (p,) at least `IOU_BACKGROUND`, or the object's `lenient_iou` where that is less.
    """

    found: Ints
    object: Ints
    iou: Floats

    def __getitem__(self, chosen: Bools) -> Pairs:
        """Some of them."""
        return Pairs(self.found[chosen], self.object[chosen], self.iou[chosen])


class Case:
    """One set of detections against the ground truth of one dataset.

    Args:
        data: the ground truth.
        detections: by image id; boxes in pixels of the image, class ids dense indices into
            `data.classes`. A missing image has none. The `MAX_DETECTIONS` best of every class in an
            image count.
        strict: refuse detections of images that the dataset does not have; else leave them out.

    Attributes:
        data: as given.
        image_ids: (f,) ascending; `frame` of the tables is a place in it.
        objects: the ground truth.
        crowds: regions of groups, in which detections of the class are not wrong; in the order of
            the image ids.
        found: the detections.

    Raises:
        FaimError: detections of an image or class that the dataset does not have, or that are not
            finite.
    """

    def __init__(
        self, data: CocoVid, detections: Mapping[int, Detections], *, strict: bool = True
    ) -> None:
        self.data = data
        frames = sorted(data.frames, key=lambda frame: frame.image_id)
        self.image_ids: Ints = np.array([frame.image_id for frame in frames], np.int64)
        self.objects = _objects(data, frames, [frame.annotations for frame in frames])
        self.crowds = _objects(data, frames, [frame.crowds for frame in frames])
        self.found = _found(data, frames, detections, strict)

    @cached_property
    def pairs(self) -> Pairs:
        """All overlaps that may matter, whatever the classes."""
        found, objects = self.found, self.objects
        least = np.minimum(IOU_BACKGROUND, lenient_iou(objects.box))
        parts = [Pairs(_none(), _none(), np.zeros(0))]
        for left, right in self.together(objects.frame):
            iou = box_iou(found.box[left], objects.box[right])
            near = (iou >= least[right]) & (iou > 0)
            parts.append(Pairs(left[near], right[near], iou[near]))
        return Pairs(
            np.concatenate([part.found for part in parts]),
            np.concatenate([part.object for part in parts]),
            np.concatenate([part.iou for part in parts]),
        )

    @cached_property
    def excused(self) -> Bools:
        """(k,) whether at least half of a detection lies in a crowd of its class.

        As COCO has it, such a detection is not wrong where it finds no object at IoU 0.5.
        """
        found, crowds = self.found, self.crowds
        inside: Bools = np.zeros(len(found.frame), bool)
        for left, right in self.together(crowds.frame):
            area = _area(found.box[left])
            share = _shared(found.box[left], crowds.box[right]) / np.maximum(area, _TINY)
            own = found.label[left] == crowds.label[right]
            inside[left[own & (share >= IOU_EXCUSED)]] = True
        return inside

    def together(self, others: Ints) -> Iterator[tuple[Ints, Ints]]:
        """Rows of detections and of a table in the same image: all pairs, a chunk at a time.

        Args:
            others: (n,) `frame` of the table, ascending.
        """
        found, frames = self.found, np.arange(len(self.image_ids))
        first = np.searchsorted(others, frames)
        count = np.searchsorted(others, frames, side="right") - first
        for start in range(0, len(found.frame), _CHUNK):
            frame = found.frame[start : start + _CHUNK]
            number = count[frame]
            left = np.repeat(np.arange(start, start + len(frame)), number)
            within = np.arange(len(left)) - np.repeat(np.cumsum(number) - number, number)
            yield left, np.repeat(first[frame], number) + within

    @cached_property
    def same_class(self) -> Bools:
        """(p,) whether the two of a pair have the same class."""
        labels: Bools = self.found.label[self.pairs.found] == self.objects.label[self.pairs.object]
        return labels


def box_iou(left: Floats, right: Floats) -> Floats:
    """Intersection over union of (p, 4) corner boxes, row by row: (p,)."""
    shared = _shared(left, right)
    iou: Floats = shared / np.maximum(_area(left) + _area(right) - shared, _TINY)
    return iou


def _shared(left: Floats, right: Floats) -> Floats:
    low = np.maximum(left[:, :2], right[:, :2])
    high = np.minimum(left[:, 2:], right[:, 2:])
    shared: Floats = np.clip(high - low, 0, None).prod(axis=1)
    return shared


def _area(box: Floats) -> Floats:
    area: Floats = (box[:, 2:] - box[:, :2]).prod(axis=1)
    return area


def lenient_iou(box: Floats) -> Floats:
    """(g,) IoU from which ImageNet's devkit takes (g, 4) corner boxes as found: 0.5 or less.

    Less for objects so small that 5 pixels too many on every side would leave less than 0.5.
    """
    sides = box[:, 2:] - box[:, :2]
    return np.minimum(0.5, (sides / (sides + 2 * _TOLERANCE)).prod(axis=1))


def _none() -> Ints:
    return np.zeros(0, np.int64)


def _objects(
    data: CocoVid, frames: list[FrameRecord], annotations: Sequence[Sequence[Annotation]]
) -> Objects:
    """Of each frame these annotations."""
    videos = {frame.image_id: video.video_id for video in data.videos for frame in video.frames}
    numbers: dict[tuple[int, int], int] = {}
    rows, boxes = [], []
    for place, (frame, own) in enumerate(zip(frames, annotations, strict=True)):
        for annotation in own:
            instance = -1
            if annotation.instance_id >= 0:
                key = (videos[frame.image_id], annotation.instance_id)
                instance = numbers.setdefault(key, len(numbers))
            rows.append((place, annotation.category_id, instance, frame.frame_id))
            boxes.append(annotation.box)
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    box = np.array(boxes, np.float64).reshape(-1, 4)
    return Objects(columns[0], columns[1], box, columns[2], columns[3])


def _found(
    data: CocoVid, frames: list[FrameRecord], detections: Mapping[int, Detections], strict: bool
) -> Found:
    places = {frame.image_id: place for place, frame in enumerate(frames)}
    if strict:
        for image_id in detections:
            if image_id not in places:
                raise FaimError(
                    f"{data.annotation_file}: no image {image_id}, which detections were given"
                )
    rows = [np.zeros((0, 8))]
    for place, frame in enumerate(frames):
        if frame.image_id in detections:
            rows.append(_rows(frame.image_id, place, detections[frame.image_id], data))
    table = np.concatenate(rows)
    integers = table[:, :3].astype(np.int64).T
    return Found(integers[0], integers[1], integers[2], table[:, 3], table[:, 4:])


def _rows(image_id: int, place: int, found: Detections, data: CocoVid) -> Floats:
    """(k, 8): frame, rank, label, score, corners; the best of one image, best first."""
    scores = found.scores.detach().double().cpu().numpy()
    boxes = found.boxes.detach().double().cpu().numpy().reshape(-1, 4)
    labels = found.class_ids.detach().cpu().numpy()
    if not (np.isfinite(scores).all() and np.isfinite(boxes).all()):
        raise FaimError(
            f"detections of image {image_id} have scores or boxes that are not finite; expected "
            "numbers"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(data.classes):
        raise FaimError(
            f"detections of image {image_id} have class ids {labels.min()} to {labels.max()}; "
            f"expected 0 to {len(data.classes) - 1}"
        )
    best = np.argsort(-scores, kind="stable")
    rank = _places_of_equals(labels[best])
    best, rank = best[rank < MAX_DETECTIONS], rank[rank < MAX_DETECTIONS]
    rows = np.empty((len(best), 8))
    rows[:, 0], rows[:, 1] = place, rank
    rows[:, 2], rows[:, 3], rows[:, 4:] = labels[best], scores[best], boxes[best]
    return rows


def _places_of_equals(values: Ints) -> Ints:
    """(k,) of every value how many equal ones stand before it."""
    order = np.argsort(values, kind="stable")
    _, first, count = np.unique(values[order], return_index=True, return_counts=True)
    places: Ints = np.empty(len(values), np.int64)
    places[order] = np.arange(len(values)) - np.repeat(first, count)
    return places
